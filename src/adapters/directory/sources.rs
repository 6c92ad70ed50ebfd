//! Which files manifests are read from, and their text.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::files::FileProblem;

/// Larger files are not manifests.
const LARGEST: u64 = 8 * 1024 * 1024;
/// What standard input is called in place of a file.
const STDIN: &str = "<stdin>";
/// What the names of manifests end in.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, whatever its name, or a folder: the YAML and JSON files in it and below it.
    Path(PathBuf),
    /// Standard input, to its end.
    Stdin,
}

impl From<&str> for Source {
    /// As on the command line: `-` is standard input.
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::Path(PathBuf::from(text)) }
    }
}

/// A file and its text.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// The texts of all sources, each file once, in order.
pub(super) fn texts(sources: &[Source], problems: &mut Vec<FileProblem>) -> Vec<Text> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    let mut stdin = false;
    for source in sources {
        match source {
            Source::Path(path) => {
                // One that cannot be found under its whole path is told when it is read.
                let whole = |file: &PathBuf| fs::canonicalize(file).unwrap_or_else(|_| file.clone());
                files.extend(manifest_files(path, problems).into_iter().filter(|file| seen.insert(whole(file))));
            }
            Source::Stdin => stdin = true,
        }
    }
    files.sort();
    let mut texts = Vec::new();
    let mut take = |file: PathBuf, read: io::Result<Vec<u8>>| match read.map(within) {
        Ok(Some(bytes)) => match decode(bytes) {
            Ok(text) => texts.push(Text { file, text }),
            Err(line) => problems.push(FileProblem::NotText { path: file, line }),
        },
        Ok(None) => problems.push(FileProblem::TooLarge { path: file }),
        Err(cause) => problems.push(FileProblem::Read { path: file, cause }),
    };
    if stdin {
        take(PathBuf::from(STDIN), bytes_of(io::stdin().lock()));
    }
    for file in files {
        let read = File::open(&file).and_then(bytes_of);
        take(file, read);
    }
    texts
}

/// Files below a folder in order, or the file itself. Names that begin with a dot are an editor's or git's own.
fn manifest_files(path: &Path, problems: &mut Vec<FileProblem>) -> Vec<PathBuf> {
    match fs::metadata(path) {
        Ok(facts) if !facts.is_dir() => return vec![path.to_owned()],
        Ok(_) => {}
        Err(cause) => {
            problems.push(FileProblem::Read { path: path.to_owned(), cause });
            return Vec::new();
        }
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    let mut entered = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        // A link that leads back up would be followed without end.
        if !fs::canonicalize(&folder).is_ok_and(|whole| entered.insert(whole)) && folder != path {
            continue;
        }
        let entries = match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(cause) => {
                problems.push(FileProblem::Read { path: folder, cause });
                continue;
            }
        };
        for entry in entries {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let manifest = path.extension().is_some_and(|extension| ENDINGS.iter().any(|known| extension == *known));
            if path.is_dir() {
                folders.push(path);
            } else if manifest {
                files.push(path);
            }
        }
    }
    files
}

/// As much as a manifest may have, and a byte more, by which it is known to be too large.
fn bytes_of(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn within(bytes: Vec<u8>) -> Option<Vec<u8>> {
    u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST).then_some(bytes)
}

/// The text, without the mark that some editors of Windows put before it; or the first line that is no text.
fn decode(bytes: Vec<u8>) -> Result<String, usize> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        valid.split(|byte| *byte == b'\n').count()
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_read_once_however_often_it_is_given_and_a_file_may_have_any_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a.yaml", "1"), ("sub/b.yml", "2"), ("c.txt", "3"), (".d.yaml", "4"), ("sub/e.json", "5")] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let at = |name: &str| Source::Path(folder.path().join(name));
        let mut problems = Vec::new();
        let found = texts(&[at("sub"), at(""), at("c.txt"), at("sub/../a.yaml"), at("sub/b.yml")], &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let found: Vec<&str> = found.iter().map(|text| text.text.as_str()).collect();
        assert_eq!(found, ["1", "3", "2", "5"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_up_ends() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a.yaml"), "1").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("sub/up")).unwrap();
        let mut problems = Vec::new();
        assert_eq!(texts(&[Source::Path(folder.path().to_owned())], &mut problems).len(), 1);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut problems = Vec::new();
        assert!(texts(&["/nonexistent/groups".into()], &mut problems).is_empty());
        assert!(matches!(problems.as_slice(), [FileProblem::Read { .. }]), "{problems:?}");
        assert_eq!(Source::from("-"), Source::Stdin);
    }
}
