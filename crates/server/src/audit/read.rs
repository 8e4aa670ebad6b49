//! Looking entries up: what the operator's verb asks of the files.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;

use super::log::{numbers, path};

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only this account's, or this sub-account's.
    pub uin: Option<u64>,
    /// Only this action; a `*` at the end stands for any text. Upper and lower case count alike.
    pub action: Option<String>,
    /// Only from this time on, in the form of the entries.
    pub since: Option<String>,
    /// Only before this time, in the form of the entries.
    pub until: Option<String>,
    /// The most entries; the newest ones, or, behind a position, the next ones.
    pub limit: usize,
    /// Only behind this position.
    pub after: Option<Position>,
}

/// A place in the log. Text form: file number, colon, byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    file: u64,
    byte: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.byte)
    }
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let expected = "a position is FILE:BYTE, as an earlier answer gave it";
        let (file, byte) = text.split_once(':').ok_or(expected)?;
        Ok(Position {
            file: file.parse().map_err(|_| expected)?,
            byte: byte.parse().map_err(|_| expected)?,
        })
    }
}

/// Entries, oldest first, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Value>,
    /// The position behind what was looked at.
    pub next: Position,
}

/// Reads entries. Blocks on the disk; reads at most everything.
///
/// # Errors
/// When the files cannot be read.
pub fn read(folder: &Path, query: &AuditQuery) -> io::Result<Page> {
    let numbers = numbers(folder)?;
    match query.after {
        Some(after) => following(folder, &numbers, query, after),
        None => newest(folder, &numbers, query),
    }
}

fn newest(folder: &Path, numbers: &[u64], query: &AuditQuery) -> io::Result<Page> {
    let mut entries: VecDeque<Value> = VecDeque::new();
    let mut next = Position::default();
    for number in numbers.iter().rev() {
        let mut matching: VecDeque<Value> = VecDeque::new();
        let mut begins_before = false;
        let room = query.limit.saturating_sub(entries.len());
        let end = scan(
            folder,
            Position {
                file: *number,
                byte: 0,
            },
            |entry| {
                begins_before |= query
                    .since
                    .as_deref()
                    .is_some_and(|since| time_of(&entry) < since);
                if query.matches(&entry) {
                    matching.push_back(entry);
                }
                if matching.len() > room {
                    matching.pop_front();
                }
                true
            },
        )?;
        next = next.max(end);
        while let Some(entry) = matching.pop_back() {
            entries.push_front(entry);
        }
        // Older files hold only older entries.
        if entries.len() >= query.limit || begins_before {
            break;
        }
    }
    let entries = entries.into();
    Ok(Page { entries, next })
}

fn following(
    folder: &Path,
    numbers: &[u64],
    query: &AuditQuery,
    after: Position,
) -> io::Result<Page> {
    let mut entries = Vec::new();
    let mut next = after;
    for number in numbers.iter().filter(|number| **number >= after.file) {
        if entries.len() >= query.limit {
            break;
        }
        let begin = Position {
            file: *number,
            byte: if *number == after.file { after.byte } else { 0 },
        };
        next = scan(folder, begin, |entry| {
            if query.matches(&entry) {
                entries.push(entry);
            }
            entries.len() < query.limit
        })?;
    }
    Ok(Page { entries, next })
}

/// Hands the entries behind a position of one file over, until there are no more or no more are
/// wanted. A line that is not finished is left for the next time; one that is no entry is skipped.
fn scan(
    folder: &Path,
    begin: Position,
    mut take: impl FnMut(Value) -> bool,
) -> io::Result<Position> {
    let mut file = match File::open(path(folder, begin.file)) {
        Ok(file) => file,
        // It was the oldest one and is gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(begin),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(begin.byte))?;
    let mut lines = BufReader::new(file);
    let mut position = begin;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(position);
        }
        position.byte += length as u64;
        if let Ok(entry) = serde_json::from_slice(&line)
            && !take(entry)
        {
            return Ok(position);
        }
    }
}

fn time_of(entry: &Value) -> &str {
    entry["time"].as_str().unwrap_or_default()
}

impl AuditQuery {
    fn matches(&self, entry: &Value) -> bool {
        let time = time_of(entry);
        let who = &entry["who"];
        let is_who = |uin: u64| {
            [&who["uin"], &who["sub_account"]]
                .into_iter()
                .any(|found| found.as_u64() == Some(uin))
        };
        let action = entry["action"].as_str().unwrap_or_default();
        self.uin.is_none_or(is_who)
            && self
                .action
                .as_deref()
                .is_none_or(|wanted| is_action(wanted, action))
            && self.since.as_deref().is_none_or(|since| time >= since)
            && self.until.as_deref().is_none_or(|until| time < until)
    }
}

fn is_action(wanted: &str, action: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(begin) => action
            .get(..begin.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(begin)),
        None => action.eq_ignore_ascii_case(wanted),
    }
}
