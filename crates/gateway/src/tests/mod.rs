//! Tests of the whole gateway on a fake kernel, a fake engine and a fake server.

mod forwarder;
mod joining;
mod local;
mod reconcile;
mod root_real;
mod server;
mod site;
