//! The trail read back from a file, also while another process appends to it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::core::audit::Trail;

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the audit file {} cannot be read", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// Reads every record of a file; `-` is standard input.
pub fn read(path: &Path) -> Result<Trail, ReadError> {
    let fail = |cause| ReadError { path: path.to_owned(), cause };
    if path == Path::new("-") {
        return trail(io::stdin().lock()).map_err(fail);
    }
    File::open(path).and_then(|file| trail(BufReader::new(file))).map_err(fail)
}

fn trail(mut lines: impl BufRead) -> io::Result<Trail> {
    let (mut trail, mut line) = (Trail::default(), Vec::new());
    // Bytes, not text: a torn line may end within a character.
    while lines.read_until(b'\n', &mut line)? > 0 {
        trail.take(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
    Ok(trail)
}
