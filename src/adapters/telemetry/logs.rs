//! The log: text for people, JSON for machines, its filter changeable while the process runs.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::otlp::SpanLayer;
use crate::ports::spans;

/// The target of change records.
pub const AUDIT_TARGET: &str = "audit";

/// What comes before every filter, so that naming the target in a filter brings it back. kube logs each failed request as an
/// error of its own, with layers of its own; what it means for us is said by whoever asked.
const QUIET: &str = "kube_client=off,kube_runtime=error,aws_config=error";

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The log could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter is not one.
    #[error(
        "'{filter}' is not a log filter: {cause}; write a level such as info, or levels by target such as info,sgwarden::engine=debug"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        cause: ParseError,
    },
    /// A log was set up before.
    #[error("the log is set up already")]
    Again(#[source] TryInitError),
    /// The log is gone: the process is ending.
    #[error("the log's filter cannot be changed any more")]
    Gone(#[source] reload::Error),
}

/// Changes the filter of the running log. Clones change the same one.
#[derive(Clone, Debug)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Replaces the filter; on an error the old one stays.
    pub fn set(&self, filter: &str) -> Result<(), LogsError> {
        let filter = parse(filter)?;
        self.0.reload(filter).map_err(LogsError::Gone)
    }

    /// The filter in force.
    pub fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }
}

/// Sets up the log of the process, on stderr, so that stdout stays free for what a command prints; and `spans`, if traces are sent.
pub fn init(format: Format, filter: &str, spans: Option<SpanLayer>) -> Result<LogControl, LogsError> {
    // Left alone on a terminal, where the library heeds NO_COLOR; anywhere else escape codes are noise.
    let plain = !io::stderr().is_terminal();
    let (subscriber, control) = build(format, filter, plain, io::stderr, spans)?;
    subscriber.try_init().map_err(LogsError::Again)?;
    Ok(control)
}

/// A log that writes to `writer`, and its control; and `spans`.
pub(super) fn build<W>(
    format: Format,
    filter: &str,
    plain: bool,
    writer: W,
    spans: Option<SpanLayer>,
) -> Result<(impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static, LogControl), LogsError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = match format {
        Format::Text => {
            let layer = fmt::layer().with_writer(writer);
            (if plain { layer.with_ansi(false) } else { layer }).boxed()
        }
        // The current span is enough: a reconcile's span carries the object, and spans hardly nest.
        Format::Json => fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer).boxed(),
    };
    // Each has its own filter: what is logged decides nothing about what is traced.
    let spans = spans.map(|layer| layer.with_filter(Targets::new().with_target(spans::TARGET, LevelFilter::INFO)));
    Ok((tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans), LogControl(handle)))
}

/// Reads a filter and turns the audit target on in it, also where the filter says otherwise, and the spans of traces off.
pub(super) fn parse(filter: &str) -> Result<EnvFilter, LogsError> {
    // An empty text would mean errors only.
    let text = if filter.trim().is_empty() { "info" } else { filter };
    let failure = |cause| LogsError::Filter { filter: filter.to_owned(), cause };
    let audit = format!("{AUDIT_TARGET}=info").parse().map_err(&failure)?;
    let spans = format!("{}=off", spans::TARGET).parse().map_err(&failure)?;
    let filter = EnvFilter::builder().parse(format!("{QUIET},{text}")).map_err(failure)?;
    Ok(filter.add_directive(audit).add_directive(spans))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

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

    /// Runs `act` under a log and returns its lines.
    fn logged(format: Format, filter: &str, act: impl FnOnce(&LogControl)) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let (subscriber, control) = build(format, filter, true, move || writer.clone(), None).unwrap();
        tracing::subscriber::with_default(subscriber, || act(&control));
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn speak() {
        tracing::debug!(target: "sgwarden", "detail");
        tracing::info!(target: "sgwarden", "news");
        tracing::info!(target: "audit", record = "{}", "change record");
        tracing::error!(target: "sgwarden", "trouble");
    }

    #[test]
    fn the_audit_target_is_shown_whatever_the_filter_says() {
        for filter in ["off", "error", "audit=off", "audit=error,error", "off,audit=off"] {
            let lines = logged(Format::Text, filter, |_| speak());
            assert!(lines.iter().any(|line| line.contains("change record")), "{filter}: {lines:?}");
            assert!(!lines.iter().any(|line| line.contains("news")), "{filter}: {lines:?}");
        }
    }

    #[test]
    fn the_filter_can_be_changed_while_the_log_runs() {
        let lines = logged(Format::Text, "error", |control| {
            speak();
            control.set("debug").unwrap();
            speak();
            control.set("nonsense=loud").unwrap_err();
            tracing::debug!(target: "sgwarden", "still there");
            assert!(control.current().contains("debug") && control.current().contains("audit=info"), "{}", control.current());
        });
        let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
        assert_eq!((count("detail"), count("news"), count("change record"), count("trouble")), (1, 1, 2, 2), "{lines:?}");
        assert_eq!(count("still there"), 1);
    }

    #[test]
    fn json_lines_carry_fields_and_span_on_top() {
        let lines = logged(Format::Json, "info", |_| {
            let span = tracing::info_span!("reconcile", namespace = "shop", name = "web");
            span.in_scope(|| tracing::info!(group = "sg-1", "group created"));
        });
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&line["message"], &line["group"], &line["span"]["namespace"]),
            (&"group created".into(), &"sg-1".into(), &"shop".into())
        );
    }

    #[test]
    fn the_clients_own_errors_are_shown_to_those_who_ask() {
        let speak = |_: &LogControl| tracing::error!(target: "kube_client::client::builder", "failed with error client error");
        assert!(logged(Format::Text, "debug", speak).is_empty());
        assert_eq!(logged(Format::Text, "info,kube_client=warn", speak).len(), 1);
        assert_eq!(logged(Format::Text, "kube_client::client=error", speak).len(), 1);
    }

    #[test]
    fn a_filter_may_ask_for_the_detail_of_one_object() {
        let lines = logged(Format::Text, "error,[reconcile{namespace=shop}]=debug", |_| {
            for namespace in ["shop", "bank"] {
                let span = tracing::info_span!(target: "sgwarden", "reconcile", namespace);
                span.in_scope(|| tracing::debug!(target: "sgwarden", "detail"));
            }
        });
        assert_eq!((lines.len(), lines.concat().contains("shop")), (1, true), "{lines:?}");
    }

    #[test]
    fn text_for_a_file_has_no_escape_codes() {
        let lines = logged(Format::Text, "", |_| speak());
        assert_eq!(lines.len(), 3, "an empty filter means info: {lines:?}");
        assert!(!lines.concat().contains('\u{1b}'));
    }

    #[test]
    fn a_bad_filter_is_explained() {
        let error = parse("sgwarden=loud").unwrap_err().to_string();
        assert!(error.starts_with("'sgwarden=loud' is not a log filter: "), "{error}");
        assert!(!error.contains('\n'));
    }
}
