//! The Tencent Cloud dialect of the public API, version 3.0 (2017-03-12 and its neighbours).
//!
//! The way of a request: [`Request::read`], then the key that [`Request::secret_id`] names, the clock,
//! [`Request::verify`], [`Request::action`], [`Request::command`]; then the use case, the same as for
//! version 2; then [`render`] or [`render_error`]. Which actions exist, with their parameters, answers
//! and codes, is one table, [`action::ACTIONS`]; which refusal answers with which code is one table,
//! [`Error::code`].

pub mod action;
pub mod error;
pub mod field;
pub mod openapi;
pub mod request;
mod request_id;
pub mod response;
pub mod signature;
pub mod tree;

pub use action::Action;
pub use error::Error;
pub use field::Arguments;
pub use request::{Incoming, LONGEST_BODY, PATH, Parsed, Request, Token, is_recognised};
pub use request_id::request_id;
pub use response::{CONTENT_TYPE, Rows, render, render_error};
