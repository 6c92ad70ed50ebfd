//! Sinks that note what they take, and that can be down, hang, refuse, or be the last thing a process does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;

use sgwarden::ports::sinks::{Deliver, DeliverError, Delivery};

/// How a sink behaves.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    /// It takes everything.
    #[default]
    Well,
    /// It takes nothing, and says how long it wants to be left alone.
    Down(Option<Duration>),
    /// It never answers.
    Hangs,
    /// It does not take messages that hold this text.
    Picky(&'static str),
    /// It takes one message and never answers again.
    Last,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) delivery: Delivery,
}

impl Taken {
    /// The event, of a webhook.
    pub(crate) fn event(&self) -> &Value {
        let Delivery::Webhook { event, .. } = &self.delivery else { panic!("no webhook: {:?}", self.delivery) };
        event
    }

    /// The data of each notice in it.
    pub(crate) fn notices(&self) -> Vec<Value> {
        let data = &self.event()["data"];
        data["notices"].as_array().cloned().unwrap_or_else(|| vec![data.clone()])
    }
}

#[derive(Default)]
struct State {
    moods: BTreeMap<String, Mood>,
    taken: Vec<(String, Taken)>,
    asked: Vec<(String, Instant)>,
}

/// All sinks, told apart by their URL; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<State>>);

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, sink: &str, mood: Mood) {
        self.lock().moods.insert(url(sink), mood);
    }

    /// What a sink took, in order.
    pub(crate) fn taken(&self, sink: &str) -> Vec<Taken> {
        let url = url(sink);
        self.lock().taken.iter().filter(|(to, _)| *to == url).map(|(_, taken)| taken.clone()).collect()
    }

    /// Everything a sink was told, notice by notice.
    pub(crate) fn notices(&self, sink: &str) -> Vec<Value> {
        self.taken(sink).iter().flat_map(Taken::notices).collect()
    }

    /// When a sink was tried.
    pub(crate) fn asked(&self, sink: &str) -> Vec<Instant> {
        let url = url(sink);
        self.lock().asked.iter().filter(|(to, _)| *to == url).map(|(_, at)| *at).collect()
    }
}

/// The URL of a sink of these tests.
pub(crate) fn url(sink: &str) -> String {
    format!("https://{sink}.example.com/")
}

/// A webhook without a signature, with more of its spec.
pub(crate) fn notifier(name: &str, more: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: Notifier\nmetadata: {{name: {name}}}\nspec: {{type: Webhook, webhook: {{url: \"{}\"}}{more}}}",
        url(name)
    )
}

#[async_trait]
impl Deliver for Inbox {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliverError> {
        let Delivery::Webhook { url, event, .. } = delivery else { panic!("the tests of the engine know webhooks: {delivery:?}") };
        let mood = {
            let mut state = self.lock();
            state.asked.push((url.clone(), Instant::now()));
            state.moods.get(url).cloned().unwrap_or_default()
        };
        match mood {
            Mood::Well | Mood::Last => {}
            Mood::Picky(text) if !event.to_string().contains(text) => {}
            Mood::Down(retry_after) => return Err(DeliverError::Unavailable { why: "it is down".to_owned(), retry_after }),
            Mood::Picky(_) => return Err(DeliverError::Message { why: "not that".to_owned() }),
            Mood::Hangs => std::future::pending().await,
        }
        self.lock().taken.push((url.clone(), Taken { delivery: delivery.clone() }));
        if matches!(mood, Mood::Last) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}
