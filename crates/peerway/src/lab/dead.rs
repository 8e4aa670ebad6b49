//! The run folder of a lab: what it made, and whether it still lives.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kernel::netns::Namespace;
use nix::fcntl::{Flock, FlockArg};

/// Where the run folders of all labs are.
const BASE: &str = "/run/peerway-lab";
const LOCK: &str = "lock";
const INSTANCES: &str = "instances";
const NAMESPACE_PREFIX: &str = "pwlab-";

/// The run folder of one lab, locked while the lab lives.
pub struct RunFolder {
    name: String,
    folder: PathBuf,
    _lock: Flock<File>,
}

impl RunFolder {
    /// Makes a run folder with a name of its own.
    ///
    /// # Errors
    /// When the folder or its lock cannot be made.
    pub fn create() -> anyhow::Result<RunFolder> {
        let tag: String = (0..5)
            .map(|_| char::from(b"abcdefghijkmnpqrstuvwxyz"[rand::random_range(0..24)]))
            .collect();
        let name = format!("{NAMESPACE_PREFIX}{tag}");
        let folder = Path::new(BASE).join(&name);
        std::fs::create_dir_all(BASE).with_context(|| format!("cannot make {BASE}"))?;
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = lock(&folder)?.context("somebody else locked the new run folder")?;
        Ok(RunFolder {
            name,
            folder,
            _lock: lock,
        })
    }

    /// The name that everything of the lab starts with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes a namespace that belongs to the lab.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_namespace(&mut self, name: &str) -> anyhow::Result<Namespace> {
        let full = format!("{}-{name}", self.name);
        Namespace::create(&full).with_context(|| format!("cannot make the namespace {full}"))
    }

    /// Remembers a gateway's instance, whose namespaces belong to the lab too.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn record_instance(&self, instance: &str) -> anyhow::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(INSTANCES))?;
        writeln!(file, "{instance}")?;
        Ok(())
    }

    /// Removes everything of the lab and the folder itself.
    ///
    /// # Errors
    /// The first failure; the rest is removed all the same.
    pub fn remove(&self) -> anyhow::Result<()> {
        remove(&self.folder, &self.name)
    }
}

fn lock(folder: &Path) -> anyhow::Result<Option<Flock<File>>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// Removes what dead labs left. Returns their names.
///
/// # Errors
/// The first failure; the rest is removed all the same.
pub fn remove_dead() -> anyhow::Result<Vec<String>> {
    let mut removed = Vec::new();
    let mut failure = Ok(());
    let Ok(entries) = std::fs::read_dir(BASE) else {
        return Ok(removed);
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.starts_with(NAMESPACE_PREFIX) {
            continue;
        }
        // A living lab holds its lock.
        let Some(_lock) = lock(&entry.path())? else {
            continue;
        };
        match remove(&entry.path(), &name) {
            Ok(()) => removed.push(name),
            Err(error) => failure = failure.and(Err(error)),
        }
    }
    failure.map(|()| removed)
}

fn remove(folder: &Path, name: &str) -> anyhow::Result<()> {
    let mut failure = Ok(());
    let instances = instances(folder);
    let own = format!("{name}-");
    for namespace in Namespace::list()? {
        let is_of_gateway = instances
            .iter()
            .any(|instance| namespace.starts_with(&format!("pw-{instance}-")));
        if namespace.starts_with(&own) || is_of_gateway {
            let outcome = Namespace::delete(&namespace)
                .with_context(|| format!("cannot remove the namespace {namespace}"));
            failure = failure.and(outcome);
        }
    }
    std::fs::remove_dir_all(folder)
        .with_context(|| format!("cannot remove {}", folder.display()))?;
    // Fails while other labs live, which is right.
    let _ = std::fs::remove_dir(BASE);
    failure
}

// The instance is in the gateway's state folder from its first moment, and in the record once the
// lab has seen it; a run that was killed in between is covered by the first.
fn instances(folder: &Path) -> Vec<String> {
    let mut files = vec![folder.join(INSTANCES)];
    if let Ok(entries) = std::fs::read_dir(folder) {
        files.extend(entries.flatten().map(|entry| entry.path().join("instance")));
    }
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| {
            text.lines()
                .map(|line| line.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|instance| !instance.is_empty())
        .collect()
}
