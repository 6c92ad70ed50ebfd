//! Who did it: `userIdentity` and what stands beside it, in words for people (ec2.md §6.4).

use serde_json::Value;

use super::json::{at, cut, member, shown, truth, word};

/// What kind of caller it is, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
pub enum ActorKind {
    /// A human, by Identity Center or by a role session that says who is behind it.
    Person,
    /// An IAM user: a human or a program with its own key.
    User,
    /// A session of a role, of whoever may assume it: often a program.
    Role,
    /// The root user of the account.
    Root,
    /// An AWS service of its own accord.
    Service,
    /// An AWS service, such as `CloudFormation`, for somebody who is named with it.
    ServiceOnBehalf,
    /// Somebody of another account; more is not said.
    Account,
    /// None of these, or nothing is said.
    Unknown,
}

impl ActorKind {
    /// Its name, for labels.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// The caller of a call. Every text is at most [`MAX_TEXT`](super::MAX_TEXT) characters and fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Actor {
    /// The name to show; never empty.
    pub name: String,
    /// What kind of caller it is.
    pub kind: ActorKind,
    /// `CloudTrail`'s word for the kind: `IAMUser`, `AssumedRole`, `Root` …
    pub type_: Option<String>,
    /// ARN of the principal; for a session of a role, that of the session.
    pub arn: Option<String>,
    /// The account the principal belongs to.
    pub account: Option<String>,
    /// Unique id of the principal.
    pub principal_id: Option<String>,
    /// Name of the role, for sessions of one.
    pub role: Option<String>,
    /// ARN of the role.
    pub role_arn: Option<String>,
    /// Name of the session; whoever assumes the role chooses it, unless its trust policy says otherwise.
    pub session: Option<String>,
    /// The name that the identity provider gave to the session and that later sessions cannot shed.
    pub source_identity: Option<String>,
    /// The AWS service that made the call.
    pub invoked_by: Option<String>,
    /// The account of a partner's product that the call was delegated to.
    pub delegate: Option<String>,
    /// Address the call came from, or the name of a service.
    pub source_ip: Option<String>,
    /// Program the call was made with, as it says itself.
    pub user_agent: Option<String>,
}

impl Actor {
    pub(super) fn weight(&self) -> usize {
        let Self {
            name,
            kind: _,
            type_,
            arn,
            account,
            principal_id,
            role,
            role_arn,
            session,
            source_identity,
            invoked_by,
            delegate,
            source_ip,
            user_agent,
        } = self;
        let parts = [
            type_,
            arn,
            account,
            principal_id,
            role,
            role_arn,
            session,
            source_identity,
            invoked_by,
            delegate,
            source_ip,
            user_agent,
        ];
        name.len() + parts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// Whether two calls were made by the same caller: the same principal in the same session and through the same service. What is
    /// not known is not the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |actor: &Self| (actor.arn.clone(), actor.source_identity.clone(), actor.invoked_by.clone());
        key(self) == key(other) && (self.arn.is_some() || (self.kind == ActorKind::Service && self.invoked_by.is_some()))
    }
}

/// Path and name prefix of the roles that AWS keeps for its own services.
const SERVICE_PATH: &str = "/aws-service-role/";
const SERVICE_ROLE: &str = "AWSServiceRoleFor";
/// Name prefix of the roles behind Identity Center's permission sets.
const SSO_ROLE: &str = "AWSReservedSSO_";

/// Reads the caller of a `CloudTrail` event. Always ends in a name, at worst `unknown`.
pub fn read(detail: &Value) -> Actor {
    let who = member(detail, "userIdentity").unwrap_or(&Value::Null);
    let issuer = at(who, &["sessionContext", "sessionIssuer"]).unwrap_or(&Value::Null);
    let arn = shown(who, "arn");
    let (role, session) = assumed(arn.as_deref());
    let source_ip = shown(detail, "sourceIPAddress");
    // AWS sets the address, and sets a service's name there for its services' calls; the user agent is the caller's own word.
    let service = |name: &&String| name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn");
    let mut actor = Actor {
        name: String::new(),
        kind: ActorKind::Unknown,
        type_: shown(who, "type"),
        principal_id: shown(who, "principalId"),
        account: shown(who, "accountId"),
        role: role.or_else(|| shown(issuer, "userName").filter(|_| word(issuer, "type").as_deref() == Some("Role"))),
        role_arn: shown(issuer, "arn").filter(|arn| arn.contains(":role/")),
        session,
        source_identity: at(who, &["sessionContext"]).and_then(|context| shown(context, "sourceIdentity")),
        invoked_by: shown(who, "invokedBy").or_else(|| source_ip.as_ref().filter(service).cloned()),
        delegate: member(who, "invokedByDelegate").and_then(|delegate| shown(delegate, "accountId")),
        source_ip,
        user_agent: shown(detail, "userAgent"),
        arn,
    };
    if actor.session.is_none() && actor.role.is_some() {
        actor.session = actor.principal_id.as_deref().and_then(|id| id.split_once(':')).map(|(_, session)| session.to_owned());
    }
    let (kind, name) = told(&actor, who);
    (actor.kind, actor.name) = on_behalf(&actor, kind, name);
    if let Some(delegate) = &actor.delegate {
        actor.name = format!("{}, through account {delegate}", actor.name);
    }
    actor.name = cut(&actor.name);
    actor
}

/// Role and session of `arn:<partition>:sts::<account>:assumed-role/<role>/<session>`.
pub(super) fn assumed(arn: Option<&str>) -> (Option<String>, Option<String>) {
    let parts = arn.and_then(|arn| arn.split_once(":assumed-role/")).and_then(|(_, rest)| rest.split_once('/'));
    parts.map_or((None, None), |(role, session)| (Some(role.to_owned()), Some(session.to_owned())))
}

/// The principal by itself.
fn told(actor: &Actor, who: &Value) -> (ActorKind, String) {
    let user_name = || shown(who, "userName");
    let account = || actor.account.clone().unwrap_or_else(|| "unknown account".to_owned());
    match actor.type_.as_deref() {
        Some("Root") => {
            let assumed = at(who, &["sessionContext"]).and_then(|context| truth(context, "assumedRoot")).unwrap_or(false);
            (ActorKind::Root, format!("root of {}{}", account(), if assumed { " (assumed)" } else { "" }))
        }
        Some("IAMUser") => (ActorKind::User, user_name().unwrap_or_else(|| last_resort(actor))),
        Some("AssumedRole") => role(actor),
        Some("AWSService") => {
            let service = actor.invoked_by.clone().or_else(|| actor.source_ip.clone());
            (ActorKind::Service, service.unwrap_or_else(|| "AWS service".to_owned()))
        }
        Some("AWSAccount") => (ActorKind::Account, format!("account {}", account())),
        Some("IdentityCenterUser") => {
            let id = at(who, &["onBehalfOf"]).and_then(|person| shown(person, "userId"));
            let name = id.map_or_else(|| last_resort(actor), |id| format!("Identity Center user {id}"));
            (ActorKind::Person, name)
        }
        _ if actor.role.is_some() && actor.session.is_some() => role(actor),
        _ => (ActorKind::Unknown, last_resort(actor)),
    }
}

/// A session of a role: the person behind it where that is known.
fn role(actor: &Actor) -> (ActorKind, String) {
    let Some(role) = actor.role.as_deref() else { return (ActorKind::Role, last_resort(actor)) };
    if let Some(source) = &actor.source_identity {
        return (ActorKind::Person, format!("{source} (role {role})"));
    }
    let of_service = role.starts_with(SERVICE_ROLE) || actor.role_arn.as_deref().is_some_and(|arn| arn.contains(SERVICE_PATH));
    if of_service {
        let path = actor.role_arn.as_deref().and_then(|arn| arn.split_once(SERVICE_PATH)).map(|(_, path)| path);
        let service = path.and_then(|path| path.split_once('/')).map(|(service, _)| service.to_owned());
        return (ActorKind::Service, actor.invoked_by.clone().or(service).unwrap_or_else(|| role.to_owned()));
    }
    match &actor.session {
        Some(person) if role.starts_with(SSO_ROLE) => (ActorKind::Person, person.clone()),
        Some(session) => (ActorKind::Role, format!("{session} (role {role})")),
        None => (ActorKind::Role, format!("role {role}")),
    }
}

/// A service that calls with somebody else's rights is named with them.
fn on_behalf(actor: &Actor, kind: ActorKind, name: String) -> (ActorKind, String) {
    match (&actor.invoked_by, kind) {
        (Some(service), ActorKind::Unknown) if actor.arn.is_none() && actor.principal_id.is_none() => {
            (ActorKind::Service, service.clone())
        }
        (None, _) | (_, ActorKind::Service | ActorKind::ServiceOnBehalf) => (kind, name),
        (
            Some(service),
            ActorKind::Person | ActorKind::User | ActorKind::Role | ActorKind::Root | ActorKind::Account | ActorKind::Unknown,
        ) => (ActorKind::ServiceOnBehalf, format!("{service} for {name}")),
    }
}

fn last_resort(actor: &Actor) -> String {
    let told = [&actor.arn, &actor.principal_id, &actor.type_].into_iter().flatten().next();
    told.cloned().unwrap_or_else(|| "unknown".to_owned())
}
