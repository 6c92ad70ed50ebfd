//! Lanes: one token bucket for each action of an account and Region, with a queue before it, so that EC2 need not throttle us
//! and a revert does not wait behind changes.
//!
//! Entry point: [`Lanes::enter`], before each call; [`Lanes::answered`], after it.
//!
//! EC2 gives each action of an account and Region a bucket of its own (handbook ec2.md §3), shared with everybody else in the
//! account. Reads and changes keep to our share of it; reverts may use all of it. Whoever is most pressing goes first, and among
//! equals who came first.
//!
//! Invariant: only the head of a queue takes a token, and whoever leaves a queue, by his turn or by giving up, rings for the
//! next: nobody waits for a call that will not come.
//! Invariant: a lane never stops. However often EC2 throttles, its pace has a lowest value, and it recovers by itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::core::model::{AddressCount, Direction};
use crate::ports::clock::Clock;
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::metrics::{Priority, RegionMetrics};

/// How pressing a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It makes a group as declared.
    Change,
    /// It takes away what nobody declared: goes before changes, the widest opening first.
    Revert {
        /// How many addresses the widest of what it closes lets in.
        exposure: AddressCount,
    },
}

/// Why a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// To look.
    Read,
    /// To write.
    Write(Urgency),
}

/// The calls we make, each with a bucket of its own at EC2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    DescribeGroups,
    DescribeRules,
    DescribeVpcs,
    DescribePrefixLists,
    DescribeInterfaces,
    DescribeAssociations,
    DescribeStale,
    CreateGroup,
    DeleteGroup,
    Authorize(Direction),
    Revoke(Direction),
    Modify,
    Redescribe(Direction),
    CreateTags,
    DeleteTags,
    LookupEvents,
}

/// A bucket's size, and how many tokens come in a second.
#[derive(Clone, Copy, Debug)]
struct Shape {
    size: f64,
    refill: f64,
}

impl Action {
    /// As AWS documents it (EC2 "Request throttling").
    fn shape(self) -> Shape {
        match self {
            Self::DescribeGroups
            | Self::DescribeRules
            | Self::DescribeVpcs
            | Self::DescribePrefixLists
            | Self::DescribeInterfaces
            | Self::DescribeAssociations => Shape { size: 100.0, refill: 20.0 },
            Self::DescribeStale => Shape { size: 20.0, refill: 5.0 },
            Self::CreateGroup | Self::DeleteGroup | Self::Authorize(_) | Self::Revoke(_) | Self::Modify | Self::Redescribe(_) => {
                Shape { size: 50.0, refill: 5.0 }
            }
            Self::CreateTags | Self::DeleteTags => Shape { size: 100.0, refill: 10.0 },
            // CloudTrail "Service quotas".
            Self::LookupEvents => Shape { size: 2.0, refill: 2.0 },
        }
    }
}

/// The slowest a throttled lane gets, as a part of its pace.
const SLOWEST: f64 = 1.0 / 16.0;
/// Throttles this close together are one: they answer calls that were under way at the same time.
const ONE_THROTTLE: Duration = Duration::from_secs(1);
/// The least share of a bucket: less would be no controller.
const LEAST_SHARE: f64 = 0.01;
/// What is left to a bucket by rounding is no reason to wait.
const WHOLE_TOKEN: f64 = 1.0 - 1e-6;

/// The place in a queue: a smaller one goes first.
type Seat = (Rank, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Revert(Reverse<AddressCount>),
    Usual,
}

impl Errand {
    fn rank(self) -> Rank {
        match self {
            Self::Write(Urgency::Revert { exposure }) => Rank::Revert(Reverse(exposure)),
            Self::Read | Self::Write(Urgency::Change) => Rank::Usual,
        }
    }

    fn priority(self) -> Priority {
        match self {
            Self::Write(Urgency::Revert { exposure: _ }) => Priority::Revert,
            Self::Write(Urgency::Change) => Priority::Change,
            Self::Read => Priority::Read,
        }
    }
}

/// The lanes of one account and Region, shared by every route into it.
pub(super) struct Lanes {
    clock: Clock,
    metrics: RegionMetrics,
    recovery: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lanes: BTreeMap<Action, Arc<Lane>>,
    /// What each route may use. The smallest holds for all: their calls come out of one bucket.
    shares: BTreeMap<u64, f64>,
}

impl Inner {
    fn share(&self) -> f64 {
        self.shares.values().copied().fold(1.0, f64::min).max(LEAST_SHARE)
    }
}

impl Lanes {
    pub(super) fn new(clock: Clock, metrics: RegionMetrics, recovery: Duration) -> Self {
        Self { clock, metrics, recovery, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what part of each bucket a route's reads and changes may use. What is no part (0, 2, NaN) becomes the nearest.
    pub(super) fn set_share(&self, route: u64, share: f64) {
        let share = if share.is_nan() { 1.0 } else { share.clamp(LEAST_SHARE, 1.0) };
        self.reshare(|shares| {
            shares.insert(route, share);
        });
    }

    /// A route is no longer used.
    pub(super) fn release(&self, route: u64) {
        self.reshare(|shares| {
            shares.remove(&route);
        });
    }

    fn reshare(&self, change: impl FnOnce(&mut BTreeMap<u64, f64>)) {
        let mut inner = self.lock();
        change(&mut inner.shares);
        let share = inner.share();
        for lane in inner.lanes.values() {
            lane.set_share(share, self.clock.instant());
        }
    }

    fn lane(&self, action: Action) -> Arc<Lane> {
        let mut inner = self.lock();
        let share = inner.share();
        let new = || Arc::new(Lane::new(action.shape(), share, self.clock.instant(), self.recovery));
        inner.lanes.entry(action).or_insert_with(new).clone()
    }

    /// Waits until the call may be made. Dropping the wait gives the place up.
    pub(super) async fn enter(&self, action: Action, errand: Errand) {
        let lane = self.lane(action);
        let since = self.clock.instant();
        lane.enter(errand.rank(), &self.clock).await;
        self.metrics.waited(errand.priority(), since.elapsed());
    }

    /// Takes note of EC2's answer: how many pages it took beyond the first, and whether EC2 throttled it.
    pub(super) fn answered(&self, action: Action, more_pages: usize, error: Option<&CloudError>) {
        let throttled = error.is_some_and(|error| error.class == ErrorClass::Throttled);
        if throttled || more_pages > 0 {
            self.lane(action).answered(more_pages, throttled, self.clock.instant());
        }
    }
}

/// One action's bucket and who waits for it.
struct Lane {
    shape: Shape,
    recovery: Duration,
    state: Mutex<State>,
}

struct State {
    /// EC2's bucket, as far as we use it.
    whole: Bucket,
    /// Our share of it, which reads and changes keep to.
    share: Bucket,
    /// 1, or less after a throttle.
    pace: f64,
    /// When EC2 last throttled, or the pace last recovered.
    paced: Instant,
    /// When the pace was last halved.
    halved: Option<Instant>,
    /// When the buckets were last filled.
    filled: Instant,
    waiting: BTreeMap<Seat, Arc<Notify>>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    shape: Shape,
    level: f64,
}

impl Bucket {
    fn full(shape: Shape) -> Self {
        Self { shape, level: shape.size }
    }

    fn fill(&mut self, seconds: f64, pace: f64) {
        self.level = self.shape.size.min(self.level + seconds * self.shape.refill * pace);
    }

    /// Takes tokens that are spent already. The debt has a bottom, or a large Region's sweep would stop all reads for minutes.
    fn owe(&mut self, tokens: f64) {
        self.level = (self.level - tokens).max(-self.shape.size);
    }

    /// How long until it has a token; zero when it has one.
    fn wait(&self, pace: f64) -> Duration {
        if self.level >= WHOLE_TOKEN {
            return Duration::ZERO;
        }
        let seconds = (1.0 - self.level) / (self.shape.refill * pace);
        // The timer counts in milliseconds: a shorter pause would be none, and a busy loop.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(Duration::from_millis(1))
    }
}

impl Shape {
    /// At least one token fits, or a small share would wait for ever.
    fn part(self, share: f64) -> Self {
        Self { size: (self.size * share).max(1.0), refill: self.refill * share }
    }
}

/// What the head of a queue, and everybody else in it, is to do.
enum Turn {
    /// The token is taken: call.
    Go,
    /// First in the queue, but the bucket is empty for so long.
    Wait(Duration),
    /// Somebody else is first.
    Behind,
}

impl Lane {
    fn new(bucket: Shape, share: f64, now: Instant, recovery: Duration) -> Self {
        let state = State {
            whole: Bucket::full(bucket),
            share: Bucket::full(bucket.part(share)),
            pace: 1.0,
            paced: now,
            halved: None,
            filled: now,
            waiting: BTreeMap::new(),
            next: 0,
        };
        Self { shape: bucket, recovery, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, rank: Rank, clock: &Clock) {
        let ticket = self.queue(rank);
        loop {
            match self.turn(&ticket.seat, clock.instant()) {
                Turn::Go => return,
                // Woken before the time is up when the share changes; who came before us meanwhile makes us Behind.
                Turn::Wait(pause) => drop(timeout(pause, ticket.bell.notified()).await),
                Turn::Behind => ticket.bell.notified().await,
            }
        }
    }

    fn queue(&self, rank: Rank) -> Ticket<'_> {
        let mut state = self.lock();
        let seat = (rank, state.next);
        state.next = state.next.wrapping_add(1);
        let bell = Arc::new(Notify::new());
        state.waiting.insert(seat, bell.clone());
        Ticket { lane: self, seat, bell }
    }

    fn turn(&self, seat: &Seat, now: Instant) -> Turn {
        let mut state = self.lock();
        self.fill(&mut state, now);
        if state.waiting.first_key_value().is_some_and(|(first, _)| first != seat) {
            return Turn::Behind;
        }
        let whole = state.whole.wait(state.pace);
        let wait = match seat.0 {
            Rank::Revert(_) => whole,
            Rank::Usual => whole.max(state.share.wait(state.pace)),
        };
        if !wait.is_zero() {
            return Turn::Wait(wait);
        }
        state.whole.owe(1.0);
        if seat.0 == Rank::Usual {
            state.share.owe(1.0);
        }
        Turn::Go
    }

    fn fill(&self, state: &mut State, now: Instant) {
        while state.pace < 1.0 && now.duration_since(state.paced) >= self.recovery {
            let recovered = state.paced + self.recovery;
            state.fill(recovered);
            state.pace = (state.pace * 2.0).min(1.0);
            state.paced = recovered;
        }
        state.fill(now);
    }

    fn set_share(&self, share: f64, now: Instant) {
        let mut state = self.lock();
        self.fill(&mut state, now);
        let part = self.shape.part(share);
        // A larger share does not come filled: changing it back and forth must not make tokens.
        state.share = Bucket { shape: part, level: state.share.level.min(part.size) };
        ring(&state);
    }

    fn answered(&self, more_pages: usize, throttled: bool, now: Instant) {
        let mut state = self.lock();
        self.fill(&mut state, now);
        let pages = u32::try_from(more_pages).map_or(f64::MAX, f64::from);
        state.whole.owe(pages);
        state.share.owe(pages);
        if !throttled {
            return;
        }
        // EC2 says that there was no token, whatever we counted: somebody else in the account uses them too.
        state.whole.level = state.whole.level.min(0.0);
        state.share.level = state.share.level.min(0.0);
        state.paced = now;
        if state.halved.is_none_or(|then| now.duration_since(then) >= ONE_THROTTLE) {
            state.pace = (state.pace / 2.0).max(SLOWEST);
            state.halved = Some(now);
        }
    }
}

impl State {
    /// At one pace.
    fn fill(&mut self, until: Instant) {
        let seconds = until.duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(until);
        self.whole.fill(seconds, self.pace);
        self.share.fill(seconds, self.pace);
    }
}

/// Rings for whoever is first now.
fn ring(state: &State) {
    if let Some((_, bell)) = state.waiting.first_key_value() {
        bell.notify_one();
    }
}

/// A place in a queue; given up when dropped, with or without a token.
struct Ticket<'a> {
    lane: &'a Lane,
    seat: Seat,
    bell: Arc<Notify>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.waiting.remove(&self.seat);
        ring(&state);
    }
}
