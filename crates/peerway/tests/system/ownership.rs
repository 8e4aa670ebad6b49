//! Several gateways and labs share a host: each cleans up its own, and everything is as before.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use kernel::netns::Namespace;

use crate::harness::{SH_HOST, TwoRegions, ping};

/// What a lab could leave behind on the host.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    namespaces: BTreeSet<String>,
    links: BTreeSet<String>,
    routes: String,
    mounts: BTreeSet<String>,
    files: BTreeSet<String>,
    processes: usize,
}

fn lines(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(
        Command::new(program)
            .args(arguments)
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap()
}

fn names(folder: &str) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .map(|entries| {
            entries
                .map(|entry| format!("{folder}/{:?}", entry.unwrap().file_name()))
                .collect()
        })
        .unwrap_or_default()
}

fn traces() -> Traces {
    let binary = Path::new(env!("CARGO_BIN_EXE_peerway"));
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == binary))
        .count();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    Traces {
        namespaces: Namespace::list().unwrap().into_iter().collect(),
        links: names("/sys/class/net"),
        routes: lines("ip", &["route", "show", "table", "all"]),
        mounts: mounts
            .lines()
            .filter(|line| line.contains("/netns/"))
            .map(str::to_owned)
            .collect(),
        files: ["/run/peerway", "/run/peerway-lab", "/var/lib/peerway"]
            .iter()
            .flat_map(|folder| names(folder))
            .collect(),
        processes,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_lab_leaves_the_host_as_it_found_it() {
    // The first namespace ever made on a host makes /run/netns a mount point, as `ip netns` does.
    let warm_up = Namespace::create(&format!("pwtest-{}", std::process::id())).unwrap();
    Namespace::delete(warm_up.name()).unwrap();
    let before = traces();
    let site = TwoRegions::start(&[]).await;
    site.peer(20).await;
    assert_ne!(traces(), before, "a running lab is seen");
    drop(site);
    assert_eq!(traces(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_cleaning_one_gateway_leaves_the_others_and_a_second_lab_alone() {
    let mut first = TwoRegions::start(&[]).await;
    first.peer(20).await;
    let second = TwoRegions::start(&[]).await;
    second.peer(20).await;
    let host = Namespace::open(second.lab.host("a-gz").name()).unwrap();
    let pinging = std::thread::spawn(move || ping(&host, SH_HOST, 10_000));

    let region = model::Region::Guangzhou;
    let state_dir = first.lab.gateway_state_dir(region);
    let clean = || {
        Command::new(env!("CARGO_BIN_EXE_peerway"))
            .args(["gateway", "clean", "--state-dir"])
            .arg(&state_dir)
            .output()
            .unwrap()
    };
    let refused = clean();
    assert!(
        !refused.status.success(),
        "a running gateway is not cleaned under its feet"
    );
    first
        .lab
        .stop_gateway(region, nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    let instance = std::fs::read_to_string(state_dir.join("instance")).unwrap();
    let own = format!("pw-{}-", instance.trim());
    let count = || {
        Namespace::list()
            .unwrap()
            .iter()
            .filter(|name| name.starts_with(&own))
            .count()
    };
    assert!(count() > 0, "a stopped gateway leaves its namespaces");
    let cleaned = clean();
    assert!(
        cleaned.status.success(),
        "{}",
        String::from_utf8_lossy(&cleaned.stderr)
    );
    assert_eq!(count(), 0);

    let result = tokio::task::block_in_place(|| pinging.join().unwrap());
    assert!(
        result.is_complete(),
        "{} of {} answered",
        result.rtts.len(),
        result.sent
    );
    assert!(ping(second.lab.host("a-gz"), SH_HOST, 3).is_complete());
}
