//! The way of every call, whichever door it came by: stop, throttle, fault, world, fault, event, log.
//!
//! Entry point: [`Inner::ec2`].
//!
//! Invariant: a call is logged and counted exactly once, and its event tells what the world did, not what the caller was told.

use super::activity::Journal;
use super::activity::event::{self, Facts};
use super::buckets::{Buckets, bucket_of};
use super::clock::Clock;
use super::faults::{Effect, Faults, Strike, When, is_read};
use super::identity::{Identities, Principal};
use super::log::{CallLog, CallRecord};
use super::roles::Roles;
use super::world::World;
use super::world::command::Call;
use super::world::error::{self, ApiError};
use super::world::ids::IdMint;
use super::world::reply::Reply;
use super::world::state::Place;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Who calls, from where.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) place: Place,
    pub(crate) access_key: String,
    pub(crate) principal: Principal,
    pub(crate) source_ip: String,
    pub(crate) user_agent: String,
    /// The parameters as sent, for the log.
    pub(crate) params: BTreeMap<String, String>,
}

/// What happened to a call on its way.
#[derive(Debug, Clone)]
pub(crate) struct Outcome<T> {
    pub(crate) request_id: String,
    pub(crate) result: Result<T, ApiError>,
    pub(crate) delay: Duration,
    /// Not [`Effect::Error`] if the connection is to break.
    pub(crate) effect: Effect,
}

impl<T> Outcome<T> {
    /// The same with what matters of its result.
    pub(crate) fn map<U>(self, what: impl FnOnce(T) -> U) -> Outcome<U> {
        let Self { request_id, result, delay, effect } = self;
        Outcome { request_id, result: result.map(what), delay, effect }
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) world: World,
    /// The world as it was set up.
    pub(crate) pristine: World,
    pub(crate) clock: Clock,
    pub(crate) identities: Identities,
    pub(crate) roles: Roles,
    pub(crate) faults: Faults,
    pub(crate) buckets: Buckets,
    pub(crate) journal: Journal,
    pub(crate) log: CallLog,
    /// Apart from the world's, so that faults and request ids do not change the ids of things.
    pub(crate) mint: IdMint,
    /// The world before each of the latest writes, kept while reads may be stale.
    past: VecDeque<(Timestamp, World)>,
}

const MAX_PAST: usize = 1024;

impl Inner {
    pub(crate) fn new(world: World, identities: Identities, (seed, record_bytes): (u64, usize)) -> Self {
        Self {
            pristine: world.clone(),
            world,
            clock: Clock::Running(jiff::SignedDuration::ZERO),
            identities,
            roles: Roles::default(),
            faults: Faults::default(),
            buckets: Buckets::default(),
            journal: Journal::new(record_bytes),
            log: CallLog::new(record_bytes),
            mint: IdMint::new(seed ^ 0x51d0_0ff5),
            past: VecDeque::new(),
        }
    }

    /// Takes an EC2 call through. `call` is an error if the request could not be read.
    pub(crate) fn ec2(&mut self, caller: &Caller, action: &str, call: &Result<Call, ApiError>) -> Outcome<Reply> {
        let now = self.clock.now();
        let request_id = self.mint.uuid();
        let delay = self.faults.delay(action, &mut self.mint);
        let mut effect = Effect::Error;
        let mut applied = false;
        let told = match self.obstacle(caller, action, call, now) {
            Obstacle::Silent(how, error) => {
                effect = how;
                Err(error)
            }
            Obstacle::Refused(error) => {
                self.keep_event(caller, action, &request_id, now, call.as_ref().ok(), Err(&error));
                Err(error)
            }
            Obstacle::None(strike) => {
                let strike_now = strike.as_ref().filter(|strike| strike.when == When::Before);
                let result = match (strike_now, call) {
                    (Some(strike), _) => Err(struck(strike, caller, action)),
                    (None, Err(error)) => Err(error.clone()),
                    (None, Ok(call)) => {
                        applied = true;
                        self.apply(&caller.place, action, now, call)
                    }
                };
                // A connection that breaks before the call had an effect leaves no trace in CloudTrail.
                if strike_now.is_none_or(|strike| strike.effect == Effect::Error) {
                    self.keep_event(caller, action, &request_id, now, call.as_ref().ok(), result.as_ref());
                }
                match strike {
                    Some(strike) => {
                        effect = strike.effect;
                        // A cut reply is the true one, half of it; any other effect hides it.
                        if strike.effect == Effect::Cut { result } else { Err(struck(&strike, caller, action)) }
                    }
                    None => result,
                }
            }
        };
        self.log.push(CallRecord {
            time: now.to_string(),
            service: "ec2".into(),
            action: action.to_owned(),
            account: caller.place.account.to_string(),
            region: caller.place.region.to_string(),
            access_key: caller.access_key.clone(),
            request_id: request_id.clone(),
            params: caller.params.clone(),
            error: told.as_ref().err().map(|error| error.code.clone()),
            applied,
        });
        Outcome { request_id, result: told, delay, effect }
    }

    /// What keeps a call from the world, or the fault that will strike it.
    fn obstacle(&mut self, caller: &Caller, action: &str, call: &Result<Call, ApiError>, now: Timestamp) -> Obstacle {
        let (account, region) = (caller.place.account.as_str(), caller.place.region.as_str());
        if let Some(effect) = self.faults.stopped(action) {
            let error = ApiError::new("Unavailable", 503, "The service is unavailable. Please try again shortly.");
            return Obstacle::Silent(effect, error);
        }
        let bucket = bucket_of(action, call.as_ref().ok().map(|call| &call.command));
        if self.faults.throttling && !self.buckets.take(account, region, &bucket, now) {
            return Obstacle::Refused(error::throttled(account, action));
        }
        Obstacle::None(self.faults.strike(action, caller, &mut self.mint))
    }

    fn apply(&mut self, place: &Place, action: &str, now: Timestamp, call: &Call) -> Result<Reply, ApiError> {
        self.world.ensure(place);
        let at = self.faults.as_of(action, now, &mut self.mint);
        let past = at.and_then(|at| self.past.iter_mut().find(|(changed, _)| *changed > at)).map(|(_, past)| past);
        if is_read(action) {
            return past.unwrap_or(&mut self.world).call(place, now, call);
        }
        if let Some(Err(unseen)) = past.map(|past| past.clone().call(place, now, call))
            && unseen.code.ends_with(".NotFound")
        {
            return Err(unseen);
        }
        let Some(oldest) = self.faults.horizon() else {
            self.past.clear();
            return self.world.call(place, now, call);
        };
        let before = self.world.clone();
        let result = self.world.call(place, now, call);
        if result.is_ok() {
            let horizon = now.checked_sub(oldest).unwrap_or(Timestamp::MIN);
            while self.past.front().is_some_and(|(changed, _)| *changed < horizon) || self.past.len() >= MAX_PAST {
                self.past.pop_front();
            }
            self.past.push_back((now, before));
        }
        result
    }

    /// The world whose rules are in force now.
    pub(crate) fn in_force(&self) -> &World {
        let lag = Duration::from_millis(self.faults.data_plane_lag_ms);
        let at = self.clock.now().checked_sub(lag).unwrap_or(Timestamp::MIN);
        let past = self.past.iter().filter(|_| !lag.is_zero()).find(|(changed, _)| *changed > at);
        past.map_or(&self.world, |(_, past)| past)
    }

    /// Forgets faults, calls, events, the clock's setting, and on demand all that was made since the start.
    pub(crate) fn reset(&mut self, with_world: bool) {
        self.faults = Faults::default();
        self.buckets = Buckets::default();
        self.log.clear();
        self.journal.clear();
        self.clock = Clock::Running(jiff::SignedDuration::ZERO);
        self.past.clear();
        if with_world {
            self.world = self.pristine.clone();
        }
    }

    fn keep_event(
        &mut self,
        caller: &Caller,
        action: &str,
        request_id: &str,
        now: Timestamp,
        call: Option<&Call>,
        result: Result<&Reply, &ApiError>,
    ) {
        if is_read(action) || matches!(result, Err(error) if error.code == "InvalidAction") {
            return;
        }
        let facts = Facts {
            place: &caller.place,
            principal: &caller.principal,
            access_key: &caller.access_key,
            source_ip: &caller.source_ip,
            user_agent: &caller.user_agent,
            action,
            request_id,
            event_id: self.mint.uuid(),
            delivery_id: self.mint.uuid(),
            now,
            command: call.map(|call| &call.command),
            result,
        };
        let entry = event::entry(&facts);
        self.journal.record(entry, &mut self.mint);
    }
}

enum Obstacle {
    /// The service does not answer at all.
    Silent(Effect, ApiError),
    Refused(ApiError),
    None(Option<Strike>),
}

fn struck(strike: &Strike, caller: &Caller, action: &str) -> ApiError {
    if strike.code == "RequestLimitExceeded" && strike.message.is_none() {
        return ApiError { status: strike.status, ..error::throttled(&caller.place.account, action) };
    }
    let message = strike.message.clone().unwrap_or_else(|| usual_message(&strike.code, action));
    ApiError::new(strike.code.clone(), strike.status, message)
}

/// What AWS says with an error that no call of the world's answers with.
pub(crate) fn usual_message(code: &str, action: &str) -> String {
    match code {
        "UnauthorizedOperation" => "You are not authorized to perform this operation.".into(),
        "AuthFailure" => "AWS was not able to validate the provided access credentials".into(),
        "RequestExpired" => "Request has expired.".into(),
        "ExpiredToken" | "ExpiredTokenException" => "The security token included in the request is expired".into(),
        "InvalidClientTokenId" => "The security token included in the request is invalid.".into(),
        "OptInRequired" => "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.".into(),
        "InternalError" | "InternalFailure" => "An internal error has occurred".into(),
        "Unavailable" | "ServiceUnavailable" => "The service is unavailable. Please try again shortly.".into(),
        other => format!("{other} was injected into {action}."),
    }
}
