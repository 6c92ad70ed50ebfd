//! Who an access key stands for.
//!
//! Entry point: [`Identities::principal`], [`Principal`].
//!
//! Any key works. A key that was registered (in process, by `POST /_sim/principals`, or by `AssumeRole`) stands for its
//! principal. Any other stands for an IAM user: of the account whose 12 digits it contains (`AKIA111122223333ALICE` is
//! `alice` of 111122223333), else of the default account.

use super::activity::put;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A caller as AWS would name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Principal {
    /// An IAM user.
    User {
        /// Its account.
        account: String,
        /// Its name.
        name: String,
    },
    /// The root of an account.
    Root {
        /// The account.
        account: String,
    },
    /// A session of a role.
    Role {
        /// The role's account.
        account: String,
        /// The role's name, without its path.
        role: String,
        /// The session's name.
        session: String,
        /// Who is behind the session, if that was set.
        #[serde(default)]
        source_identity: Option<String>,
        /// The service that acts on behalf of the session, such as `cloudformation.amazonaws.com`.
        #[serde(default)]
        invoked_by: Option<String>,
    },
    /// A person who came through IAM Identity Center.
    Sso {
        /// The account.
        account: String,
        /// The permission set.
        permission_set: String,
        /// The person's user name, often a mail address.
        user: String,
    },
    /// A service by its service-linked role.
    ServiceRole {
        /// The account it acts in.
        account: String,
        /// Such as `elasticloadbalancing.amazonaws.com`.
        service: String,
        /// Such as `AWSServiceRoleForElasticLoadBalancing`.
        role: String,
    },
    /// A service by itself, with neither ARN nor account in its events.
    Service {
        /// The account it acts in.
        account: String,
        /// Such as `elasticloadbalancing.amazonaws.com`.
        service: String,
    },
}

/// An id such as AWS gives to roles and users, always the same for the same name.
fn unique_id(prefix: &str, name: &str) -> String {
    let mut random = fastrand::Rng::with_seed(super::world::page::fingerprint(name.as_bytes()));
    let letters =
        std::iter::repeat_with(|| char::from(random.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").copied().unwrap_or(b'A')));
    format!("{prefix}{}", letters.take(17).collect::<String>())
}

impl Principal {
    /// The account that the calls act in.
    pub fn account(&self) -> &str {
        match self {
            Self::User { account, .. }
            | Self::Root { account }
            | Self::Role { account, .. }
            | Self::Sso { account, .. }
            | Self::ServiceRole { account, .. }
            | Self::Service { account, .. } => account,
        }
    }

    /// Role and session, for principals that are sessions.
    fn session(&self) -> Option<(String, String)> {
        match self {
            Self::Role { role, session, .. } => Some((role.clone(), session.clone())),
            Self::Sso { permission_set, user, .. } => {
                let hash = super::world::page::fingerprint(permission_set.as_bytes());
                Some((format!("AWSReservedSSO_{permission_set}_{hash:016x}"), user.clone()))
            }
            Self::ServiceRole { role, service, .. } => {
                let session = role.strip_prefix("AWSServiceRoleFor").unwrap_or(service).to_owned();
                Some((role.clone(), session))
            }
            Self::User { .. } | Self::Root { .. } | Self::Service { .. } => None,
        }
    }

    /// The ARN that `GetCallerIdentity` shows.
    pub fn arn(&self, partition: &str) -> String {
        let account = self.account();
        match (self, self.session()) {
            (_, Some((role, session))) => format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session}"),
            (Self::User { name, .. }, None) => format!("arn:{partition}:iam::{account}:user/{name}"),
            (_, None) => format!("arn:{partition}:iam::{account}:root"),
        }
    }

    /// Whether a role's trust policy that names this one (an account, its root, a user, a role or one session of it) means
    /// this caller.
    pub(crate) fn is_meant_by(&self, who: &str, partition: &str) -> bool {
        let account = self.account();
        let role = self.session().map(|(role, _)| format!("arn:{partition}:iam::{account}:role/{role}"));
        who == account
            || who == format!("arn:{partition}:iam::{account}:root")
            || who == self.arn(partition)
            || role.is_some_and(|role| who == role)
    }

    /// The unique id that `GetCallerIdentity` shows.
    pub fn user_id(&self) -> String {
        match (self, self.session()) {
            (_, Some((role, session))) => format!("{}:{session}", unique_id("AROA", &role)),
            (Self::User { name, .. }, None) => unique_id("AIDA", name),
            (_, None) => self.account().to_owned(),
        }
    }

    /// The service in whose name the call is made, if it is one.
    pub(crate) fn invoked_by(&self) -> Option<&str> {
        match self {
            Self::Role { invoked_by, .. } => invoked_by.as_deref(),
            Self::ServiceRole { service, .. } | Self::Service { service, .. } => Some(service),
            Self::User { .. } | Self::Root { .. } | Self::Sso { .. } => None,
        }
    }

    /// The name that `CloudTrail`'s look-up lists events under.
    pub(crate) fn display(&self) -> Option<String> {
        match (self, self.session()) {
            (_, Some((_, session))) => Some(session),
            (Self::User { name, .. }, None) => Some(name.clone()),
            (Self::Root { .. }, None) => Some("root".into()),
            (_, None) => None,
        }
    }

    /// `userIdentity` of a `CloudTrail` event.
    pub(crate) fn identity(&self, access_key: &str, partition: &str, now: Timestamp) -> Value {
        let account = self.account();
        if let Self::Service { service, .. } = self {
            return json!({"type": "AWSService", "invokedBy": service});
        }
        let created = format!("{now:.0}");
        let base = |kind: &str| {
            json!({
                "type": kind, "principalId": self.user_id(), "arn": self.arn(partition),
                "accountId": account, "accessKeyId": access_key,
            })
        };
        let mut identity = match (self, self.session()) {
            (_, Some((role, _))) => {
                let path = match self {
                    Self::Sso { .. } => "aws-reserved/sso.amazonaws.com/".to_owned(),
                    Self::ServiceRole { service, .. } => format!("aws-service-role/{service}/"),
                    Self::User { .. } | Self::Root { .. } | Self::Role { .. } | Self::Service { .. } => String::new(),
                };
                let mut identity = base("AssumedRole");
                let session = json!({
                    "sessionIssuer": {
                        "type": "Role", "principalId": unique_id("AROA", &role), "accountId": account, "userName": role,
                        "arn": format!("arn:{partition}:iam::{account}:role/{path}{role}"),
                    },
                    "attributes": {"creationDate": created, "mfaAuthenticated": "false"},
                });
                put(&mut identity, "sessionContext", session);
                identity
            }
            (Self::User { name, .. }, None) => {
                let mut identity = base("IAMUser");
                put(&mut identity, "userName", json!(name));
                identity
            }
            (_, None) => {
                let mut identity = base("Root");
                put(&mut identity, "sessionContext", json!({"attributes": {"creationDate": created, "mfaAuthenticated": "true"}}));
                identity
            }
        };
        if let (Self::Role { source_identity: Some(source), .. }, Some(context)) = (self, identity.get_mut("sessionContext")) {
            put(context, "sourceIdentity", json!(source));
        }
        if let Some(service) = self.invoked_by() {
            put(&mut identity, "invokedBy", json!(service));
        }
        identity
    }
}

/// The principals of access keys.
#[derive(Debug, Clone)]
pub(crate) struct Identities {
    default_account: String,
    known: BTreeMap<String, Principal>,
}

impl Identities {
    pub(crate) fn new(default_account: &str) -> Self {
        Self { default_account: default_account.to_owned(), known: BTreeMap::new() }
    }

    pub(crate) fn register(&mut self, access_key: &str, principal: Principal) {
        self.known.insert(access_key.to_owned(), principal);
    }

    /// Whom this key stands for.
    pub(crate) fn principal(&self, access_key: &str) -> Principal {
        if let Some(known) = self.known.get(access_key) {
            return known.clone();
        }
        let digits = access_key.as_bytes().windows(12).position(|run| run.iter().all(u8::is_ascii_digit));
        let found = digits.and_then(|at| Some((access_key.get(at..at + 12)?, access_key.get(at + 12..)?)));
        let (account, rest) = found.unwrap_or((&self.default_account, access_key));
        let name = if rest.is_empty() { "sim".to_owned() } else { rest.to_ascii_lowercase() };
        Principal::User { account: account.to_owned(), name }
    }
}
