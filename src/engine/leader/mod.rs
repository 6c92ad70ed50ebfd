//! Who writes, of several replicas: leadership by a Lease, and the fence that no write passes without it.
//!
//! Entry points: [`lead`] takes the Lease, runs the work while it is held, and releases it; [`Fence`] gives the permits;
//! [`FencedConnect`] puts the writers of EC2 behind it.
//!
//! EC2 knows nothing of Leases, so the fence is ours alone, and rests on time: a Lease holds 20 s, a write starts only with 9 s
//! of it left and is given up after 8 s, and others take the Lease no earlier than 20 s after they saw its last renewal. All of it
//! is counted on [`Steady`](crate::ports::steady::Steady) time; neither a jump of the wall clock nor the times written in the
//! Lease mean anything.
//!
//! Invariant: no two replicas write at the same time. The exception is a process that is stopped (`SIGSTOP`, a starved node)
//! between its permit and its call: thawed, it may send what was past the fence, and nothing else. Against a short stop
//! there, whoever takes a Lease that was not released waits 8 s.
//! Invariant: a Lease is released only when no write is under way.
//!
//! A Lease somebody deletes while its holder lives is waited out by every replica that had seen it. A replica that starts in the
//! very seconds before the holder notices (its next renewal) has not: whoever deletes Leases of running leaders takes that risk.

mod elector;
mod fence;
mod fenced;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ports::clock::{Clock, Timings};
use crate::ports::lease::Leases;
use crate::ports::metrics::LeaderMetrics;

pub use fence::{Fence, NotLeader, Permit};
pub use fenced::{FencedConnect, FencedWrite};

use elector::{Elector, Lost, Term};

/// What leading takes.
#[derive(Clone)]
pub struct LeaderParts {
    /// The Lease.
    pub leases: Arc<dyn Leases>,
    /// This process among all: never used by another, nor by this one before a restart.
    pub identity: String,
    /// Time.
    pub clock: Clock,
    /// Waits.
    pub timings: Timings,
    /// Says whether this process leads.
    pub metrics: LeaderMetrics,
    /// Opened while this process leads.
    pub fence: Fence,
}

/// Stands for leader until `stop`, and whenever elected runs `work` until leadership is lost, `stop` comes or the work ends.
///
/// The token that `work` is given is cancelled when it has to end; `lead` waits for that, and never runs it twice at a time. What
/// the work has spawned must end with it. After `stop` the fence stays open for as long as the work takes to wind down, 60 s
/// at most; then, and at once when leadership is lost, it closes and every further write is refused. A panic in `work` is caught: it
/// is a defect, but the replica stays what it can be, a candidate.
pub async fn lead(
    parts: LeaderParts,
    stop: CancellationToken,
    mut work: impl FnMut(CancellationToken) -> BoxFuture<'static, ()> + Send,
) {
    let mut elector = Elector::new(&parts);
    while let Some(term) = elector.stand(&stop).await {
        reign(&mut elector, &parts, term, &stop, &mut work).await;
        // A work that ends by itself, or panics, would otherwise take the Lease again before any other replica could.
        tokio::select! {
            () = stop.cancelled() => {}
            () = parts.clock.sleep(jittered(parts.timings.lease_retry)) => {}
        }
    }
}

/// Holds the office: whatever way it is left, with the future dropped as well, the fence is closed and the work told to end.
struct Office<'a> {
    parts: &'a LeaderParts,
    token: CancellationToken,
}

impl<'a> Office<'a> {
    fn take(parts: &'a LeaderParts, term: Term) -> Self {
        parts.fence.open(term.renewed, term.taken);
        parts.metrics.leads(true);
        Self { parts, token: CancellationToken::new() }
    }

    fn close(&self) {
        self.parts.fence.close();
        self.parts.metrics.leads(false);
        self.token.cancel();
    }
}

impl Drop for Office<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

/// From the election to the last word of the work.
async fn reign(
    elector: &mut Elector,
    parts: &LeaderParts,
    term: Term,
    stop: &CancellationToken,
    work: &mut (impl FnMut(CancellationToken) -> BoxFuture<'static, ()> + Send),
) {
    let office = Office::take(parts, term);
    tracing::info!(identity = parts.identity, took_over = term.taken.is_some(), "this replica leads");
    let overdue;
    let outcome = {
        let keep = elector.keep(&parts.fence, term);
        let course = run(parts, term, stop, &office.token, work);
        tokio::pin!(keep, course);
        tokio::select! {
            biased;
            lost = &mut keep => {
                // Before the work has ended: from now on another may lead.
                office.close();
                tell(&lost);
                overdue = course.await;
                Outcome::Lost
            }
            left = &mut course => {
                overdue = left;
                office.close();
                tokio::select! {
                    biased;
                    () = parts.fence.quiet() => Outcome::Quiet,
                    lost = keep => {
                        tell(&lost);
                        Outcome::Lost
                    }
                    () = parts.clock.sleep(parts.timings.fence_margin.saturating_mul(2)) => Outcome::Busy,
                }
            }
        }
    };
    match outcome {
        Outcome::Quiet => elector.release().await,
        Outcome::Lost => {}
        Outcome::Busy => tracing::warn!("a write does not end; the Lease is not released and runs out by itself"),
    }
    if let Some(work) = overdue {
        tracing::error!("the work of the leader does not end; until it does, this replica is no candidate");
        told_end(work.await);
    }
}

/// How a reign came to its end.
enum Outcome {
    /// Another may lead already.
    Lost,
    /// The Lease is ours, and no write under way.
    Quiet,
    /// The Lease is ours, and a write still under way after all this time.
    Busy,
}

/// Runs the work from when writing is safe until it ends; what does not end in time is returned.
async fn run(
    parts: &LeaderParts,
    term: Term,
    stop: &CancellationToken,
    token: &CancellationToken,
    work: &mut (impl FnMut(CancellationToken) -> BoxFuture<'static, ()> + Send),
) -> Option<JoinHandle<()>> {
    // The fence waits as well; but work that begins with refusals would only report them.
    let wait = parts.timings.takeover_wait;
    let wait = term.taken.map_or(Duration::ZERO, |taken| wait.saturating_sub(parts.fence.steady().since(taken)));
    tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        () = token.cancelled() => return None,
        () = parts.clock.sleep(wait) => {}
    }
    // A task of its own: a panic stays in it, and renewing never waits for what the work is busy with.
    let mut task = tokio::spawn(work(token.clone()));
    tokio::select! {
        ended = &mut task => {
            told_end(ended);
            return None;
        }
        () = stop.cancelled() => token.cancel(),
        () = token.cancelled() => {}
    }
    match tokio::time::timeout(parts.timings.wind_down, &mut task).await {
        Ok(ended) => {
            told_end(ended);
            None
        }
        Err(_) => Some(task),
    }
}

fn tell(lost: &Lost) {
    match lost {
        Lost::Taken { holder } => {
            tracing::warn!(leader = holder.as_deref().unwrap_or("nobody"), "leadership is lost: the Lease is another's");
        }
        Lost::Deadline => tracing::warn!("leadership is lost: the Lease could not be renewed in time"),
    }
}

fn told_end(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a defect of sgwarden: the work of the leader panicked; leadership is given up");
    }
}

/// Up to a fifth longer, so that replicas that started together do not ask together for ever.
fn jittered(pause: Duration) -> Duration {
    let [byte, ..] = *Uuid::new_v4().as_bytes();
    pause.mul_f64(1.0 + f64::from(byte) / 255.0 * 0.2)
}
