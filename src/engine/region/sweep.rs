//! The sweep: at regular intervals all groups of a Region are listed and held against what they were; now and then the rules are
//! read with their ids too, and what no listing shows.
//!
//! Entry point: [`run`].
//!
//! Invariant: a sweep that fails wakes nobody: it has seen nothing. It is tried again with growing pauses, and told.
//! Invariant: neither a panic nor a call that hangs ends the sweeps; only the worker's end does.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::core::model::ListedGroup;
use crate::engine::execute::backoff;
use crate::ports::cloud::{CloudError, ErrorClass, GroupQuery};
use crate::ports::metrics::SweepKind;
use crate::ports::objects::Key;
use crate::ports::spans;

use super::decorate::VALUES;
use super::loader::is_unreadable;
use super::worker::{Counts, Worker};

/// Groups compared at a time: the ledger is not held longer, and other tasks get their turn between two portions.
const PORTION: usize = 200;
/// Between a sweep that is asked for and the one before.
const ASKED: Duration = Duration::from_mins(1);
/// The shortest interval: less is a slip of the pen.
const SHORTEST: Duration = Duration::from_millis(10);

/// Sweeps until `stop`.
pub(super) async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    tokio::select! {
        () = sweeps(&worker) => {}
        () = stop.cancelled() => {}
    }
    worker.standing.send_modify(|standing| standing.attempted = true);
    worker.around.metrics.forget(&worker.place());
}

async fn sweeps(worker: &Worker) {
    let (clock, timings) = (&worker.around.clock, &worker.around.timings);
    let mut settings = worker.settings.subscribe();
    let mut failures = 0_u32;
    // The first one soon: a controller that is restarted every half hour would have none otherwise.
    let mut deep_due = clock.instant() + jittered(timings.deep_sweep / 10);
    loop {
        let began = clock.instant();
        failures = if attempt(worker, SweepKind::Usual).await { 0 } else { failures.saturating_add(1) };
        if failures == 0 && clock.instant() >= deep_due {
            // One that failed is tried again with the sweep after next, one that went well an interval later.
            let pause = if attempt(worker, SweepKind::Deep).await { timings.deep_sweep } else { timings.deep_sweep / 10 };
            deep_due = clock.instant() + jittered(pause);
        }
        let mut soonest = None;
        loop {
            let due = match failures {
                0 => {
                    let due = began + jittered(settings.borrow_and_update().sweep_interval.max(SHORTEST));
                    soonest.map_or(due, |soonest| due.min(soonest))
                }
                failures => clock.instant() + jittered(backoff(timings, failures)),
            };
            tokio::select! {
                () = sleep_until(due) => break,
                // The interval may be another: what is left of it is reckoned anew.
                _ = settings.changed() => {}
                () = worker.asked.notified() => soonest = Some(began + timings.scaled(ASKED)),
            }
        }
    }
}

/// ± 10 %, so that Regions that started together do not sweep together for ever.
fn jittered(pause: Duration) -> Duration {
    let [byte, ..] = *Uuid::new_v4().as_bytes();
    pause.mul_f64(0.9 + f64::from(byte) / 255.0 * 0.2)
}

/// One sweep with everything around it: limit, net under panics, metrics, and word of how it went. Whether it went through.
async fn attempt(worker: &Worker, kind: SweepKind) -> bool {
    let since = worker.around.clock.instant();
    let span = spans::sweep(kind.into(), worker.account(), worker.region());
    let work = async {
        let swept = match kind {
            SweepKind::Usual => sweep(worker).await,
            SweepKind::Deep => deep_sweep(worker).await,
        };
        if let Err(error) = &swept {
            spans::failed(error.class.into());
        }
        swept
    };
    let work = AssertUnwindSafe(work.instrument(span));
    let (succeeded, failure) = match timeout(worker.around.timings.sweep_limit, work.catch_unwind()).await {
        Ok(Ok(Ok(Partly { problems, passing }))) => {
            let told: Vec<String> = problems.iter().map(|problem| problem.explain(worker.region())).collect();
            (!passing, Some(told.join("; ")).filter(|told| !told.is_empty()))
        }
        Ok(Ok(Err(error))) => (false, Some(error.explain(worker.region()))),
        Ok(Err(_)) => (false, Some("a defect of sgwarden: the sweep panicked; trying again".to_owned())),
        Err(_) => (false, Some("the sweep took too long and was given up; trying again".to_owned())),
    };
    worker.around.metrics.sweep_ended(&worker.place(), kind, succeeded, since.elapsed());
    worker.standing.send_modify(|standing| {
        standing.attempted = true;
        // A sweep of one kind that goes well does not undo what one of the other had to say.
        let told = match kind {
            SweepKind::Usual => &mut standing.failure,
            SweepKind::Deep => &mut standing.deep_failure,
        };
        log(worker, kind, told.as_deref(), failure.as_deref());
        *told = failure;
    });
    succeeded
}

/// Each failure once, and its end.
fn log(worker: &Worker, kind: SweepKind, before: Option<&str>, now: Option<&str>) {
    let kind: &'static str = kind.into();
    match now {
        Some(now) if before != Some(now) => {
            tracing::warn!(region = %worker.region(), account = %worker.account(), kind, "sweep: {now}");
        }
        None if before.is_some() => {
            tracing::info!(region = %worker.region(), account = %worker.account(), kind, "sweeps go through again");
        }
        Some(_) | None => {}
    }
}

/// A sweep in which what matters was seen.
#[derive(Default)]
struct Partly {
    /// What went wrong besides, for people.
    problems: Vec<CloudError>,
    /// One of them passes by itself, so that the whole is worth trying again soon.
    passing: bool,
}

impl Partly {
    /// Each operation's first problem counts: the others would say the same of other groups.
    fn note(&mut self, error: CloudError) {
        if self.problems.iter().all(|known| known.operation != error.operation) {
            self.problems.push(error);
        }
    }
}

/// Lists all groups.
async fn sweep(worker: &Worker) -> Result<Partly, CloudError> {
    let (clock, ledger, overlay) = (&worker.around.clock, &worker.ledger, &worker.common.overlay);
    let (began, began_at) = (clock.instant(), clock.now());
    let query = if ledger.is_all_tagged() { GroupQuery::Tagged(ledger.tag()) } else { GroupQuery::All };
    let mut partly = Partly::default();
    let listing = match worker.read.listing(&query).await {
        Ok(listing) => listing,
        // Something in the Region cannot be read, perhaps a kind of peer that is new. That must not blind us for our own groups.
        Err(error) if is_unreadable(&error) => {
            partly.note(error);
            managed_groups(worker).await?
        }
        Err(error) => return Err(error),
    };
    let mut round = ledger.begin(began);
    let mut listing = listing.into_iter().peekable();
    while listing.peek().is_some() {
        ledger.compare(listing.by_ref().take(PORTION), &mut round, overlay);
        tokio::task::yield_now().await;
    }
    let swept = ledger.finish(round, overlay, clock.instant(), worker.around.timings.overlay_limit);
    overlay.tidy();
    if !swept.wake.is_empty() {
        tracing::info!(region = %worker.region(), groups = swept.wake.len(), differing = swept.differing, "a sweep shows differences");
    }
    let counts = Counts { began: began_at, groups: swept.groups, unmanaged: swept.unmanaged, rules: swept.rules };
    worker.standing.send_modify(|standing| standing.swept = Some(counts));
    worker.around.metrics.swept(&worker.place(), began_at, swept.groups, swept.unmanaged);
    worker.wake(swept.wake);
    match worker.lists.refresh(false).await {
        Ok(wake) => worker.wake(wake),
        Err(error) => partly.note(error),
    }
    Ok(partly)
}

/// The managed groups one by one: the loader finds out which of them it is that cannot be read. Those are left out, which wakes
/// their objects. Where no group can be read, nothing was seen.
async fn managed_groups(worker: &Worker) -> Result<Vec<ListedGroup>, CloudError> {
    let answers = join_all(worker.ledger.groups().into_iter().map(|id| worker.groups.load_of_many(id))).await;
    let (mut listed, mut answered, mut failure) = (Vec::new(), false, None);
    for answer in answers {
        match answer {
            Ok((group, _)) => {
                answered = true;
                listed.extend(group);
            }
            Err(error) if is_unreadable(&error) => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    match failure {
        Some(error) if !answered => Err(error),
        Some(_) | None => Ok(listed),
    }
}

/// Reads the rules of all managed groups with their ids, then what else changes so rarely, or matters so much less, that an hour's
/// delay does not hurt. Of that each part fails for itself.
async fn deep_sweep(worker: &Worker) -> Result<Partly, CloudError> {
    let mut partly = rules(worker).await?;
    match worker.lists.refresh(true).await {
        Ok(wake) => worker.wake(wake),
        Err(error) => partly.note(error),
    }
    associations(worker, &mut partly).await;
    stale_rules(worker, &mut partly).await;
    partly.passing = partly.problems.iter().any(|error| matches!(error.class, ErrorClass::Throttled | ErrorClass::Unavailable));
    Ok(partly)
}

/// The rules of all managed groups, with their ids.
async fn rules(worker: &Worker) -> Result<Partly, CloudError> {
    let mut partly = Partly::default();
    let mut wake = BTreeSet::<Key>::new();
    for ids in worker.ledger.groups().chunks(VALUES) {
        let answers = join_all(ids.iter().map(|id| worker.rules.load_of_many(id.clone()))).await;
        for (id, answer) in ids.iter().zip(answers) {
            match answer {
                Ok((rules, began)) => {
                    let rules = rules.unwrap_or_default();
                    wake.extend(worker.ledger.compare_deep(id, &rules, began, &worker.common.overlay));
                }
                Err(error) if is_unreadable(&error) => partly.note(error),
                Err(error) => return Err(error),
            }
        }
        // As they come: a difference found first does not wait for the last portion.
        worker.wake(std::mem::take(&mut wake));
    }
    Ok(partly)
}

/// The VPCs besides their own in which the managed groups can be used.
async fn associations(worker: &Worker, partly: &mut Partly) {
    for groups in worker.deep.groups().chunks(VALUES) {
        let began = worker.around.clock.instant();
        match worker.read.vpc_associations(groups).await {
            Ok(found) => worker.wake(worker.deep.learn_associations(groups, &found, began)),
            Err(error) => partly.note(error),
        }
    }
}

/// The stale rules of the managed groups.
async fn stale_rules(worker: &Worker, partly: &mut Partly) {
    let vpcs = worker.deep.vpcs();
    let mut read = vpcs.is_empty();
    for vpc in vpcs {
        match worker.read.stale_rules(&vpc).await {
            Ok(found) => {
                read = true;
                worker.wake(worker.deep.learn_stale(&vpc, &found));
            }
            Err(error) => partly.note(error),
        }
    }
    if read {
        let count = worker.deep.stale_rules();
        worker.standing.send_modify(|standing| standing.stale_rules = Some(count));
        worker.around.metrics.stale_rules(&worker.place(), count);
    }
}
