//! What the benchmarks with real namespaces share: sites, and what their hosts send.

pub mod load;
pub mod sites;
