//! A whole server on loopback ports: the public API over HTTPS, gateways played by doubles that
//! speak the sync protocol, the operator's socket.

mod audit;
mod authorisation;
mod bed;
mod client;
mod corpus;
mod double;
mod envelope;
mod gateways;
mod monitor;
mod networks;
mod operator;
mod plain;
mod requests;
mod seed_example;
mod tasks;
mod transport;
mod v3;
mod v3_foreign;
mod v3_work;
