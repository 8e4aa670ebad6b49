//! The composition of Peerway: command line, configuration, the demo and the load generators.
//!
//! No rule of the domain lives here. Start with [`app`], then [`demo`].

pub mod app;
pub mod bench;
pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod demo;
pub mod lab;
pub mod output;
pub mod tenant;
pub mod traffic;
