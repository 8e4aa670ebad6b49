//! Closed-loop load over kept-alive HTTP/1.1 connections: each has one request under way, and the
//! next one follows its answer.
//!
//! One thread and one epoll instance drive all connections, so that the generator needs little of
//! the machine beside the server that it measures.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// How long the server may leave every connection without an answer.
const SILENCE_LIMIT_MILLIS: u16 = 20_000;

/// The longest answer that is taken.
const LONGEST_ANSWER: usize = 4 << 20;

/// What one connection asks, one request after the other.
pub(super) trait Script: Send {
    /// Writes the next request and names it, or tells that there is nothing more to ask.
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str>;

    /// Takes the body of the answer.
    ///
    /// # Errors
    /// What is wrong with it. It is counted; the script goes on.
    fn take(&mut self, body: &[u8]) -> anyhow::Result<()>;

    /// Whether it can end here and leave the server's state as the next load expects it.
    fn can_end(&self) -> bool {
        true
    }
}

/// How long to load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Time at the beginning that is not counted.
    pub(super) warm_up: Duration,
    /// Time that is counted; `None`: until the scripts have nothing more to ask.
    pub(super) measured: Option<Duration>,
}

/// What was found of the requests of one name.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How long each answer took, shortest first after the end.
    pub(super) latencies: Vec<Duration>,
    /// Answers that were not as they should be.
    pub(super) errors: u64,
    /// What was wrong with the first of them.
    pub(super) first_error: Option<String>,
}

/// What a load found.
#[derive(Debug)]
pub(super) struct Loaded<T> {
    /// By the name of the request.
    pub(super) found: BTreeMap<&'static str, Found>,
    /// The time that was counted.
    pub(super) took: Duration,
    /// What was seen when counting began.
    pub(super) before: T,
    /// What was seen when it ended.
    pub(super) after: T,
}

struct Connection {
    stream: TcpStream,
    script: Box<dyn Script>,
    asked: &'static str,
    asked_at: Instant,
    request: Vec<u8>,
    answer: Vec<u8>,
    filled: usize,
}

/// A load with its connections open.
pub(super) struct Load {
    epoll: Epoll,
    connections: Vec<Connection>,
}

impl Load {
    /// Opens a connection for each script.
    ///
    /// # Errors
    /// When the server does not take one.
    pub(super) fn connect(
        address: SocketAddr,
        scripts: Vec<Box<dyn Script>>,
    ) -> anyhow::Result<Load> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::with_capacity(scripts.len());
        for (index, script) in scripts.into_iter().enumerate() {
            let stream = TcpStream::connect(address).context("cannot connect to the server")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            connections.push(Connection {
                stream,
                script,
                asked: "",
                asked_at: Instant::now(),
                request: Vec::new(),
                answer: vec![0; 64 << 10],
                filled: 0,
            });
        }
        Ok(Load { epoll, connections })
    }

    /// Runs the scripts. `watch` is called when counting begins and when it ends.
    ///
    /// # Errors
    /// When a connection breaks, or the server falls silent.
    pub(super) fn run<T>(
        mut self,
        span: Span,
        watch: impl Fn() -> anyhow::Result<T>,
    ) -> anyhow::Result<Loaded<T>> {
        let mut open = 0;
        for connection in &mut self.connections {
            open += usize::from(connection.ask()?);
        }
        let from = Instant::now() + span.warm_up;
        let until = span.measured.map(|measured| from + measured);
        let mut found: BTreeMap<&'static str, Found> = BTreeMap::new();
        let mut uncounted = Found::default();
        let (mut begun, mut ended) = (None, None);
        let mut events = vec![EpollEvent::empty(); self.connections.len()];
        while open > 0 {
            let ready = self
                .epoll
                .wait(&mut events, EpollTimeout::from(SILENCE_LIMIT_MILLIS))?;
            ensure!(ready > 0, "the server answers nobody");
            for event in &events[..ready] {
                let connection = &mut self.connections[event.data() as usize];
                let Some(head) = connection.receive()? else {
                    continue;
                };
                let now = Instant::now();
                if begun.is_some() && ended.is_none() {
                    let found = found.entry(connection.asked).or_default();
                    found.latencies.push(now - connection.asked_at);
                    connection.check(head, found);
                } else {
                    connection.check(head, &mut uncounted);
                }
                let goes_on = ended.is_none() || !connection.script.can_end();
                open -= usize::from(!goes_on || !connection.ask()?);
                if begun.is_none() && now >= from {
                    begun = Some((now, watch()?));
                }
                let is_over = open == 0 || until.is_some_and(|until| now >= until);
                if begun.is_some() && ended.is_none() && is_over {
                    ended = Some((now, watch()?));
                }
            }
        }
        if let Some(error) = uncounted.first_error {
            bail!("outside of the counted time: {error}");
        }
        let ((from, before), (to, after)) = begun
            .zip(ended)
            .context("nothing was left to ask after the warm-up")?;
        for found in found.values_mut() {
            found.latencies.sort_unstable();
        }
        Ok(Loaded {
            found,
            took: to - from,
            before,
            after,
        })
    }
}

impl Connection {
    /// Sends the next request; false when there is none.
    fn ask(&mut self) -> anyhow::Result<bool> {
        self.request.clear();
        let Some(name) = self.script.ask(&mut self.request) else {
            return Ok(false);
        };
        self.asked = name;
        self.asked_at = Instant::now();
        // Nothing else is under way on this connection, so its buffer has room.
        let sent = self.stream.write(&self.request).context("sending")?;
        ensure!(sent == self.request.len(), "a request was sent in part");
        Ok(true)
    }

    /// Reads what has come; the length of the answer's head when it is complete.
    fn receive(&mut self) -> anyhow::Result<Option<usize>> {
        if self.filled == self.answer.len() {
            ensure!(self.filled < LONGEST_ANSWER, "an answer does not end");
            self.answer.resize(2 * self.filled, 0);
        }
        match self.stream.read(&mut self.answer[self.filled..]) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("receiving"),
        }
        let Some(head) = head_length(&self.answer[..self.filled]) else {
            return Ok(None);
        };
        let total = head + content_length(&self.answer[..head])?;
        ensure!(self.filled <= total, "an answer is longer than it says");
        Ok((self.filled == total).then_some(head))
    }

    fn check(&mut self, head: usize, found: &mut Found) {
        let answer = &self.answer[..self.filled];
        let checked = if answer.starts_with(b"HTTP/1.1 200 ") {
            self.script.take(&answer[head..])
        } else {
            let status = answer.split(|byte| *byte == b'\r').next();
            let status = String::from_utf8_lossy(status.unwrap_or_default());
            Err(anyhow::anyhow!("the server answered `{status}`"))
        };
        if let Err(error) = checked {
            found.errors += 1;
            found
                .first_error
                .get_or_insert_with(|| format!("{error:#}"));
        }
        self.filled = 0;
    }
}

fn head_length(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head).context("an answer's head is no text")?;
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .with_context(|| format!("an answer without content-length: {head}"))
}
