//! STS, whichever door it is asked by: who one is, and becoming another.
//!
//! Entry point: [`answer`].

use super::door::{log_other, struck};
use super::faults::Effect;
use super::identity::Principal;
use super::pipeline::{Caller, Inner, Outcome};
use super::roles::read_arn;
use super::wire::sts::{StsCall, StsReply};
use super::world::error::ApiError;
use super::world::state::partition;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Takes a call through. `call` is an error if the request could not be read.
pub(crate) fn answer(
    inner: &mut Inner,
    caller: &Caller,
    action: &str,
    call: impl FnOnce() -> Result<StsCall, ApiError>,
) -> Outcome<(StsCall, StsReply)> {
    let (now, request_id) = (inner.clock.now(), inner.mint.uuid());
    let strike = struck(inner, caller, action);
    let effect = strike.as_ref().map_or(Effect::Error, |(effect, _)| *effect);
    let result = match strike {
        Some((_, error)) => Err(error),
        None => call().and_then(|call| reply(inner, now, caller, &call).map(|reply| (call, reply))),
    };
    log_other(inner, now, caller, ("sts", action, &request_id), result.as_ref().err());
    Outcome { request_id, result, delay: Duration::ZERO, effect }
}

fn reply(inner: &mut Inner, now: Timestamp, caller: &Caller, call: &StsCall) -> Result<StsReply, ApiError> {
    let partition = partition(caller.place.region.as_str());
    match call {
        StsCall::GetCallerIdentity => Ok(StsReply::Identity {
            arn: caller.principal.arn(partition),
            user_id: caller.principal.user_id(),
            account: caller.principal.account().to_owned(),
        }),
        StsCall::AssumeRole { role_arn, session, duration, external_id, source_identity } => {
            let (account, role) = read_arn(role_arn)?;
            if inner.roles.refuses(role_arn, &caller.principal, external_id.as_deref(), partition) {
                let who = caller.principal.arn(partition);
                let message = format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}");
                return Err(ApiError::new("AccessDenied", 403, message));
            }
            let principal = Principal::Role {
                account: account.to_owned(),
                role: role.to_owned(),
                session: session.clone(),
                source_identity: source_identity.clone(),
                invoked_by: None,
            };
            let random = format!("{:016X}", inner.mint.u64());
            let access_key = format!("ASIA{random}");
            let expires = now.checked_add(SignedDuration::from_secs(*duration)).unwrap_or(Timestamp::MAX);
            let reply = StsReply::Assumed {
                secret: format!("{:016x}{:016x}{:08x}", inner.mint.u64(), inner.mint.u64(), inner.mint.below(1 << 32)),
                token: format!("FwoGZXIvYXdzE{:016x}{:016x}", inner.mint.u64(), inner.mint.u64()),
                expiration: format!("{expires:.0}"),
                role_id: principal.user_id(),
                arn: principal.arn(partition),
                source_identity: source_identity.clone(),
                access_key: access_key.clone(),
            };
            inner.identities.register(&access_key, principal);
            Ok(reply)
        }
    }
}
