//! The one binary. Everything it does is in the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerway::app::main()
}
