//! The Tencent Cloud dialect.
pub mod parameters;
pub mod signature;
