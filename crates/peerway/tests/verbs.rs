//! The operator's verbs and the server that needs only a seed, as a user runs them: processes and
//! their output.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

const UIN: &str = "2407912486";
const SEED: &str = r#"
[[account]]
uin = 2407912486
app_id = 1351000042
name = "first"
[[account.key]]
secret_id = "AKIDseeded"
secret_key = "seededseededseeded"
[[account.vpc]]
id = "gz_vpc_226"
name = "web"
cidr = "10.226.0.0/16"
"#;

/// A server without gateways, started with nothing but a seed.
struct Server {
    folder: TempDir,
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    /// What it printed until it said how to use it.
    greeting: String,
    started_in: Duration,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let seed = folder.path().join("seed.toml");
        std::fs::write(&seed, SEED).unwrap();
        let begun = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_peerway"))
            .args(["server", "--dataplane", "none", "--seed-file"])
            .arg(&seed)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("peerway audit") {
            let read = output.read_line(&mut greeting).unwrap();
            assert!(read > 0, "it ended early:\n{greeting}");
        }
        Server {
            folder,
            process,
            output,
            greeting,
            started_in: begun.elapsed(),
        }
    }

    /// The word behind a name in the greeting.
    fn told(&self, name: &str) -> String {
        let mut lines = self.greeting.lines().map(str::trim);
        let line = lines.find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in:\n{}", self.greeting));
        line[name.len()..].trim().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_peerway"))
            .args(arguments)
            .env("PEERWAY_ADMIN_SOCKET", self.told("admin socket"))
            .output()
            .unwrap()
    }

    /// Runs a verb that succeeds, for people.
    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {log}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same for programs.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Runs a verb that is refused and tells what it says.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Stops it in order and tells where its state was.
    fn stop(&mut self) -> PathBuf {
        let state = PathBuf::from(self.told("CA")).parent().unwrap().to_owned();
        kill(
            Pid::from_raw(self.process.id().cast_signed()),
            Signal::SIGTERM,
        )
        .unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        state
    }
}

impl Drop for Server {
    /// A test that failed leaves no process.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn rows(text: &str) -> Vec<&str> {
    text.lines().skip(1).collect()
}

#[test]
fn a_server_with_nothing_but_a_seed_is_ready_within_a_second_and_leaves_nothing() {
    // The first start may have to read the program from the disk.
    Server::start().stop();
    let mut server = Server::start();
    // The number that is promised is of the optimised build; this one takes longer in its start.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 5000 } else { 1000 });
    assert!(server.started_in < limit, "{:?}", server.started_in);
    assert!(
        server.greeting.contains("AKIDseeded"),
        "{}",
        server.greeting
    );
    assert!(
        !server.greeting.contains("seededseeded"),
        "{}",
        server.greeting
    );
    let endpoint = server.told("endpoint");
    let address = endpoint
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/v2/index.php"))
        .unwrap_or_else(|| panic!("{endpoint}"));
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ca = server.told("CA");
    assert!(Path::new(&ca).exists());
    let state = server.stop();
    assert!(!state.exists(), "{} is left", state.display());
}

#[test]
fn accounts_and_quotas_are_made_shown_and_changed() {
    let mut server = Server::start();
    let made = server.json(&["account", "create", "--name", "second", "--uin", "7"]);
    assert_eq!(made["uin"], 7);
    assert!(
        server
            .text(&["account", "create", "--name", "x"])
            .contains("next: ")
    );
    assert!(
        server
            .refused(&["account", "create", "--name", "x", "--uin", "7"])
            .contains('7')
    );
    assert_eq!(
        server.json(&["account", "list"]).as_array().unwrap().len(),
        3
    );
    assert_eq!(rows(&server.text(&["account", "list"])).len(), 3);
    let shown = server.json(&["account", "show", UIN]);
    assert_eq!(
        (&shown["vpcs"], &shown["quotas"]["vpcs_per_region"]),
        (&1.into(), &5.into())
    );
    assert!(
        server
            .text(&["account", "show", UIN])
            .contains("AKIDseeded")
    );

    let set = ["quota", "set", "--uin", UIN, "--vpcs-per-region", "9"];
    assert_eq!(server.json(&set)["vpcs_per_region"], 9);
    let show = ["quota", "show", "--uin", UIN];
    assert_eq!(server.json(&show)["vpcs_per_region"], 9);
    assert!(server.text(&show).contains("vpcs-per-region"));
    let unknown = server.refused(&["quota", "show", "--uin", "5"]);
    assert!(unknown.contains("create it first"), "no hint: {unknown}");
    let nothing = server.refused(&["quota", "set", "--uin", UIN]);
    assert!(nothing.contains("--vpcs-per-region"), "{nothing}");
    server.stop();
}

#[test]
fn keys_and_sub_accounts_are_made_restricted_and_deleted() {
    let mut server = Server::start();
    let key = server.json(&["key", "create", "--uin", UIN, "--read-only"]);
    let id = key["secret_id"].as_str().unwrap();
    assert!(!key["secret_key"].as_str().unwrap().is_empty());
    assert_eq!(server.json(&["key", "disable", id])["status"], "disabled");
    assert_eq!(server.json(&["key", "enable", id])["status"], "enabled");
    assert_eq!(
        server.json(&["key", "set-access", id, "full"])["read_only"],
        false
    );
    let second = server.json(&["key", "rotate", id, "--grace-secs", "60"]);
    let second = second["secret_id"].as_str().unwrap();
    assert_ne!(second, id);
    let keys = server.json(&["key", "list", "--uin", UIN]);
    assert_eq!(keys.as_array().unwrap().len(), 3);
    let listed = server.text(&["key", "list"]);
    assert!(listed.contains(id) && listed.contains("full"));
    assert_eq!(server.json(&["key", "delete", second])["deleted"], second);
    assert!(server.refused(&["key", "delete", second]).contains(second));

    let policy = server.folder.path().join("policy.json");
    let text = r#"{"version":"2.0","statement":{"effect":"allow","action":"*","resource":"*"}}"#;
    std::fs::write(&policy, text).unwrap();
    let policy = policy.to_str().unwrap();
    let create = [
        "subaccount",
        "create",
        "--owner",
        UIN,
        "--name",
        "ci",
        "--policy",
        policy,
    ];
    let made = server.json(&create);
    assert_eq!(made["statements"], 1, "{made}");
    let uin = made["uin"].to_string();
    let set = server.json(&["subaccount", "policy", "set", &uin, "--file", policy]);
    assert!(set.is_object(), "{set}");
    let shown = server.text(&["subaccount", "policy", "show", &uin]);
    assert!(shown.contains("allow"), "{shown}");
    std::fs::write(policy, "{}").unwrap();
    let refused = server.refused(&["subaccount", "policy", "set", &uin, "--file", policy]);
    assert!(
        refused.contains("version") || refused.contains("statement"),
        "{refused}"
    );
    let list = ["subaccount", "list", "--owner", UIN];
    assert_eq!(server.json(&list).as_array().unwrap().len(), 1);
    assert!(server.text(&["subaccount", "delete", &uin]).contains(&uin));
    assert_eq!(server.json(&list).as_array().unwrap().len(), 0);
    server.stop();
}

#[test]
fn what_is_not_there_is_said_and_lists_may_be_empty() {
    let mut server = Server::start();
    assert_eq!(server.json(&["peering", "list"]), Value::Array(vec![]));
    assert_eq!(
        server.json(&["task", "list", "--running"]),
        Value::Array(vec![])
    );
    for verb in ["show", "delete"] {
        let refused = server.refused(&["peering", verb, "pcx-aaaaaaaa"]);
        assert!(refused.contains("pcx-aaaaaaaa"), "{refused}");
    }
    let refused = server.refused(&["peering", "list", "--state", "happy"]);
    assert!(refused.contains("pending"), "{refused}");
    assert_eq!(server.json(&["gateway", "list"]), Value::Array(vec![]));
    assert!(server.text(&["gateway", "list"]).starts_with("GATEWAY"));
    let refused = server.refused(&["gateway", "remove", "gw-aaaaaaaa"]);
    assert!(refused.contains("gw-aaaaaaaa"), "{refused}");
    let token = server.json(&["gateway", "token", "--region", "gz"]);
    assert!(token["join"].is_string(), "{token}");
    let unreachable = Command::new(env!("CARGO_BIN_EXE_peerway"))
        .args(["account", "list", "--admin-socket", "/nonexistent/socket"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&unreachable.stderr);
    assert!(!unreachable.status.success());
    assert!(
        text.contains("/nonexistent/socket") && text.contains("peerway server"),
        "{text}"
    );
    server.stop();
}

#[test]
fn the_audit_log_tells_what_the_operator_did() {
    let mut server = Server::start();
    server.text(&["account", "create", "--name", "second", "--uin", "7"]);
    server.text(&["quota", "set", "--uin", "7", "--inbox-per-vpc", "3"]);
    let entries = server.json(&["audit", "--action", "quota.*"]);
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0]["who"]["operator"].is_number(), "{}", entries[0]);
    let text = server.text(&["audit", "--since", "1h", "--limit", "5"]);
    assert!(text.contains("operator (user"), "{text}");
    assert!(
        server
            .json(&["audit", "--until", "1h"])
            .as_array()
            .unwrap()
            .is_empty()
    );
    let refused = server.refused(&["audit", "--since", "yesterday"]);
    assert!(refused.contains("yesterday"), "{refused}");
    server.stop();
}
