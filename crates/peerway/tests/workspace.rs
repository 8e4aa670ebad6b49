//! Checks the edges between the crates: the manifests say what ARCHITECTURE.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const CRATES: [&str; 8] = [
    "api", "gateway", "kernel", "model", "peerway", "server", "store", "tunnel",
];

/// The crates of this workspace that each crate may use in its code (tests apart).
fn allowed_edges() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    BTreeMap::from([
        ("model", BTreeSet::from([])),
        ("api", BTreeSet::from(["model"])),
        ("store", BTreeSet::from(["model"])),
        ("kernel", BTreeSet::from(["model"])),
        ("tunnel", BTreeSet::from(["model"])),
        ("server", BTreeSet::from(["api", "model", "store"])),
        (
            "gateway",
            BTreeSet::from(["api", "kernel", "model", "tunnel"]),
        ),
        (
            "peerway",
            CRATES
                .into_iter()
                .filter(|name| *name != "peerway")
                .collect(),
        ),
    ])
}

/// What `model` may use from outside: no I/O, no clock, no async.
const MODEL_MAY_USE: [&str; 2] = ["ipnet", "thiserror"];

fn dependencies(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
        .join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section))
        .flat_map(|section| section.as_table().unwrap().keys().cloned())
        .collect()
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    for (name, allowed) in allowed_edges() {
        let used = dependencies(name);
        for other in CRATES {
            assert!(
                !used.contains(other) || allowed.contains(other),
                "{name} must not depend on {other}"
            );
        }
    }
}

#[test]
fn the_workspace_has_no_crate_outside_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, CRATES.into_iter().map(str::to_owned).collect());
}

#[test]
fn the_domain_knows_no_io() {
    let used = dependencies("model");
    let unexpected: Vec<_> = used
        .iter()
        .filter(|name| !MODEL_MAY_USE.contains(&name.as_str()))
        .collect();
    assert!(
        unexpected.is_empty(),
        "model must not depend on {unexpected:?}"
    );
}

#[test]
fn the_domain_reads_no_clock_and_opens_no_file() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/src")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            read += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            for banned in [
                "std::fs",
                "std::net::Tcp",
                "std::net::Udp",
                "SystemTime",
                "Instant::now",
            ] {
                assert!(!text.contains(banned), "{} uses {banned}", path.display());
            }
        }
    }
    assert!(read > 20, "only {read} files were read");
}

/// `./test` runs the tests of real namespaces apart, one at a time and optimised, and finds them by the
/// names of their functions: those of a file or module `root_*`, and all that use the test bed.
#[test]
fn tests_that_need_root_say_so_in_their_names() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..")];
    let mut checked = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with("root_") && name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                checked += 1;
                for test in names_of_tests(&text) {
                    assert!(test.starts_with("root_"), "{}: {test}", path.display());
                }
            }
        }
    }
    assert!(checked > 3, "only {checked} files were read");
}

fn names_of_tests(text: &str) -> impl Iterator<Item = &str> {
    text.split("test]\n").skip(1).filter_map(|rest| {
        let (_, signature) = rest.split_once("fn ")?;
        signature.split_once('(').map(|(name, _)| name)
    })
}
