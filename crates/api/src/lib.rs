//! Wire formats, pure encode and decode: the Tencent Cloud dialect of the public API and the sync
//! protocol between server and gateways. Nothing here does I/O, reads a clock or draws randomness.
//!
//! [`tencent`] turns a request's bytes into a command of the domain and an outcome into the
//! response's bytes; start at [`tencent::request`]. [`sync`] does the same for the messages of the
//! gateway stream; start at [`sync::GatewayMessage`].

pub mod sync;
pub mod tencent;
