//! Connections: TLS names, HTTP versions, other paths, plain HTTP, the end of a server.

use std::time::Duration;

use api::tencent::Method;
use api::tencent::signature::PATH;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use server::{Dataplane, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bed::{BOUND, Bed, first};
use crate::client::{Answer, HOST, form};

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_calls() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let stream = TokioIo::new(bed.client().connect(&[b"http/1.1"]).await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let parameters = caller.parameters(bed.clock_secs(), "gz", "DescribeVpcEx", &[]);
        let target = format!("{PATH}?{}", form(&caller.sign(Method::Get, parameters)));
        let request = Request::get(target)
            .header("host", HOST)
            .body(Full::<Bytes>::default())
            .unwrap();
        sender.ready().await.unwrap();
        let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer.json()["code"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_served_to_those_who_choose_it() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let parameters = caller.parameters(bed.clock_secs(), "gz", "DescribeVpcEx", &[]);
    let answer = bed
        .client()
        .get_http2(&caller.sign(Method::Get, parameters))
        .await;
    assert_eq!(answer.json()["code"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_are_not_found_and_health_is_told() {
    let bed = Bed::start(Dataplane::None).await;
    let client = bed.client();
    for path in ["/v2", "/v2/index.php/more", "/v3/index.php"] {
        let answer = client.send(Request::get(path), "").await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].as_str().unwrap().contains(PATH));
    }
    // API 3.0 is there, and refuses what is not signed.
    let answer = client.send(Request::get("/"), "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["Response"]["Error"]["Code"].is_string());
    let health = client.send(Request::get("/healthz"), "").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_served_where_it_was_asked_for() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let parameters = caller.parameters(bed.clock_secs(), "gz", "DescribeVpcEx", &[]);
    let target = form(&caller.sign(Method::Get, parameters));
    let mut stream = TcpStream::connect(bed.http()).await.unwrap();
    let request =
        format!("GET {PATH}?{target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"codeDesc\":\"Success\""), "{answer}");
}

/// What is no HTTP never becomes a request of the API, and ends nothing but its own connection.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused_by_http() {
    let bed = Bed::start(Dataplane::None).await;
    let long = "a".repeat(70_000);
    let many = "x: 1\r\n".repeat(200);
    for (request, status) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400),
        (format!("GET {PATH}?Action=a b HTTP/1.1\r\n\r\n"), 400),
        (format!("GET {PATH}?a={long} HTTP/1.1\r\n\r\n"), 414),
        (format!("GET {PATH}?a=1 HTTP/1.1\r\n{many}\r\n"), 431),
        (
            format!("POST {PATH} HTTP/1.1\r\ncontent-length: -1\r\n\r\n"),
            400,
        ),
    ] {
        let mut stream = TcpStream::connect(bed.http()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        // What was not read of a request makes the end a reset.
        let _ = tokio::time::timeout(BOUND, read).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let shown = &request[..request.len().min(40)];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{shown}: {answer}");
    }
    bed.call("gz", "DescribeVpcEx", &[]).await;
}

async fn say_in_plain_text(bed: &Bed, text: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(bed.https()).await.unwrap();
    stream.write_all(text).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // An error is an end as well: what is unread on the server's side resets the connection.
    let _ = tokio::time::timeout(BOUND, read).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_the_tls_port_is_answered_with_its_code() {
    let bed = Bed::start(Dataplane::None).await;
    for request in [
        format!("GET {PATH}?Action=DescribeVpcEx HTTP/1.1\r\nhost: {HOST}\r\n\r\n"),
        format!("POST {PATH} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let answer = say_in_plain_text(&bed, request.as_bytes()).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("\"code\":4600,"), "{answer}");
        assert!(answer.contains("InvalidRequest.UnsupportedProtocol"));
    }
    let other = say_in_plain_text(&bed, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(other.starts_with(b"HTTP/1.1 404"), "{other:?}");
    bed.call("gz", "DescribeVpcEx", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_protocol_on_the_tls_port_is_cut_and_the_next_caller_served() {
    let bed = Bed::start(Dataplane::None).await;
    for text in [
        &b"hello\r\n\r\n"[..],
        b"\x16\x03garbage garbage",
        b"\0\0\0\0\0\0",
    ] {
        let rest = say_in_plain_text(&bed, text).await;
        // What is left is a TLS alert, or nothing at all.
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    }
    bed.call("gz", "DescribeVpcEx", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_keep_a_server_from_ending() {
    let mut bed = Bed::start(Dataplane::None).await;
    let _idle = bed.client().connect(&[]).await;
    let _silent = TcpStream::connect(bed.https()).await.unwrap();
    let began = std::time::Instant::now();
    bed.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let bed = Bed::start(Dataplane::None).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = server::config::ServerConfig::local(folder.path().to_owned());
    config.https = Some(bed.https());
    let error = server::build(config).await.err().unwrap();
    assert!(
        matches!(error, StartError::Listen { what: "https", .. }),
        "{error}"
    );
    assert!(error.to_string().contains(&bed.https().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_has_one_server() {
    let bed = Bed::start(Dataplane::None).await;
    let mut config = bed.config();
    config.admin_socket = bed.path("other.sock");
    let error = server::build(config).await.err().unwrap();
    assert!(
        matches!(error, StartError::Store(store::StoreError::InUse { .. })),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_has_its_state_and_applies_the_seed_again() {
    let mut bed = Bed::start(Dataplane::None).await;
    let parameters = [("vpcName", "third"), ("cidrBlock", "10.3.0.0/16")];
    bed.call("gz", "CreateVpc", &parameters).await;
    bed.stop().await;
    bed.run().await;
    let listed = bed.call("gz", "DescribeVpcEx", &[]).await;
    assert_eq!(listed["totalCount"], 3, "{listed}");
}
