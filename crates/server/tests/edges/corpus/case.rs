//! The files of the corpus: reading them, building the request of a case, writing them back.
//!
//! `tests/corpus/README.md` explains the notation to those who add cases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::tencent::signature::PATH;
use api::tencent::{Method, ParameterLimits, Parameters, SignedRequest, sign};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

use crate::client::{Caller, HOST};

/// A file of cases.
pub struct CorpusFile {
    path: PathBuf,
    lines: Vec<Line>,
}

enum Line {
    /// A comment, a definition or an empty line; written back as it was.
    Kept(String),
    Case(Case),
}

/// A bad request and what it is answered.
pub struct Case {
    pub name: String,
    /// The row as it was read.
    row: String,
    tokens: Vec<String>,
    /// The answer; empty where it has never been recorded.
    pub golden: String,
}

/// A request as it goes over the wire.
pub struct Wire {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl CorpusFile {
    /// All files of a folder, by name.
    pub fn all(folder: &Path) -> Vec<CorpusFile> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
        paths.sort();
        paths.into_iter().map(CorpusFile::read).collect()
    }

    fn read(path: PathBuf) -> CorpusFile {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut bases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                lines.push(Line::Kept(line.to_owned()));
            } else if let Some(golden) = line.strip_prefix("    ") {
                let Some(Line::Case(case)) = lines.last_mut() else {
                    panic!("{}: an answer without a case: {line}", path.display());
                };
                case.golden = golden.to_owned();
            } else if line.starts_with('@') {
                let (name, tokens) = line.split_once(" = ").expect("a definition has a ` = `");
                bases.insert(name.to_owned(), expand(tokens, &bases));
                lines.push(Line::Kept(line.to_owned()));
            } else {
                let (name, tokens) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("{}: no case: {line}", path.display()));
                lines.push(Line::Case(Case {
                    name: name.to_owned(),
                    row: line.to_owned(),
                    tokens: expand(tokens, &bases),
                    golden: String::new(),
                }));
            }
        }
        CorpusFile { path, lines }
    }

    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.lines.iter().filter_map(|line| match line {
            Line::Case(case) => Some(case),
            Line::Kept(_) => None,
        })
    }

    pub fn shown_path(&self) -> String {
        self.path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    /// Writes the file with the answers that were got, by name of the case.
    pub fn record(&self, answers: &BTreeMap<String, String>) {
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Kept(line) => text.push_str(line),
                Line::Case(case) => {
                    text.push_str(&case.row);
                    text.push_str("\n    ");
                    text.push_str(&answers[&case.name]);
                }
            }
            text.push('\n');
        }
        std::fs::write(&self.path, text).unwrap();
    }
}

/// The tokens of a row, with what the names of definitions stand for.
fn expand(tokens: &str, bases: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    tokens
        .split_whitespace()
        .flat_map(|token| {
            if token.starts_with('@') {
                bases
                    .get(token)
                    .unwrap_or_else(|| panic!("{token} is not defined"))
                    .clone()
            } else {
                vec![repeated(token)]
            }
        })
        .collect()
}

/// `{TEXT*N}` is N times TEXT, in which `#` is the number of the repetition.
fn repeated(token: &str) -> String {
    let Some((before, rest)) = token.split_once('{') else {
        return token.to_owned();
    };
    let parts = rest
        .split_once('}')
        .and_then(|(inner, after)| Some((inner.rsplit_once('*')?, after)));
    let Some(((text, count), after)) = parts else {
        return token.to_owned();
    };
    // Braces that are meant as such have no number in them.
    let Ok(count) = count.parse::<usize>() else {
        return token.to_owned();
    };
    let all: String = (0..count)
        .map(|number| text.replace('#', &number.to_string()))
        .collect();
    format!("{before}{all}{}", repeated(after))
}

/// What a request is put together from.
struct Draft {
    method: String,
    content_type: Option<String>,
    multipart: bool,
    pairs: Vec<(String, String)>,
    raw: String,
    after_signing: Vec<String>,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    caller: Caller,
    host: String,
}

impl Case {
    /// The request, signed as a client would sign it. `names` are what `$name` stands for.
    pub fn request(&self, caller: &Caller, now_secs: i64, names: &BTreeMap<&str, String>) -> Wire {
        let mut draft = Draft {
            method: "GET".to_owned(),
            content_type: None,
            multipart: false,
            pairs: vec![
                ("Region".to_owned(), "gz".to_owned()),
                ("Timestamp".to_owned(), now_secs.to_string()),
                ("Nonce".to_owned(), self.nonce().to_string()),
                ("SecretId".to_owned(), caller.secret_id.clone()),
            ],
            raw: String::new(),
            after_signing: Vec::new(),
            headers: Vec::new(),
            body: None,
            caller: caller.clone(),
            host: HOST.to_owned(),
        };
        for token in &self.tokens {
            let mut token = token.clone();
            for (name, value) in names {
                token = token.replace(&format!("${name}"), value);
            }
            draft.apply(&token, now_secs);
        }
        draft.finish()
    }

    /// The same in every run, because answers show it.
    fn nonce(&self) -> u32 {
        let fold = |hash: u32, byte: u8| hash.wrapping_mul(31).wrapping_add(u32::from(byte));
        self.name.bytes().fold(7, fold)
    }
}

impl Draft {
    fn apply(&mut self, token: &str, now_secs: i64) {
        if let Some(option) = token.strip_prefix(':') {
            self.set_option(option, now_secs);
        } else if let Some(name) = token.strip_prefix('-') {
            self.pairs.retain(|(other, _)| other != name);
        } else if let Some(change) = token.strip_prefix('~') {
            self.after_signing.push(change.to_owned());
        } else if let Some(pair) = token.strip_prefix('+') {
            self.pairs.push(split(pair));
        } else if let Some(raw) = token.strip_prefix('&') {
            self.raw.push('&');
            self.raw.push_str(raw);
        } else {
            replace(&mut self.pairs, token);
        }
    }

    fn set_option(&mut self, option: &str, now_secs: i64) {
        let (option, value) = option.split_once('=').unwrap_or((option, ""));
        match option {
            "post" => {
                self.method = "POST".to_owned();
                self.content_type = Some("application/x-www-form-urlencoded".to_owned());
            }
            "multipart" => {
                self.method = "POST".to_owned();
                self.multipart = true;
                self.content_type = Some(format!("multipart/form-data; boundary={BOUNDARY}"));
            }
            "method" => self.method = value.to_owned(),
            "type" => self.content_type = Some(value.replace("\\s", " ")),
            "no-type" => self.content_type = None,
            "body" => self.body = Some(unescaped(value)),
            "header" => {
                let (name, value) = value.split_once(':').expect("a header has a colon");
                self.headers.push((name.to_owned(), unescaped(value)));
            }
            "host" => self.host = value.to_owned(),
            "secret" => self.caller.secret_key = value.to_owned(),
            "time" => {
                let offset: i64 = value.parse().unwrap();
                replace(&mut self.pairs, &format!("Timestamp={}", now_secs + offset));
            }
            other => panic!("no option is named {other}"),
        }
    }

    fn finish(mut self) -> Wire {
        let mut wire = joined(&self.pairs);
        wire.push_str(&self.raw);
        let method = match self.method.as_str() {
            "POST" => Method::Post,
            _ => Method::Get,
        };
        // What cannot be decoded cannot be signed either; then any signature will do.
        let signature = Parameters::from_query(&wire, &UNBOUNDED).map(|parameters| {
            let request = SignedRequest {
                method,
                host: HOST,
                path: PATH,
                parameters: &parameters,
            };
            sign(&request, self.caller.secret_key.as_bytes())
        });
        let signature = signature.unwrap_or_else(|_| "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
        let encoded = utf8_percent_encode(&signature, NON_ALPHANUMERIC).to_string();
        self.pairs.push(("Signature".to_owned(), encoded));
        for change in std::mem::take(&mut self.after_signing) {
            match change.strip_prefix('-') {
                Some(name) => self.pairs.retain(|(other, _)| other != name),
                None => replace(&mut self.pairs, &change),
            }
        }
        let mut headers = vec![("host".to_owned(), self.host.clone().into_bytes())];
        if let Some(content_type) = self.content_type.take() {
            headers.push(("content-type".to_owned(), content_type.into_bytes()));
        }
        headers.append(&mut self.headers);
        let wire = joined(&self.pairs) + &self.raw;
        let in_query = self.method == "GET";
        let (target, body) = match (self.body.take(), in_query) {
            (body, true) => {
                let query = percent_encode(wire.as_bytes(), NOT_IN_A_TARGET);
                (format!("{PATH}?{query}"), body.unwrap_or_default())
            }
            (Some(body), false) => (PATH.to_owned(), body),
            (None, false) if self.multipart => (PATH.to_owned(), multipart(&self.pairs)),
            (None, false) => (PATH.to_owned(), wire.into_bytes()),
        };
        Wire {
            method: self.method,
            target,
            headers,
            body,
        }
    }
}

const BOUNDARY: &str = "---------------------------0123456789abcde";

/// What hyper would not send in a request's target as it is.
const NOT_IN_A_TARGET: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'<').add(b'>').add(b'"');

/// Bounds that nothing of the corpus reaches: what is too much is for the server to find.
const UNBOUNDED: ParameterLimits = ParameterLimits {
    query_bytes: usize::MAX,
    body_bytes: usize::MAX,
    count: usize::MAX,
    name_bytes: usize::MAX,
    value_bytes: usize::MAX,
};

fn split(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (name.to_owned(), value.to_owned())
}

fn replace(pairs: &mut Vec<(String, String)>, pair: &str) {
    let (name, value) = split(pair);
    match pairs.iter_mut().find(|(other, _)| *other == name) {
        Some(found) => found.1 = value,
        None => pairs.push((name, value)),
    }
}

fn joined(pairs: &[(String, String)]) -> String {
    let all: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    all.join("&")
}

/// The pairs, decoded, as a multipart form.
fn multipart(pairs: &[(String, String)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in pairs {
        let value = percent_encoding::percent_decode_str(value).collect::<Vec<u8>>();
        let head =
            format!("\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&value);
    }
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// `\r`, `\n`, `\s` and `\xHH`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&escape, after) = rest.split_first().expect("an escape has a letter");
        rest = after;
        match escape {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b's' => bytes.push(b' '),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
            other => bytes.push(other),
        }
    }
    bytes
}
