//! The audit log: who did what, when, from where, with which result.
//!
//! One JSON object a line, in files beside the state that are only appended to, rotated by size and
//! bounded in all: the oldest file goes first. An entry is handed to the kernel before its call is
//! answered, so it survives the end of the process, however that comes; it is synced to the disk
//! every few seconds and at an orderly end, so a loss of power can take the last seconds.
//!
//! A disk that is full or broken does not stop the API. It is logged, counted in the metrics, and
//! when entries can be written again the first one tells how many are missing.
//!
//! [`Audit`] is the handle, `log` the files, `read` what the operator's verb asks. No secret and no
//! signature is in an [`Entry`]: what it names comes from a list of known parameters.

mod entry;
mod log;
mod read;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use log::Log;

pub use entry::{Ending, Entry, Who, named, rfc3339};
pub use read::{AuditQuery, Page, Position, read};

/// Entries that may wait for the disk; who brings more waits as well.
const QUEUE: usize = 1024;

/// How long a call waits for its entry. The entry is still written when the disk answers later.
const WAIT: Duration = Duration::from_secs(2);

/// Bytes written at once, and the most that one entry can have.
const BATCH_BYTES: usize = 32 * 1024;

/// How often a standing failure is logged again.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

/// The smallest bound of all files, in bytes.
pub const SMALLEST_BOUND: u64 = 1024 * 1024;

/// What has become of the entries since the start.
#[derive(Debug, Default)]
pub struct Stats {
    written: AtomicU64,
    lost: AtomicU64,
    bytes: AtomicU64,
}

impl Stats {
    /// Entries handed to the kernel.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Entries that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The size of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The audit log of one server. Clones write to the same files.
#[derive(Clone)]
pub struct Audit {
    messages: mpsc::Sender<Message>,
    stats: Arc<Stats>,
    folder: Arc<Path>,
}

enum Message {
    Entry {
        line: Vec<u8>,
        written: oneshot::Sender<()>,
    },
    Sync,
    Close(oneshot::Sender<()>),
}

impl Audit {
    /// Opens or makes the files in a folder and starts the thread that writes. All files together
    /// stay below `max_bytes`, at least [`SMALLEST_BOUND`].
    ///
    /// # Errors
    /// When the folder or its newest file cannot be made, read or written.
    pub fn open(folder: &Path, max_bytes: u64, clock: Arc<dyn Clock>) -> io::Result<Audit> {
        let log = Log::open(folder, max_bytes.max(SMALLEST_BOUND))?;
        let stats = Arc::new(Stats::default());
        stats.bytes.store(log.bytes(), Ordering::Relaxed);
        let (messages, received) = mpsc::channel(QUEUE);
        let writer = Writer {
            log,
            clock,
            stats: Arc::clone(&stats),
            missing: 0,
            complained: None,
        };
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(received))?;
        Ok(Audit {
            messages,
            stats,
            folder: folder.into(),
        })
    }

    /// Writes an entry and returns when the kernel has it, or when it is known not to be written.
    pub async fn record(&self, entry: &Entry) {
        let mut line = serde_json::to_vec(entry).expect("entries have text keys");
        line.push(b'\n');
        let (written, done) = oneshot::channel();
        let message = Message::Entry { line, written };
        let exchange = async {
            match self.messages.send(message).await {
                // An error means that the writer could not write it; it has counted that.
                Ok(()) => drop(done.await),
                Err(_) => drop(self.stats.lost.fetch_add(1, Ordering::Relaxed)),
            }
        };
        if tokio::time::timeout(WAIT, exchange).await.is_err() {
            tracing::error!(
                wait_secs = WAIT.as_secs(),
                "the audit log is too slow; a call is answered before its entry is written"
            );
        }
    }

    /// Asks for what was written to be synced to the disk.
    pub fn sync(&self) {
        // A full queue is synced by a later request.
        let _ = self.messages.try_send(Message::Sync);
    }

    /// Writes what waits, syncs it and stops; later entries are lost.
    pub async fn close(&self) {
        let (closed, done) = oneshot::channel();
        if self.messages.send(Message::Close(closed)).await.is_ok() {
            let _ = done.await;
        }
    }

    /// What has become of the entries.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The thread that writes.
struct Writer {
    log: Log,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    /// Entries that could not be written since the last one that was.
    missing: u64,
    complained: Option<Instant>,
}

impl Writer {
    fn run(mut self, mut received: mpsc::Receiver<Message>) {
        let mut batch = Batch::default();
        while let Some(first) = received.blocking_recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Entry { line, written } => {
                        if batch.lines.len() + line.len() > BATCH_BYTES {
                            self.write(&mut batch);
                        }
                        batch.lines.extend_from_slice(&line);
                        batch.waiting.push(written);
                    }
                    Message::Sync => {
                        self.write(&mut batch);
                        self.sync();
                    }
                    Message::Close(closed) => {
                        self.write(&mut batch);
                        self.sync();
                        // Whoever asked may be gone.
                        let _ = closed.send(());
                        return;
                    }
                }
                next = received.try_recv().ok();
            }
            self.write(&mut batch);
        }
        self.sync();
    }

    fn write(&mut self, batch: &mut Batch) {
        if batch.waiting.is_empty() {
            return;
        }
        let count = batch.waiting.len() as u64;
        let result = self.confess().and_then(|()| self.log.append(&batch.lines));
        // Before anybody is told, so that who was told finds it counted.
        self.stats.bytes.store(self.log.bytes(), Ordering::Relaxed);
        match result {
            Ok(()) => {
                self.stats.written.fetch_add(count, Ordering::Relaxed);
                for written in batch.waiting.drain(..) {
                    let _ = written.send(());
                }
            }
            Err(error) => {
                self.missing += count;
                self.stats.lost.fetch_add(count, Ordering::Relaxed);
                self.complain(&error);
                batch.waiting.clear();
            }
        }
        batch.lines.clear();
    }

    /// Tells in the log itself that entries are missing.
    fn confess(&mut self) -> io::Result<()> {
        if self.missing == 0 {
            return Ok(());
        }
        let mut line = entry::gap(self.clock.now(), self.missing).into_bytes();
        line.push(b'\n');
        self.log.append(&line)?;
        tracing::warn!(missing = self.missing, "the audit log is written again");
        self.missing = 0;
        self.complained = None;
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if self
            .complained
            .is_some_and(|at| at.elapsed() < COMPLAINT_PERIOD)
        {
            return;
        }
        self.complained = Some(Instant::now());
        tracing::error!(
            %error,
            missing = self.missing,
            folder = %self.log.folder().display(),
            "the audit log cannot be written; calls go on without it"
        );
    }

    fn sync(&mut self) {
        if let Err(error) = self.log.sync() {
            self.complain(&error);
        }
    }
}

#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    waiting: Vec<oneshot::Sender<()>>,
}
