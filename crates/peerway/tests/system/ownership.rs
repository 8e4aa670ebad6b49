//! Several gateways and labs share a host: each cleans up its own, and everything is as before.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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

/// The first namespace ever made on a host makes /run/netns a mount point, as `ip netns` does.
fn warm_up() {
    let namespace = Namespace::create(&format!("pwtest-{}", std::process::id())).unwrap();
    Namespace::delete(namespace.name()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_lab_leaves_the_host_as_it_found_it() {
    warm_up();
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
    first.lab.stop_gateway(region, Signal::SIGTERM).unwrap();
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

/// Starts a demo and waits until it has built everything and measures.
fn demo_in_the_middle() -> std::process::Child {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_peerway"))
        .arg("demo")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(
        lines.any(|line| line.contains("measuring TCP")),
        "the demo ended early"
    );
    // What it says from here on is read, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    demo
}

/// Waits until the host is as it was; what a killed process held goes a moment later.
fn await_traces(expected: &Traces) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while traces() != *expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(traces(), *expected);
}

#[test]
fn root_an_interrupted_demo_leaves_nothing() {
    warm_up();
    let before = traces();
    let mut demo = demo_in_the_middle();
    kill(Pid::from_raw(demo.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    await_traces(&before);
}

#[test]
fn root_a_killed_demo_is_cleaned_by_the_next_and_a_living_one_is_not() {
    warm_up();
    let before = traces();
    let mut living = demo_in_the_middle();
    let with_one = traces();
    let mut killed = demo_in_the_middle();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let clean = Command::new(env!("CARGO_BIN_EXE_peerway"))
        .args(["demo", "--clean"])
        .output();
    let output = clean.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("removed pwlab-"));
    await_traces(&with_one);
    kill(Pid::from_raw(living.id().cast_signed()), Signal::SIGINT).unwrap();
    living.wait().unwrap();
    await_traces(&before);
}
