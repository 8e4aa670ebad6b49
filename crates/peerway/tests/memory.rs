//! A server's memory under bad requests: it reaches a level and stays there.
//!
//! `PEERWAY_BAD_REQUESTS=N` sends N; the bound is the same for any number.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use api::tencent::signature::PATH;
use api::tencent::{Method, Parameters, SignedRequest, sign};
use serde_json::Value;

/// Requests that are sent when nothing else is asked for.
const REQUESTS: usize = 20_000;

/// Requests after which every buffer has its size, as a share of all: one in this many.
const WARM_UP: usize = 10;

/// Connections at once.
const CONNECTIONS: usize = 8;

/// How much the server may grow after the warm-up. A byte that is kept of each of the requests'
/// 30 kB on average would be a hundred times as much.
const GROWTH_MIB: u64 = 24;

/// The most that the server may have at all: eight bodies of 1 MiB at a time, decoded, and itself.
const TOTAL_MIB: u64 = 192;

const SECRET_ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA";
const SECRET_KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA";
const HOST: &str = "vpc.api.qcloud.com";

struct Server {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let seed = folder.path().join("seed.toml");
        let text = format!(
            "[[account]]\nuin = 1\nname = \"first\"\n[[account.key]]\nsecret_id = \"{SECRET_ID}\"\nsecret_key = \"{SECRET_KEY}\"\n"
        );
        std::fs::write(&seed, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_peerway"))
            .args(["--log", "info", "--log-format", "json", "server"])
            .args(["--dataplane", "none", "--http", "127.0.0.1:0"])
            .args(["--https", "127.0.0.1:0", "--sync", "127.0.0.1:0"])
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .arg("--admin-socket")
            .arg(folder.path().join("admin.sock"))
            .arg("--seed-file")
            .arg(seed)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = None;
        for line in &mut log {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap_or_default();
            let message = event["fields"]["message"].as_str().unwrap_or_default();
            if message.starts_with("the API listens (http)") {
                address = event["fields"]["address"].as_str().map(str::to_owned);
            }
            if message == "ready" {
                break;
            }
        }
        // The server never waits for a reader of its log.
        std::thread::spawn(move || log.for_each(drop));
        Server {
            child,
            address: address.expect("the server listens").parse().unwrap(),
            _folder: folder,
        }
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.unwrap().trim().strip_suffix(" kB").unwrap();
        text.parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A connection with HTTP/1.1 on it, opened again when the server has closed it.
struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// The body of the answer; `None` where the server closed before all was sent, which it may do
    /// to a body that is too long.
    fn send(&mut self, head: &str, body: &[u8]) -> Option<Value> {
        let stream = self.stream.get_or_insert_with(|| {
            let stream = TcpStream::connect(self.address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            BufReader::new(stream)
        });
        let length = body.len();
        let head = format!("{head}host: {HOST}\r\ncontent-length: {length}\r\n\r\n");
        let sent = stream.get_mut().write_all(head.as_bytes());
        let sent = sent.and_then(|()| stream.get_mut().write_all(body));
        let answer = read(stream);
        let (answer, closes) = match (answer, sent) {
            (Ok(answer), _) => answer,
            (Err(_), Err(_)) => {
                self.stream = None;
                return None;
            }
            (Err(error), Ok(())) => panic!("no answer: {error}"),
        };
        if closes {
            self.stream = None;
        }
        Some(answer)
    }
}

/// The answer, and whether the connection ends with it.
fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<(Value, bool)> {
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if line.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let closes = headers
        .get("connection")
        .is_some_and(|value| value == "close");
    Ok((serde_json::from_slice(&body).unwrap(), closes))
}

/// The query of a signed request, right in everything but what is changed.
fn signed(number: usize, pairs: &[(&str, &str)], offset_secs: u64) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let (timestamp, nonce) = (
        (now.as_secs() - offset_secs).to_string(),
        number.to_string(),
    );
    let common = [
        ("Region", "gz"),
        ("Timestamp", &timestamp),
        ("Nonce", &nonce),
        ("SecretId", SECRET_ID),
    ];
    let mut parameters: Parameters = common.iter().chain(pairs).copied().collect();
    let request = SignedRequest {
        method: Method::Get,
        host: HOST,
        path: PATH,
        parameters: &parameters,
    };
    let signature = sign(&request, SECRET_KEY.as_bytes());
    parameters.push("Signature", signature);
    parameters.to_form()
}

/// The beginning of a GET.
fn get(query: &str) -> String {
    format!("GET {PATH}?{query} HTTP/1.1\r\n")
}

/// The `number`th bad request: head and body. No two are equal, so that whatever is kept of a
/// request is kept for each.
fn bad(number: usize) -> (String, Vec<u8>) {
    let get = |query: String| (get(&query), Vec::new());
    let post = |content_type: &str, body: Vec<u8>| {
        let head = format!("POST {PATH} HTTP/1.1\r\ncontent-type: {content_type}\r\n");
        (head, body)
    };
    let form = "application/x-www-form-urlencoded";
    if number.is_multiple_of(40) {
        return match number / 40 % 4 {
            0 => post(
                form,
                format!("n={number}&a={}", "a".repeat(1_000_000)).into_bytes(),
            ),
            1 => post(
                form,
                format!("n={number}{}", "&p=1".repeat(200_000)).into_bytes(),
            ),
            2 => post(
                "multipart/form-data; boundary=x",
                format!("--x\r\n{number}").repeat(90_000).into_bytes(),
            ),
            _ => post(form, vec![b'a'; (1 << 20) + 1 + number % 7]),
        };
    }
    match number % 10 {
        0 => get(format!("Action=DescribeVpcEx&n={number}")),
        1 => get(signed(
            number,
            &[("Action", &format!("Unknown{number}"))],
            0,
        )),
        2 => get(signed(
            number,
            &[
                ("Action", "DescribeVpcEx"),
                ("vpcId", &format!("x{number}")),
            ],
            0,
        )),
        3 => get(signed(number, &[("Action", "DescribeVpcEx")], 8000)),
        4 => get(signed(number, &[("Action", "DescribeVpcEx")], 0) + "&late=1"),
        5 => get(signed(number, &[("Action", "DescribeVpcEx")], 0)
            .replace(SECRET_ID, &format!("AKID{number}"))),
        6 => get(format!("n={number}&vpcName=%FF")),
        7 => get(format!("n={number}&long={}", "b".repeat(30_000))),
        8 => post(
            form,
            format!("n={number}&{}", "c".repeat(20_000)).into_bytes(),
        ),
        _ => post(&format!("text/{number}"), b"{}".to_vec()),
    }
}

/// Sends the requests of a range over all connections.
fn send_all(address: SocketAddr, range: std::ops::Range<usize>) {
    let next = AtomicUsize::new(range.start);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection {
                    address,
                    stream: None,
                };
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= range.end {
                        break;
                    }
                    let (head, body) = bad(number);
                    if let Some(answer) = connection.send(&head, &body) {
                        assert_ne!(answer["code"], 0, "{number}: {answer}");
                        assert_ne!(answer["code"], 6000, "{number}: {answer}");
                    }
                }
            });
        }
    });
}

#[test]
fn bad_requests_leave_nothing_behind() {
    let requests = std::env::var("PEERWAY_BAD_REQUESTS").map_or(REQUESTS, |text| {
        text.parse().expect("PEERWAY_BAD_REQUESTS is a number")
    });
    let server = Server::start();
    let idle = server.resident_kib();
    let warm_up = requests / WARM_UP;
    send_all(server.address, 0..warm_up);
    let warm = server.resident_kib();
    send_all(server.address, warm_up..requests);
    let after = server.resident_kib();
    println!(
        "resident: {idle} KiB idle, {warm} KiB after {warm_up} bad requests, {after} KiB after {requests}"
    );
    let mut connection = Connection {
        address: server.address,
        stream: None,
    };
    let good = signed(requests, &[("Action", "DescribeSubnetEx")], 0);
    let answer = connection.send(&get(&good), &[]).unwrap();
    assert_eq!(answer["code"], 0, "{answer}");
    let growth = after.saturating_sub(warm) / 1024;
    assert!(
        growth < GROWTH_MIB,
        "{growth} MiB more after {requests} bad requests"
    );
    assert!(after / 1024 < TOTAL_MIB, "{} MiB resident", after / 1024);
}
