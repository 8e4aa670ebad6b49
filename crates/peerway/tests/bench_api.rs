//! `peerway bench api` in small: it measures what it says, and no answer is wrong.

use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_peerway"))
        .args(["bench", "api"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn every_workload_is_measured_and_every_answer_is_right() {
    let output = bench(&[
        "--peerings=120",
        "--scale=40,120",
        "--connections=4",
        "--seconds=0.4",
        "--warm-up-seconds=0.1",
        "--rounds=1",
        "--json",
    ]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["connections"], 4);
    let servers = report["servers"].as_array().unwrap();
    let names = |server: &Value| -> Vec<String> {
        let workloads = server["workloads"].as_array().unwrap().iter();
        workloads
            .map(|workload| workload["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(servers.len(), 2);
    assert_eq!(servers[0]["peerings"], 40);
    assert_eq!(names(&servers[0]), ["admission"]);
    assert_eq!(servers[1]["peerings"], 120);
    let all = ["list", "list-any", "create", "delete", "admission"];
    assert_eq!(names(&servers[1]), all);
    for server in servers {
        for workload in server["workloads"].as_array().unwrap() {
            check(workload);
        }
    }
}

fn check(workload: &Value) {
    assert_eq!(workload["errors"], 0, "{workload}");
    assert!(workload["cpu_micros"].as_f64().unwrap() > 0.0, "{workload}");
    let seconds = workload["seconds"].as_f64().unwrap();
    let commits = workload["commits"].as_u64().unwrap();
    let syncs = workload["syncs"].as_u64().unwrap();
    let mut written = 0.0;
    for request in workload["requests"].as_array().unwrap() {
        let number = |name: &str| request[name].as_f64().unwrap();
        assert!(number("per_second") > 0.0, "{workload}");
        assert!(number("p50_millis") > 0.0, "{workload}");
        assert!(number("p50_millis") <= number("p99_millis"), "{workload}");
        assert!(number("p99_millis") <= number("max_millis"), "{workload}");
        let name = request["name"].as_str().unwrap();
        if name.starts_with("Create") || name.starts_with("Delete") {
            written += number("per_second") * seconds;
        }
    }
    // A write is answered after it was committed, and each commit was synced.
    assert!(commits as f64 >= written.round(), "{workload}");
    assert!(
        syncs <= commits && (syncs > 0) == (commits > 0),
        "{workload}"
    );
}

#[test]
fn what_cannot_be_measured_is_refused_with_its_reason() {
    let check = |arguments: &[&str], expected: &str| {
        let output = bench(arguments);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(log.contains(expected), "{log}");
    };
    check(&["--connections=0"], "--connections is 0");
    check(&["--rounds=0"], "--rounds is 0");
    check(&["--seconds=0"], "--seconds is not above 0");
    check(&["--client-core=0"], "are both 0");
    check(
        &["--peerings=10", "--scale=10", "--connections=2"],
        "10 stored peerings are too few",
    );
}
