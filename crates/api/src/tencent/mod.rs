//! The Tencent Cloud dialect.
