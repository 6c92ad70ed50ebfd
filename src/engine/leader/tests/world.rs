//! An EC2 that knows nothing of leaders, and keeps who wrote when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Switch;
use crate::core::model::{Direction, NewRule, RuleId, SecurityGroupId, Tags};
use crate::ports::cloud::{CloudError, Ec2Write, ErrorClass, NewGroup, Receipt};

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) by: String,
    /// When the permit was given.
    pub(super) begun: Instant,
    /// When EC2 got it.
    pub(super) got: Option<Instant>,
    /// When the caller was done with it: it has an answer, or has given up.
    pub(super) ended: Option<Instant>,
}

/// How long parts of a call take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From the permit until the connection has it.
    pub(super) preparing: Duration,
    /// From then until EC2 has it.
    pub(super) sending: Duration,
    /// From then until the answer.
    pub(super) answering: Duration,
}

#[derive(Clone)]
pub(super) struct World {
    calls: Arc<Mutex<Vec<Written>>>,
    pace: Arc<Mutex<Box<dyn FnMut() -> Pace + Send>>>,
}

impl World {
    pub(super) fn new() -> Self {
        let pace = Pace { preparing: Duration::ZERO, sending: Duration::from_millis(5), answering: Duration::from_millis(200) };
        Self::paced(move || pace)
    }

    pub(super) fn paced(pace: impl FnMut() -> Pace + Send + 'static) -> Self {
        Self { calls: Arc::default(), pace: Arc::new(Mutex::new(Box::new(pace))) }
    }

    pub(super) fn set_pace(&self, pace: Pace) {
        *self.pace.lock().unwrap() = Box::new(move || pace);
    }

    pub(super) fn writer(&self, by: &str, switch: &Switch) -> Writer {
        Writer { world: self.clone(), by: by.to_owned(), switch: switch.clone() }
    }

    pub(super) fn calls(&self) -> Vec<Written> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls of one replica that EC2 got.
    pub(super) fn of(&self, by: &str) -> Vec<Written> {
        self.calls().into_iter().filter(|call| call.by == by && call.got.is_some()).collect()
    }
}

/// The writer of one replica.
pub(super) struct Writer {
    world: World,
    by: String,
    switch: Switch,
}

/// Notes the end of a call, however it ends.
struct Ending {
    world: World,
    index: usize,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.world.calls.lock().unwrap()[self.index].ended = Some(Instant::now());
    }
}

impl Writer {
    async fn call(&self) -> Result<Receipt, CloudError> {
        let world = self.world.clone();
        let pace = (world.pace.lock().unwrap())();
        let index = {
            let mut calls = world.calls.lock().unwrap();
            calls.push(Written { by: self.by.clone(), begun: Instant::now(), got: None, ended: None });
            calls.len() - 1
        };
        let _ending = Ending { world: world.clone(), index };
        tokio::time::sleep(pace.preparing).await;
        // The connection is a task of its own, as in hyper: what was handed to it goes out though the caller may have given up.
        let (handed, wire) = (world.clone(), self.switch.clone());
        let sent = tokio::spawn(wire.part(async move {
            tokio::time::sleep(pace.sending).await;
            handed.calls.lock().unwrap()[index].got = Some(Instant::now());
        }));
        sent.await.unwrap();
        if pace.answering > Duration::from_secs(8) {
            tokio::time::sleep(Duration::from_secs(8)).await;
            return Err(CloudError {
                operation: "DeleteSecurityGroup",
                class: ErrorClass::Unavailable,
                code: None,
                message: "no answer".to_owned(),
                request_id: None,
                outcome_unknown: true,
            });
        }
        tokio::time::sleep(pace.answering).await;
        Ok(Receipt::default())
    }
}

#[async_trait]
impl Ec2Write for Writer {
    async fn create_group(&self, _: &NewGroup) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn delete_group(&self, _: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn authorize(&self, _: &SecurityGroupId, _: Direction, _: &[NewRule]) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn revoke(&self, _: &SecurityGroupId, _: Direction, _: &[RuleId]) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn modify(&self, _: &SecurityGroupId, _: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn describe(&self, _: &SecurityGroupId, _: Direction, _: &[(RuleId, Option<String>)]) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn set_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        self.call().await
    }

    async fn remove_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        self.call().await
    }
}
