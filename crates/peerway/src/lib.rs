//! The composition of Peerway: command line, configuration and the demo.
//!
//! No rule of the domain lives here. Start with [`app`], then [`demo`].

pub mod app;
pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod demo;
pub mod lab;
pub mod output;
pub mod tenant;
pub mod traffic;
