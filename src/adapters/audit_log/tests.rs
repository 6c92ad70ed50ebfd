//! The trail against a real file system, crashes included.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::file::Tail;
use super::*;
use crate::core::audit::{ChangeRecord, Phase, RECORD_VERSION};

fn lines(path: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn json(id: &str) -> String {
    format!("{{\"id\":\"{id}\"}}")
}

fn record(id: &str) -> Vec<u8> {
    json(id).into_bytes()
}

#[tokio::test]
async fn a_record_is_one_line_in_a_file_only_its_owner_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/folder/audit.jsonl");
    let file = AuditFile::open(&path).unwrap();
    file.keep(record("one")).await.unwrap();
    file.keep(record("two")).await.unwrap();
    assert_eq!(lines(&path), [json("one"), json("two")]);
    assert!(std::fs::read(&path).unwrap().ends_with(b"\n"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn reopening_appends_and_closes_the_file_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, "{\"old\":1}\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    AuditFile::open(&path).unwrap().keep(record("new")).await.unwrap();
    assert_eq!(lines(&path), ["{\"old\":1}".to_owned(), json("new")]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_line_torn_by_a_crash_spoils_no_later_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let whole = format!("{}\n", json("whole"));
    // A crash may leave any prefix of the last line.
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole).unwrap();
        let mut torn = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(&whole.as_bytes()[..cut]).unwrap();
        drop(torn);
        let file = AuditFile::open(&path).unwrap();
        file.keep(record("after")).await.unwrap();
        file.keep(record("later")).await.unwrap();
        let lines = lines(&path);
        assert_eq!(lines[0], json("whole"), "cut at {cut}");
        assert_eq!(lines[lines.len() - 2..], [json("after"), json("later")], "cut at {cut}");
        assert!(lines.iter().all(|line| !line.is_empty()), "cut at {cut}: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once_tear_no_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let file = Arc::new(AuditFile::open(&path).unwrap());
    let writers = (0..50).map(|n| {
        let file = Arc::clone(&file);
        tokio::spawn(async move { file.keep(record(&format!("r{n}"))).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    let mut found = lines(&path);
    let mut expected = (0..50).map(|n| json(&format!("r{n}"))).collect::<Vec<_>>();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = AuditFile::open(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write the audit record to {}", dir.path().display()));
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = AuditFile::open(blocked.join("audit.jsonl")).unwrap_err();
    assert_eq!(error.place, blocked.join("audit.jsonl").display().to_string());
    let error = AuditFile::open("/dev/null").unwrap_err();
    assert_eq!(error.cause.to_string(), "it is not a regular file");
}

#[test]
fn a_full_disk_is_an_error_and_the_next_record_starts_a_line_of_its_own() {
    // /dev/full refuses every write as a full disk does; open() would refuse it, so the tail is put together by hand.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut tail = Tail { file: full, torn: false };
    assert_eq!(tail.append(b"{}".to_vec()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, "{\"half\"").unwrap();
    tail.file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    tail.append(b"{}".to_vec()).unwrap();
    tail.append(b"{}".to_vec()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\"\n{}\n{}\n");
}

fn change() -> AuditRecord {
    AuditRecord::Change(Box::new(ChangeRecord {
        version: RECORD_VERSION,
        id: "c-1".to_owned(),
        time: "2026-11-22T21:00:00Z".to_owned(),
        phase: Phase::Intent,
        cluster: "k-1".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        group_id: Some("sg-0a1b2c3d4e5f67890".to_owned()),
        object: "shop/web".to_owned(),
        uid: "u-1".to_owned(),
        generation: 3,
        source: Some("line one\nline two".to_owned()),
        step: 0,
        operation: "RevokeSecurityGroupIngress",
        items: Vec::new(),
        opened: None,
        closed: None,
        trace_id: "t-1".to_owned(),
        outcome: None,
    }))
}

#[derive(Default)]
struct Memory {
    kept: Mutex<usize>,
    fails: bool,
}

#[async_trait]
impl AuditSink for Memory {
    async fn append(&self, _: &AuditRecord) -> Result<(), AuditError> {
        *self.kept.lock().unwrap() += 1;
        if self.fails {
            return Err(AuditError { place: "memory".to_owned(), cause: io::Error::other("full") });
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_tee_gives_to_every_sink_and_tells_of_the_one_that_failed() {
    let bad = Arc::new(Memory { fails: true, ..Memory::default() });
    let good = Arc::new(Memory::default());
    let tee = Tee::new(vec![bad.clone(), good.clone()]);
    assert_eq!(tee.append(&change()).await.unwrap_err().place, "memory");
    assert_eq!((*bad.kept.lock().unwrap(), *good.kept.lock().unwrap()), (1, 1));
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_trail_is_the_log_and_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let trail = trail(Some(AuditFile::open(&path).unwrap()));
    let page = Page::default();
    let writer = page.clone();
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
    let held = tracing::subscriber::set_default(log);
    trail.append(&change()).await.unwrap();
    drop(held);
    let kept: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(lines(&path).len(), 1, "a newline in a text must not break the line");
    let shown: serde_json::Value = serde_json::from_slice(&page.0.lock().unwrap()).unwrap();
    assert_eq!((&shown["target"], &shown["message"]), (&"audit".into(), &"change record".into()));
    assert_eq!(serde_json::from_str::<serde_json::Value>(shown["record"].as_str().unwrap()).unwrap(), kept);
    assert_eq!(kept["object"], "shop/web");
}
