//! Watches of kinds that need not be there, or that we need not be allowed to read.
//!
//! Entry point: [`watch`]. Such a kind has no objects; the stream says so and looks again from time to time.
//!
//! Invariant: that there are none is said on evidence that held for a while, never on one answer: a grant that is gone revokes
//! rules. Objects that were read once are not given up because the right to read them went: rights go by mistake.
//! Invariant: what lasts is told once, and asked for at a pace that hurts nobody.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Error, Event};

use super::words;
use crate::ports::objects::Watch;

/// How patient to be with kinds that are not there. Tests shrink it.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From one look for a kind that is not there, or may not be read, to the next.
    pub look: Duration,
    /// How long an absence must last before it is believed. It is part of every start on a cluster without such a kind.
    pub doubt: Duration,
    /// How long it must last when objects of the kind were read before: these are taken away then.
    pub loss: Duration,
    /// From a look that failed to the next.
    pub retry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(300),
            doubt: Duration::from_secs(2),
            loss: Duration::from_secs(30),
            retry: Duration::from_secs(5),
        }
    }
}

/// What a look for a kind found.
pub(super) enum Look<K> {
    /// It is served and may be read.
    There(Watch<K>),
    /// The apiserver says that it is not installed.
    NotInstalled,
    /// It may not be read.
    Forbidden(kube::Error),
    /// Nobody knows.
    Failed(kube::Error),
}

/// Looks for a kind.
pub(super) type Looking<K> = Box<dyn Fn() -> BoxFuture<'static, Look<K>> + Send>;

/// The objects of a kind, as long as there are any to be read. `kind` is for the log.
pub(super) fn watch<K: Send + 'static>(kind: &'static str, patience: Patience, look: Looking<K>) -> Watch<K> {
    let optional = Optional {
        kind,
        patience,
        look,
        step: Step::Look,
        told: Told::Nothing,
        suspected: None,
        complained: false,
        ahead: VecDeque::new(),
    };
    stream::unfold(optional, |mut optional| async move {
        let item = optional.next().await;
        Some((item, optional))
    })
    .boxed()
}

type Item<K> = Result<Event<DeserializeGuard<K>>, Error>;

struct Optional<K> {
    kind: &'static str,
    patience: Patience,
    look: Looking<K>,
    step: Step<K>,
    told: Told,
    /// The absence that the last look found and that is not believed yet.
    suspected: Option<Absence>,
    /// Whether the reader was told that objects it was shown cannot be read any more.
    complained: bool,
    /// What to tell before anything else.
    ahead: VecDeque<Event<DeserializeGuard<K>>>,
}

enum Step<K> {
    Look,
    Wait(Duration),
    Watch(Watch<K>),
}

/// What the reader was told last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Objects,
    None(Absence),
}

/// Why there are none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    NotInstalled,
    Forbidden,
}

impl<K> Optional<K> {
    async fn next(&mut self) -> Item<K> {
        loop {
            if let Some(event) = self.ahead.pop_front() {
                return Ok(event);
            }
            match &mut self.step {
                Step::Wait(pause) => {
                    tokio::time::sleep(*pause).await;
                    self.step = Step::Look;
                }
                Step::Watch(objects) => match objects.next().await {
                    Some(Ok(event)) => {
                        if matches!(event, Event::InitDone) {
                            self.told = Told::Objects;
                        }
                        return Ok(event);
                    }
                    // The watch would ask for ever under the address it began with.
                    Some(Err(error)) if is_refusal(&error) => {
                        self.step = Step::Wait(self.patience.retry);
                        return Err(error);
                    }
                    Some(Err(error)) => return Err(error),
                    None => self.step = Step::Wait(self.patience.retry),
                },
                Step::Look => {
                    let found = (self.look)();
                    if let Some(error) = self.take(found.await) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Decides what comes next; gives an error that the reader has to hear of.
    fn take(&mut self, found: Look<K>) -> Option<Error> {
        let (absence, error) = match found {
            Look::There(objects) => {
                if matches!(self.told, Told::None(_)) {
                    tracing::info!(kind = self.kind, "objects of this kind can be read now");
                }
                (self.suspected, self.complained) = (None, false);
                self.step = Step::Watch(objects);
                return None;
            }
            Look::Failed(error) => {
                self.suspected = None;
                self.step = Step::Wait(self.patience.retry);
                return Some(Error::InitialListFailed(error));
            }
            Look::NotInstalled => (Absence::NotInstalled, None),
            Look::Forbidden(error) => (Absence::Forbidden, Some(error)),
        };
        match self.told {
            Told::None(before) => {
                if before != absence {
                    self.explain(absence, error.as_ref());
                    self.told = Told::None(absence);
                }
                self.step = Step::Wait(self.patience.look);
                None
            }
            Told::Objects if absence == Absence::Forbidden => {
                self.suspected = None;
                self.step = Step::Wait(self.patience.retry);
                error.filter(|_| !std::mem::replace(&mut self.complained, true)).map(Error::InitialListFailed)
            }
            Told::Nothing | Told::Objects if self.suspected != Some(absence) => {
                self.suspected = Some(absence);
                let pause = if self.told == Told::Objects { self.patience.loss } else { self.patience.doubt };
                self.step = Step::Wait(pause);
                None
            }
            Told::Nothing | Told::Objects => {
                self.explain(absence, error.as_ref());
                self.suspected = None;
                self.told = Told::None(absence);
                self.ahead.extend([Event::Init, Event::InitDone]);
                self.step = Step::Wait(self.patience.look);
                None
            }
        }
    }

    fn explain(&self, absence: Absence, error: Option<&kube::Error>) {
        let again = format_args!("{:?}", self.patience.look);
        match absence {
            Absence::NotInstalled => {
                tracing::info!(kind = self.kind, again, "there are none of this kind: it is not installed in the cluster");
            }
            Absence::Forbidden => {
                let error = error.map(words);
                tracing::info!(kind = self.kind, again, error, "sgwarden may not read this kind and goes on as if there were none");
            }
        }
    }
}

/// Whether the apiserver will not show these objects, as against not being able to.
fn is_refusal(error: &Error) -> bool {
    let code = match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => status.code,
        Error::InitialListFailed(_) | Error::WatchStartFailed(_) | Error::WatchFailed(_) | Error::NoResourceVersion => {
            return false;
        }
    };
    matches!(code, 403 | 404)
}
