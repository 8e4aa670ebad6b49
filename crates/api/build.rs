//! Compiles the sync protocol with a pure Rust compiler, so that a build needs no `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/sync.proto");
    let descriptors = protox::compile(["sync.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Ordered maps keep encodings and goldens stable.
        .btree_map(".")
        // It holds a secret; `sync::proto` implements a Debug that hides it.
        .skip_debug(["peerway.sync.v1.JoinRequest"])
        .compile_fds(descriptors)?;
    Ok(())
}
