//! The file of change records.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::line;
use crate::core::audit::AuditRecord;
use crate::ports::sinks::{AuditError, AuditSink};

/// Read and written by its owner alone: records tell who did what from where.
const MODE: u32 = 0o600;

/// Appends records to a file of JSON Lines and returns once each is on disk.
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    // tokio's mutex is fair, so records stand in the order in which they were handed in, and waiting holds no thread.
    tail: Arc<Mutex<Tail>>,
}

/// The end of the file.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) file: File,
    /// Whether the file may end in the middle of a line.
    pub(super) torn: bool,
}

impl AuditFile {
    /// Opens the file, and makes it and its folder where they are missing.
    ///
    /// Blocks for the few calls it takes: meant for the start of the process.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, AuditError> {
        let path = path.into();
        match Tail::open(&path) {
            Ok(tail) => Ok(Self { path, tail: Arc::new(Mutex::new(tail)) }),
            Err(cause) => Err(failure(&path, cause)),
        }
    }

    /// Where the records go.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[async_trait]
impl AuditSink for AuditFile {
    async fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        self.keep(line(record, &self.path.display().to_string())?).await
    }
}

impl AuditFile {
    /// Appends a line, given without its newline, and returns once it is on disk.
    pub(super) async fn keep(&self, line: Vec<u8>) -> Result<(), AuditError> {
        let mut tail = Arc::clone(&self.tail).lock_owned().await;
        // On a blocking thread, and carried through there even if the caller gives up waiting: what is told is kept.
        let written = tokio::task::spawn_blocking(move || tail.append(line)).await;
        written.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|cause| failure(&self.path, cause))
    }
}

impl Tail {
    fn open(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        // The mode above is only for a file that open() makes. One that was there may be open to others.
        if facts.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        let torn = ends_torn(&mut file, facts.len())?;
        // A new file is on disk only when its entry in the folder is.
        File::open(folder)?.sync_all()?;
        Ok(Self { file, torn })
    }

    pub(super) fn append(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        if self.torn {
            // The torn line stays as it is, for people to see; it only must not swallow this one.
            line.insert(0, b'\n');
        }
        // Until both calls have succeeded nobody knows how much of the line is there.
        self.torn = true;
        self.file.write_all(&line)?;
        self.torn = false;
        self.file.sync_data()
    }
}

/// Whether the last line lacks its newline, as after a crash while it was written.
fn ends_torn(file: &mut File, length: u64) -> io::Result<bool> {
    if length == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn failure(path: &Path, cause: io::Error) -> AuditError {
    AuditError { place: path.display().to_string(), cause }
}
