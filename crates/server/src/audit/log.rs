//! The files of the audit log: appended to, rotated by size, bounded together.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many files the bound is spread over. What goes when the bound is reached is one of them.
const FILES: u64 = 16;

/// The largest file, so that looking something up need not read for long.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// The newest file, open, and what is known of the older ones.
pub(super) struct Log {
    folder: PathBuf,
    max_bytes: u64,
    file_bytes: u64,
    older: VecDeque<Older>,
    number: u64,
    file: File,
    length: u64,
    is_synced: bool,
}

struct Older {
    number: u64,
    length: u64,
}

impl Log {
    /// Opens the newest file, and cuts off a line that a dead process did not finish.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> io::Result<Log> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)?;
        let mut older = VecDeque::new();
        for number in numbers(folder)? {
            let length = fs::metadata(path(folder, number))?.len();
            older.push_back(Older { number, length });
        }
        let number = older.pop_back().map_or(1, |newest| newest.number);
        let mut file = open(folder, number)?;
        let length = whole_lines(&mut file)?;
        if length < file.metadata()?.len() {
            file.set_len(length)?;
        }
        let mut log = Log {
            folder: folder.to_owned(),
            max_bytes,
            file_bytes: (max_bytes / FILES).min(LARGEST_FILE),
            older,
            number,
            file,
            length,
            is_synced: true,
        };
        log.make_room()?;
        Ok(log)
    }

    /// Appends whole lines, all of them or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.length > 0 && self.length + lines.len() as u64 > self.file_bytes {
            self.rotate()?;
        }
        self.is_synced = false;
        if let Err(error) = self.file.write_all(lines) {
            // A part of a line would spoil the next one. If this fails too, the next opening cuts it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Has the kernel write the newest file to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// The size of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.length + self.older.iter().map(|older| older.length).sum::<u64>()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let file = open(&self.folder, self.number + 1)?;
        self.older.push_back(Older {
            number: self.number,
            length: self.length,
        });
        self.number += 1;
        self.file = file;
        self.length = 0;
        self.make_room()
    }

    /// Removes the oldest files until the newest one may grow to its full size.
    fn make_room(&mut self) -> io::Result<()> {
        let newest = self.file_bytes.max(self.length);
        loop {
            let older: u64 = self.older.iter().map(|older| older.length).sum();
            if older + newest <= self.max_bytes {
                return Ok(());
            }
            let Some(oldest) = self.older.front() else {
                return Ok(());
            };
            match fs::remove_file(path(&self.folder, oldest.number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => drop(self.older.pop_front()),
            }
        }
    }
}

/// The numbers of the files in a folder, oldest first.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for found in fs::read_dir(folder)? {
        let name = found?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl"))
            .and_then(|digits| digits.parse().ok());
        numbers.extend(number.filter(|number| path(folder, *number).ends_with(&name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Where a file is.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("audit-{number:08}.jsonl"))
}

fn open(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path(folder, number))
}

/// How much of a file consists of whole lines.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const PIECE: u64 = 64 * 1024;
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let begin = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(begin))?;
        let mut piece = Vec::new();
        file.take(end - begin).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
