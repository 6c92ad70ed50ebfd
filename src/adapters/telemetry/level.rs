//! The log filter at run time: set for good or for a while, after which the one before comes back.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::logs::{LogControl, LogsError, parse};

/// The longest a filter may be set for: a while that is longer is for good.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The filter of the running log. Clones share it.
#[derive(Clone, Debug)]
pub struct Level {
    control: LogControl,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What was set for good last.
    lasting: String,
    brief: Option<Brief>,
}

/// A filter for a while.
#[derive(Debug)]
struct Brief {
    filter: String,
    until: Instant,
    end: AbortHandle,
}

impl Level {
    /// The log as it was set up with `filter`.
    pub fn new(control: LogControl, filter: &str) -> Self {
        Self { control, state: Arc::new(Mutex::new(State { lasting: filter.to_owned(), brief: None })) }
    }

    /// Sets the filter, for good or for a while. On an error everything stays as it was.
    pub fn set(&self, filter: &str, time: Option<Duration>) -> Result<(), LogsError> {
        parse(filter)?;
        let mut state = self.lock();
        // Said before it is done: afterwards the filter may not let it through.
        tracing::info!(filter, seconds = time.map(|time| time.as_secs()), "the log filter changes");
        self.control.set(filter)?;
        if let Some(ended) = state.brief.take() {
            ended.end.abort();
        }
        match time {
            None => filter.clone_into(&mut state.lasting),
            Some(time) => {
                let until = Instant::now() + time;
                let level = self.clone();
                let end = tokio::spawn(async move {
                    sleep_until(until).await;
                    level.end();
                });
                state.brief = Some(Brief { filter: filter.to_owned(), until, end: end.abort_handle() });
            }
        }
        Ok(())
    }

    /// Goes back to the lasting filter, unless another was set while this waited for its turn.
    fn end(&self) {
        let mut state = self.lock();
        if state.brief.as_ref().is_none_or(|brief| brief.until > Instant::now()) {
            return;
        }
        state.brief = None;
        match self.control.set(&state.lasting) {
            Ok(()) => tracing::info!(filter = state.lasting, "the log filter is as before"),
            Err(error) => tracing::warn!(%error, "the log filter stays"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A half-done change cannot exist: poison means nothing here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter in force, and what it will be when its time is over.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        match &state.brief {
            None => f.write_str(&state.lasting),
            Some(brief) => {
                let left = brief.until.saturating_duration_since(Instant::now()).as_secs();
                write!(f, "{} for another {left} s, then {}", brief.filter, state.lasting)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::telemetry::logs::{Format, build};

    /// A level over a log that nobody reads.
    fn level() -> (impl tracing::Subscriber, Level) {
        let (subscriber, control) = build(Format::Text, "info", true, std::io::sink, None).unwrap();
        (subscriber, Level::new(control, "info"))
    }

    fn in_force(level: &Level) -> String {
        level.control.current()
    }

    #[tokio::test(start_paused = true)]
    async fn a_brief_filter_ends_by_itself_and_the_lasting_one_comes_back() {
        let (_log, level) = level();
        level.set("warn", None).unwrap();
        level.set("info,sgwarden=debug", Some(Duration::from_secs(600))).unwrap();
        assert_eq!(level.to_string(), "info,sgwarden=debug for another 600 s, then warn");
        tokio::time::sleep(Duration::from_secs(599)).await;
        assert!(in_force(&level).contains("sgwarden=debug"), "{}", in_force(&level));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(level.to_string(), "warn");
        assert!(in_force(&level).contains("warn") && !in_force(&level).contains("debug"), "{}", in_force(&level));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_brief_filter_has_its_own_time_and_ends_in_the_lasting_one() {
        let (_log, level) = level();
        level.set("debug", Some(Duration::from_secs(60))).unwrap();
        level.set("trace", Some(Duration::from_secs(120))).unwrap();
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(level.to_string(), "trace for another 59 s, then info");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(level.to_string(), "info");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_set_for_good_is_not_taken_back() {
        let (_log, level) = level();
        level.set("debug", Some(Duration::from_secs(60))).unwrap();
        level.set("error", None).unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(level.to_string(), "error");
        assert!(in_force(&level).contains("error"), "{}", in_force(&level));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_filter_changes_nothing() {
        let (_log, level) = level();
        level.set("debug", Some(Duration::from_secs(60))).unwrap();
        let error = level.set("sgwarden=loud", None).unwrap_err();
        assert!(error.to_string().starts_with("'sgwarden=loud' is not a log filter: "), "{error}");
        assert_eq!(level.to_string(), "debug for another 60 s, then info");
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(level.to_string(), "info");
    }
}
