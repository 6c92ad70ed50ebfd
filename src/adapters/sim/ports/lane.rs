//! The way of every call from the ports into the stand-in and back.

use super::error::{OTHER, refused, told, unreadable};
use super::request::Request;
use crate::adapters::sim::faults::{Effect, is_read};
use crate::adapters::sim::handle::{Sim, place};
use crate::adapters::sim::pipeline::{Caller, Inner, Outcome};
use crate::adapters::sim::sts;
use crate::adapters::sim::wire::sts::{StsCall, StsReply};
use crate::adapters::sim::world::command::{Command, Describe};
use crate::adapters::sim::world::filter::Filter;
use crate::adapters::sim::world::page::{Page, Paging};
use crate::adapters::sim::world::reply::Reply;
use crate::core::model::Region;
use crate::ports::cloud::{CloudError, ErrorClass, Receipt, Role};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a read is tried. There is no wait between: nobody is spared by it.
const ATTEMPTS: u32 = 3;

/// An action that lists, its rows a page, and its call.
pub(super) type Listing = (&'static str, i64, fn(Describe) -> Command);

/// Where calls go and by whom.
pub(super) struct Lane {
    pub(super) sim: Sim,
    pub(super) access_key: String,
    pub(super) region: Region,
    pub(super) patience: Duration,
}

impl Lane {
    fn caller(&self, inner: &Inner, params: BTreeMap<String, String>) -> Caller {
        let principal = inner.identities.principal(&self.access_key);
        Caller {
            place: place(principal.account(), self.region.as_str()),
            access_key: self.access_key.clone(),
            principal,
            source_ip: "127.0.0.1".to_owned(),
            user_agent: "sim-ports".to_owned(),
            params,
        }
    }

    /// Whose calls they are.
    pub(super) fn account(&self) -> String {
        self.sim.lock().identities.principal(&self.access_key).account().to_string()
    }

    /// Asks EC2 once.
    fn ask(&self, request: &Request) -> Outcome<Reply> {
        let mut inner = self.sim.lock();
        let caller = self.caller(&inner, request.params.clone());
        inner.ec2(&caller, request.action, &request.call)
    }

    /// Asks STS once whose key this is.
    pub(super) fn identity(&self) -> Outcome<(String, String)> {
        self.sts(BTreeMap::new(), &StsCall::GetCallerIdentity).map(|reply| match reply {
            StsReply::Identity { arn, user_id: _, account } => (account, arn),
            StsReply::Assumed { .. } => Default::default(),
        })
    }

    /// Asks STS once for the key of a role's session.
    pub(super) fn assume(&self, role: &Role, session: &str) -> Outcome<String> {
        let Role { arn, external_id } = role;
        let mut params = BTreeMap::from([("RoleArn".into(), arn.clone()), ("RoleSessionName".into(), session.into())]);
        params.extend(external_id.iter().map(|id| ("ExternalId".into(), id.clone())));
        let call = StsCall::AssumeRole {
            role_arn: arn.clone(),
            session: session.to_owned(),
            duration: 3600,
            external_id: external_id.clone(),
            source_identity: None,
        };
        self.sts(params, &call).map(|reply| match reply {
            StsReply::Assumed { access_key, .. } => access_key,
            StsReply::Identity { .. } => String::new(),
        })
    }

    fn sts(&self, params: BTreeMap<String, String>, call: &StsCall) -> Outcome<StsReply> {
        let mut inner = self.sim.lock();
        let caller = self.caller(&inner, params);
        sts::answer(&mut inner, &caller, call.action(), || Ok(call.clone())).map(|(_, reply)| reply)
    }

    /// Lets an answer take its time, or not arrive at all: what came with the id of the request.
    async fn arrival<T: Send>(&self, operation: &'static str, outcome: Outcome<T>) -> Result<(T, String), CloudError> {
        let Outcome { request_id, result, delay, effect } = outcome;
        let silence = |message: &str| {
            let outcome_unknown = !is_read(operation);
            CloudError { class: ErrorClass::Unavailable, outcome_unknown, ..refused(operation, message.to_owned()) }
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay.min(self.patience)).await;
        }
        match (effect, result) {
            _ if delay > self.patience => Err(silence("no answer in time")),
            (Effect::Drop | Effect::Cut, _) => Err(silence("the connection broke before an answer")),
            (Effect::Error, Ok(answer)) => Ok((answer, request_id)),
            (Effect::Error, Err(error)) => Err(told(operation, request_id, error)),
        }
    }

    /// Reads, again where that may help.
    pub(super) async fn read<T: Send>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> Outcome<T> + Send + Sync,
    ) -> Result<(T, String), CloudError> {
        for _ in 1..ATTEMPTS {
            match self.arrival(operation, ask()).await {
                Err(CloudError { class: ErrorClass::Throttled | ErrorClass::Unavailable, .. }) => {}
                answer => return answer,
            }
        }
        self.arrival(operation, ask()).await
    }

    /// Writes, once.
    pub(super) async fn write(&self, request: &Request) -> Result<(Reply, Receipt), CloudError> {
        let (reply, id) = self.arrival(request.action, self.ask(request)).await?;
        Ok((reply, Receipt { request_id: Some(id), ..Receipt::default() }))
    }

    /// A write whose answer says nothing but that it was done.
    pub(super) async fn done(&self, request: &Request) -> Result<Receipt, CloudError> {
        Ok(self.write(request).await?.1)
    }

    /// Every row of a listing, read page by page of so many.
    pub(super) async fn rows<R, T: Send>(
        &self,
        (action, size, command): Listing,
        filters: &[Filter],
        page: fn(Reply) -> Option<Page<R>>,
        row: fn(&R) -> Result<T, String>,
    ) -> Result<Vec<T>, CloudError> {
        let request = |paging| {
            let request = Request::new(action, command(Describe { ids: Vec::new(), filters: filters.to_vec(), paging }));
            (1..).zip(filters).fold(request, |request, (n, Filter { name, values }): (u32, _)| {
                request.with(format!("Filter.{n}.Name"), name).list(&format!("Filter.{n}.Value"), values)
            })
        };
        self.pages(size, request, page, row).await
    }

    /// Every row that calls give which differ in nothing but the page they ask for.
    pub(super) async fn pages<R, T: Send>(
        &self,
        size: i64,
        request: impl Fn(Paging) -> Request + Send + Sync,
        page: fn(Reply) -> Option<Page<R>>,
        row: impl Fn(&R) -> Result<T, String> + Send + Sync,
    ) -> Result<Vec<T>, CloudError> {
        let (mut all, mut next_token) = (Vec::new(), None);
        loop {
            let paging = Paging { max_results: Some(size), next_token: next_token.clone() };
            let request = request(paging).with("MaxResults", size).maybe("NextToken", next_token);
            let action = request.action;
            let (reply, id) = self.read(action, || self.ask(&request)).await?;
            let (rows, following) = page(reply).ok_or_else(|| unreadable(action, id.clone(), OTHER))?;
            for found in rows.iter().map(&row) {
                all.push(found.map_err(|what| unreadable(action, id.clone(), what))?);
            }
            next_token = following;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }
}
