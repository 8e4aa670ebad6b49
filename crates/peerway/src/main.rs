//! The one binary. Everything it does is in the library of this crate.

use std::process::ExitCode;

/// The state is many small shared nodes, made on one thread and dropped on another, which the C
/// library's allocator does at twice the cost (`docs/benchmarks.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    peerway::app::main()
}
