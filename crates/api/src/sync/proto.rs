//! The generated types, client and server of package `peerway.sync.v1`. The meaning of the fields is
//! in `proto/sync.proto`; use the checked values of [`crate::sync`] instead wherever possible.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated code"
)]

tonic::include_proto!("peerway.sync.v1");

impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinRequest")
            .field("secret", &"hidden")
            .field("endpoint", &self.endpoint)
            .field("software_version", &self.software_version)
            .finish_non_exhaustive()
    }
}
