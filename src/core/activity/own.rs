//! Our own calls told from those of others: our writes come back as events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::event::Event;
use super::identity::{Actor, assumed};

/// The most request ids that are remembered; more than an hour of writing at AWS's limits.
const MAX_REQUESTS: usize = 100_000;

/// One of the principals that we act as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnPrincipal {
    /// A role, in whatever session. Its path is not part of it: names of roles are unique in an account, and ARNs of sessions leave
    /// it out.
    Role {
        /// The role's account, 12 digits.
        account: String,
        /// The role's name.
        name: String,
    },
    /// Anybody else, by ARN: an IAM user.
    Arn(String),
}

impl OwnPrincipal {
    /// From the ARN of a role (with its path, or without), of a session of one (as `GetCallerIdentity` shows it), or of a user.
    pub fn of_arn(arn: &str) -> Self {
        let account = arn.split(':').nth(4).unwrap_or_default().to_owned();
        let role = arn.split_once(":role/").and_then(|(_, path)| path.rsplit('/').next()).map(str::to_owned);
        match role.or_else(|| assumed(Some(arn)).0) {
            Some(name) if !account.is_empty() => Self::Role { account, name },
            _ => Self::Arn(arn.to_owned()),
        }
    }

    fn is(&self, actor: &Actor) -> bool {
        match self {
            Self::Role { account, name } => {
                let arn = actor.arn.as_deref().or(actor.role_arn.as_deref());
                arn.is_some_and(
                    |arn| matches!(Self::of_arn(arn), Self::Role { account: a, name: n } if a == *account && n == *name),
                )
            }
            Self::Arn(arn) => actor.arn.as_ref() == Some(arn),
        }
    }
}

/// Whose call an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Ours: we sent this request.
    Ours,
    /// Made with our role, by a request we know nothing of: another replica's, one whose answer was lost, or somebody who should not
    /// have our role.
    OwnRole {
        /// Whether the session has one of our names: if not, it is hardly one of us.
        same_session: bool,
    },
    /// Somebody else's.
    Others,
}

/// What we know of our own calls.
#[derive(Clone, Debug, Default)]
pub struct Own {
    principals: BTreeSet<OwnPrincipal>,
    sessions: BTreeSet<String>,
    requests: BTreeMap<String, Timestamp>,
    by_time: BTreeSet<(Timestamp, String)>,
}

impl Own {
    /// Adds one that we act as, by the ARN of a role, of a session or of a user. A session's name is added with it.
    pub fn act_as(&mut self, arn: &str) {
        self.sessions.extend(assumed(Some(arn)).1);
        self.principals.insert(OwnPrincipal::of_arn(arn));
    }

    /// Adds a name that our sessions have.
    pub fn session_name(&mut self, name: &str) {
        self.sessions.insert(name.to_owned());
    }

    /// Remembers the id of a request of ours, as EC2's answer says it; failed ones too. The newest 100,000 are kept.
    pub fn sent(&mut self, request_id: &str, at: Timestamp) {
        if let Some(known) = self.requests.insert(request_id.to_owned(), at) {
            self.by_time.remove(&(known, request_id.to_owned()));
        }
        self.by_time.insert((at, request_id.to_owned()));
        while self.requests.len() > MAX_REQUESTS {
            let Some((_, oldest)) = self.by_time.pop_first() else { return };
            self.requests.remove(&oldest);
        }
    }

    /// Forgets the requests of before a time.
    pub fn prune(&mut self, before: Timestamp) {
        while self.by_time.first().is_some_and(|(at, _)| *at < before) {
            let Some((_, oldest)) = self.by_time.pop_first() else { return };
            self.requests.remove(&oldest);
        }
    }

    /// Whose call it was: by its request id, else by principal and session.
    pub fn whose(&self, event: &Event) -> Whose {
        if event.request_id.as_ref().is_some_and(|id| self.requests.contains_key(id)) {
            return Whose::Ours;
        }
        if self.principals.iter().any(|principal| principal.is(&event.actor)) {
            let same_session = event.actor.session.as_ref().is_none_or(|session| self.sessions.contains(session));
            return Whose::OwnRole { same_session };
        }
        Whose::Others
    }

    /// Whether we sent it.
    pub fn is_own(&self, event: &Event) -> bool {
        self.whose(event) == Whose::Ours
    }
}
