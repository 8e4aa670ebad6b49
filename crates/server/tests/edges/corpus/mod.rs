//! The corpus of bad requests: each is answered with its recorded answer, soon, as an envelope with
//! HTTP status 200; none changes anything, none makes the server log an error.
//!
//! `REGENERATE=1 cargo test -p server --test edges corpus` records the answers anew; what changed is
//! then for `git diff` to show and for a reader to judge.

mod case;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::tencent::CONTENT_TYPE;
use http::Request;
use serde_json::Value;
use server::Dataplane;
use tracing_subscriber::fmt::MakeWriter;

use self::case::{Case, CorpusFile, Wire};
use crate::bed::{Bed, first};
use crate::client::Answer;

/// How long a bad request may take, on a busy machine and without optimisation. It is answered in
/// a few milliseconds; a cost that grows with what was sent would be far beyond this bound.
const SLOW: Duration = Duration::from_secs(2);

/// How many cases there are at least.
const ENOUGH: usize = 300;

/// The code, the symbolic code and the message of an answer, in one line.
fn line_of(answer: &Answer, names: &BTreeMap<&str, String>) -> Result<String, String> {
    if answer.status != 200 {
        return Err(format!("the HTTP status is {}", answer.status));
    }
    if answer.headers["content-type"] != CONTENT_TYPE {
        return Err(format!(
            "the media type is {:?}",
            answer.headers["content-type"]
        ));
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("{error}: {:?}", answer.body))?;
    let Value::Object(fields) = &body else {
        return Err(format!("the answer is no object: {body}"));
    };
    let keys: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
    if keys != BTreeSet::from(["code", "codeDesc", "message"]) {
        return Err(format!("the answer to a failure has the fields {keys:?}"));
    }
    let (Some(code), Some(code_desc), Some(message)) = (
        body["code"].as_i64(),
        body["codeDesc"].as_str(),
        body["message"].as_str(),
    ) else {
        return Err(format!("a field has the wrong type: {body}"));
    };
    if code == 0 || code_desc.is_empty() || message.is_empty() {
        return Err(format!("this is no failure: {body}"));
    }
    if matches!(code, 6000 | 6200) {
        return Err(format!("the server takes the fault on itself: {body}"));
    }
    let mut message = message.to_owned();
    // Only ids differ between runs; the number of a task does not.
    for (name, value) in names.iter().filter(|(_, value)| value.contains('-')) {
        message = message.replace(value, &format!("${name}"));
    }
    let shown = serde_json::to_string(&message).unwrap();
    Ok(format!("{code} {code_desc} {}", visible(&shown)))
}

/// Characters that change how a line is displayed, as escapes.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{300}'..='\u{36f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{ffff}' => {
                format!("\\u{:04x}", u32::from(c))
            }
            other => other.to_string(),
        })
        .collect()
}

/// What the server logs as an error.
#[derive(Clone, Default)]
struct ErrorLog(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for ErrorLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for ErrorLog {
    type Writer = ErrorLog;

    fn make_writer(&'a self) -> ErrorLog {
        self.clone()
    }
}

async fn send(bed: &Bed, wire: Wire) -> Answer {
    let mut request = Request::builder()
        .method(wire.method.as_str())
        .uri(wire.target);
    for (name, value) in &wire.headers {
        request = request.header(name.as_str(), value.as_slice());
    }
    bed.client().send_whole(request, wire.body).await
}

/// A peering that the first account asks for from gz, and its task.
async fn requested(bed: &Bed, ends: &[(&str, &str)]) -> (String, String) {
    let action = "CreateVpcPeeringConnectionEx";
    let rest = [("peeringConnectionName", "there"), ("bandwidth", "20")];
    let answer = bed.call("gz", action, &[ends, &rest].concat()).await;
    let task = answer["taskId"].as_u64().unwrap();
    bed.end_of(task).await.unwrap();
    let task = task.to_string();
    let parameters = [("taskId", task.as_str())];
    let ended = bed.call("gz", "DescribeVpcTaskResult", &parameters).await;
    let peering = ended["data"]["output"]["uniqVpcPeerId"].as_str().unwrap();
    (peering.to_owned(), task)
}

/// Peerings for the cases that need some, and what their names in the corpus stand for.
async fn furnish(bed: &Bed) -> BTreeMap<&'static str, String> {
    let own = [
        ("vpcId", "gz_vpc_226"),
        ("peerVpcId", "gz_vpc_89"),
        ("peerUin", "2407912486"),
        ("peerRegion", "gz"),
    ];
    let (active, task) = requested(bed, &own).await;
    let others = [
        ("vpcId", "gz_vpc_89"),
        ("peerVpcId", "sh_vpc_8"),
        ("peerUin", "1000000002"),
        ("peerRegion", "sh"),
    ];
    let (pending, _) = requested(bed, &others).await;
    let parameters = [("vpcId", "gz_vpc_226")];
    let listed = bed.call("gz", "DescribeRouteTable", &parameters).await;
    let table = listed["data"][0]["unRouteTableId"].as_str().unwrap();
    BTreeMap::from([
        ("active", active),
        ("pending", pending),
        ("task", task),
        ("table", table.to_owned()),
    ])
}

async fn answer_to(
    bed: &Bed,
    case: &Case,
    names: &BTreeMap<&str, String>,
) -> Result<String, String> {
    let before = bed.core().catalog().revision();
    let request = case.request(&first(), bed.clock_secs(), names);
    let begun = Instant::now();
    let answer = send(bed, request).await;
    let took = begun.elapsed();
    let line = line_of(&answer, names)?;
    if took > SLOW {
        return Err(format!("it took {took:?}"));
    }
    if bed.core().catalog().revision() != before {
        return Err(format!("it changed something, and answered {line}"));
    }
    Ok(line)
}

// On one thread, so that the log of the server is that of this thread.
#[tokio::test]
async fn every_bad_request_is_answered_as_recorded() {
    let log = ErrorLog::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bed = Bed::start(Dataplane::None).await;
    let names = furnish(&bed).await;
    let files = CorpusFile::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"));
    let regenerate = std::env::var_os("REGENERATE").is_some();

    let mut answers = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in &files {
        for case in file.cases() {
            let mut complain = |what: &str| {
                wrong.push(format!("{}: {}: {what}", file.shown_path(), case.name));
            };
            let line = match answer_to(&bed, case, &names).await {
                Ok(line) => line,
                Err(why) => {
                    complain(&why);
                    continue;
                }
            };
            if line != case.golden && !regenerate {
                let recorded = &case.golden;
                complain(&format!("answered\n    {line}\nrecorded\n    {recorded}"));
            }
            let logged = std::mem::take(&mut *log.0.lock().unwrap());
            if !logged.is_empty() {
                let logged = String::from_utf8_lossy(&logged);
                complain(&format!("the server logged {logged}"));
            }
            let twice = answers.insert(case.name.clone(), line);
            assert!(twice.is_none(), "two cases are named {}", case.name);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        answers.len() >= ENOUGH,
        "there are only {} cases",
        answers.len()
    );
    if regenerate {
        for file in &files {
            file.record(&answers);
        }
    }
}
