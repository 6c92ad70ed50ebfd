//! Servers that a test starts and that never outlive it.
//!
//! `Drop` alone would not do: statics are never dropped, and a test process may
//! be killed. The kernel's death signal for children needs `unsafe`, which this
//! package forbids. So each server runs under a small shell (`watchdog.sh`) that
//! holds the reading end of a pipe from the test process and kills the server
//! when that pipe closes, for whatever reason.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

const WATCHDOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/watchdog.sh");

/// How long a killed server may take to be gone. Only a stuck machine needs it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// What becomes of the state directory once the server is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateDir {
    /// It goes with the server: dropped, or the test process ended.
    Remove,
    /// It stays: somebody else removes it.
    Keep,
}

/// A server under its watchdog. Dropping it kills the server at once and waits
/// until it is gone; so does the end of the test process, except the waiting.
#[derive(Debug)]
pub(crate) struct Supervised {
    name: String,
    state_dir: PathBuf,
    watchdog: Child,
    /// Closed (`None`) only while stopping.
    orders: Option<ChildStdin>,
}

impl Supervised {
    /// Starts `program` in `state_dir`, which exists. Its output goes to
    /// `<name>.log` there, appended, so that a restart keeps the first log.
    pub(crate) fn spawn<A: AsRef<OsStr>>(
        name: &str,
        state_dir: &Path,
        after: StateDir,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
    ) -> io::Result<Self> {
        let state_dir = state_dir.canonicalize()?;
        // Left by an earlier server of the same name, they would speak for this one.
        for suffix in ["pid", "exit"] {
            match fs::remove_file(state_dir.join(format!("{name}.{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let mut watchdog = Command::new("sh")
            .args([WATCHDOG, name])
            .arg(&state_dir)
            .arg(if after == StateDir::Remove { "yes" } else { "no" })
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            // Not ours to share: whoever reads the test's output to its end
            // would otherwise wait for the watchdog too.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to the whole foreground group and would
            // end the watchdog before it could do its work.
            .process_group(0)
            .spawn()?;
        let orders = watchdog.stdin.take();
        Ok(Self { name: name.to_owned(), state_dir, watchdog, orders })
    }

    /// The server's process id, once the watchdog has started it.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.read_number("pid")
    }

    /// The watchdog's process id.
    pub(crate) fn watchdog_pid(&self) -> u32 {
        self.watchdog.id()
    }

    /// The exit code, as a shell counts it (128 + signal), if the server has ended.
    pub(crate) fn exit_code(&self) -> Option<u32> {
        self.read_number("exit")
    }

    /// Everything the server has printed so far, over all its starts.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.state_dir.join(format!("{}.log", self.name))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of the log, indented, for a failure message.
    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let mut tail: Vec<&str> = log.lines().rev().take(lines).collect();
        tail.reverse();
        format!("last lines of {}:\n  {}", self.name, tail.join("\n  "))
    }

    /// Sends `signal` ("TERM", "KILL", "STOP", "CONT", ...) to the server.
    pub(crate) fn signal(&mut self, signal: &str) -> io::Result<()> {
        self.order(signal)
    }

    /// Waits until the server has ended, by itself or after [`Self::signal`].
    /// Blocking; `None` when the limit passes first.
    pub(crate) fn wait(&self, limit: Duration) -> Option<u32> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(code) = self.exit_code() {
                return Some(code);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the server has printed `before`, and gives what stands behind it on that line, or why it never came.
    /// Blocking.
    pub(crate) fn said(&self, before: &str, limit: Duration) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        loop {
            // Asked first: what an ended server has printed is all there is.
            let ended = self.exit_code().is_some();
            // Only a whole line: of the last, half may still be to come.
            let log = self.log();
            if let Some((line, _)) = log.split_once(before).and_then(|(_, rest)| rest.split_once('\n')) {
                return Ok(line.trim_end().to_owned());
            }
            if ended || Instant::now() >= deadline {
                return Err(format!("{before:?} never came; {}", self.log_tail(20)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the server to end (SIGTERM), kills it after `limit`, and returns its
    /// exit code. The state directory stays, whatever was said at the start.
    pub(crate) fn terminate(self, limit: Duration) -> io::Result<u32> {
        self.stop("TERM", limit)
    }

    /// Kills the server (SIGKILL) as a crash would. The state directory stays.
    pub(crate) fn kill(self) -> io::Result<u32> {
        self.stop("KILL", KILL_LIMIT)
    }

    fn stop(mut self, signal: &str, limit: Duration) -> io::Result<u32> {
        self.order("KEEP")?;
        self.order(signal)?;
        let mut code = self.wait(limit);
        if code.is_none() {
            self.order("KILL")?;
            code = self.wait(KILL_LIMIT);
        }
        code.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, format!("{} does not end", self.name)))
    }

    fn order(&mut self, order: &str) -> io::Result<()> {
        match &mut self.orders {
            Some(pipe) => writeln!(pipe, "{order}"),
            None => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    }

    fn read_number(&self, suffix: &str) -> Option<u32> {
        fs::read_to_string(self.state_dir.join(format!("{}.{suffix}", self.name))).ok()?.trim().parse().ok()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.orders.take());
        // The watchdog ends after the server and after sweeping the directory.
        let _ = self.watchdog.wait();
    }
}
