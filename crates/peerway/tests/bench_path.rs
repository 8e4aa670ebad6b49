//! `peerway bench path` in small: it measures what it says and leaves nothing behind, also when it is
//! interrupted. Needs root, `ip`, `ethtool`, `wireguard-go`, `/dev/net/tun` and the `vxlan` device type.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerway"));
    command.args(["bench", "path"]).args(arguments);
    command
}

fn measured(arguments: &[&str]) -> Vec<Value> {
    let output = bench(arguments)
        .args(["--rounds=1", "--seconds=0.5", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", log(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["inner_mtu"], 1390);
    report["ways"].as_array().unwrap().clone()
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Labs and their like that are there, by the names of their namespaces.
fn namespaces() -> Vec<String> {
    let all = kernel::netns::Namespace::list().unwrap();
    all.into_iter()
        .filter(|name| name.starts_with("pwlab-"))
        .collect()
}

#[test]
fn root_every_measure_finds_something() {
    let before = namespaces();
    let ways = measured(&["--ways=plain,peerway"]);
    assert_eq!(ways.len(), 2);
    for way in &ways {
        assert_eq!(way["skipped"], Value::Null);
        let value = |name: &str| {
            let median = way["results"][name]["median"].as_f64();
            median.unwrap_or_else(|| panic!("no {name} in {way}"))
        };
        for name in [
            "tcp_wire_1_stream_mbps",
            "tcp_wire_4_streams_mbps",
            "tcp_gso_1_stream_mbps",
            "tcp_gso_4_streams_mbps",
            "tcp_20_ms_cubic_mbps",
            "tcp_20_ms_bbr_mbps",
            "tcp_20_ms_lossy_cubic_mbps",
            "tcp_20_ms_lossy_bbr_mbps",
        ] {
            assert!(value(name) > 1.0, "{name} in {way}");
        }
        assert!(value("udp_lossless_kpps") > 0.4, "{way}");
        assert!(value("udp_machine_cpu_micros") > 0.0, "{way}");
        assert!(value("rtt_p50_micros") <= value("rtt_p99_micros"), "{way}");
    }
    let cpu = &ways[1]["results"]["udp_program_cpu_micros"]["median"];
    assert!(cpu.as_f64().unwrap() > 0.0, "the gateways' own time: {cpu}");
    assert_eq!(namespaces(), before);
}

#[test]
fn root_a_peering_reorders_nothing_of_a_flow() {
    // On one core, where the kernel itself has nothing to put out of order.
    let mut core = CpuSet::new();
    core.set(0).unwrap();
    let mut command = bench(&["--ways=peerway", "--measure=udp", "--json"]);
    command.args(["--rounds=1", "--seconds=2"]);
    // SAFETY: the hook makes one system call between fork and exec; it allocates nothing.
    unsafe { command.pre_exec(move || Ok(sched_setaffinity(Pid::from_raw(0), &core)?)) };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", log(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = &report["ways"][0]["results"];
    assert!(results["udp_lossless_kpps"]["median"].as_f64() > Some(0.4));
    assert_eq!(results["udp_reordered_packets"]["median"], 0.0, "{results}");
}

#[test]
fn root_other_ways_are_measured_where_they_are_installed_and_named_where_not() {
    let output = bench(&["--ways=vxlan,wireguard-go,gotatun", "--measure=rtt"])
        .args(["--rounds=1", "--seconds=0.2"])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", log(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for way in ["vxlan ", "wireguard-go "] {
        assert!(table.lines().any(|line| line.starts_with(way)), "{table}");
    }
    assert!(
        table.contains("gotatun: SKIPPED, no program gotatun is in PATH"),
        "{table}"
    );
}

#[test]
fn root_an_interrupted_measurement_leaves_nothing() {
    let before = namespaces();
    let mut child = bench(&["--ways=plain,wireguard-go", "--measure=tcp", "--seconds=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("round 1 of 3: wireguard-go")));
    assert!(namespaces().len() > before.len());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let begin = Instant::now();
    let rest: Vec<String> = lines.collect();
    let status = child.wait().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(!status.success());
    assert!(
        rest.iter()
            .any(|line| line.contains("everything is removed")),
        "{rest:?}"
    );
    assert_eq!(namespaces(), before);
}

#[test]
fn what_cannot_be_measured_is_refused_with_its_reason() {
    for (argument, expected) in [
        ("--rounds=0", "--rounds is 0"),
        ("--seconds=0", "--seconds is not above 0"),
        (
            "--ways=carrier-pigeon",
            "possible values: plain, vxlan, peerway",
        ),
    ] {
        let output = bench(&[argument]).output().unwrap();
        assert!(!output.status.success());
        assert!(log(&output).contains(expected), "{}", log(&output));
    }
}
