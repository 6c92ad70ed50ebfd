//! Messages in the formats of their sinks.
//!
//! Entry points: [`slack`], [`cloud_event`], [`sns`], each of a [`Parcel`].

mod cloud_event;
mod slack;
mod sns;
mod text;

pub use cloud_event::cloud_event;
pub use slack::slack;
pub use sns::{SnsMessage, sns};

use sha2::{Digest, Sha256};

use super::Notice;
use crate::api::Severity;

/// What goes out as one message.
#[derive(Clone, Copy, Debug)]
pub enum Parcel<'a> {
    /// One notice.
    One(&'a Notice),
    /// Several that were held back; at least one.
    Digest(&'a [Notice]),
}

impl<'a> Parcel<'a> {
    /// What is in it.
    pub fn notices(&self) -> &'a [Notice] {
        match self {
            Self::One(notice) => std::slice::from_ref(*notice),
            Self::Digest(notices) => notices,
        }
    }

    /// Equal for every attempt to send the same.
    pub fn id(&self) -> String {
        match self {
            Self::One(notice) => notice.message_id(),
            Self::Digest(notices) => {
                let ids: Vec<String> = notices.iter().map(Notice::message_id).collect();
                let hex: Vec<String> = Sha256::digest(ids.join("\n")).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("digest/{}", hex.concat())
            }
        }
    }

    /// The most that matters of it.
    fn severity(&self) -> Severity {
        self.notices().iter().map(|notice| notice.severity).max().unwrap_or(Severity::Low)
    }

    /// The whole of it in a line.
    fn title(&self) -> String {
        match self {
            Self::One(notice) => {
                format!("{}: {} of {}/{}", notice.severity, notice.kind, notice.place.namespace, notice.place.name)
            }
            Self::Digest(notices) => format!("{}: {} messages that were held back", self.severity(), notices.len()),
        }
    }

    /// Why there are several in it.
    fn why(&self) -> Option<String> {
        let Self::Digest(notices) = self else { return None };
        let by: Vec<String> = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low]
            .into_iter()
            .map(|severity| (severity, notices.iter().filter(|notice| notice.severity == severity).count()))
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        Some(format!(
            "{} messages in one, as more were to be sent than this notifier's rateLimit allows: {}.",
            notices.len(),
            by.join(", ")
        ))
    }
}
