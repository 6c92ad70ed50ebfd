//! The HTTP door: request bytes in, reply bytes out, for all three services and the control endpoint.
//!
//! Entry point: [`handle`].
//!
//! Invariant: synchronous, and total: whatever comes in, a response goes out.

use super::activity::lookup;
use super::faults::{Effect, Fault};
use super::handle::{Sim, place};
use super::pipeline::{Caller, Inner, Outcome, usual_message};
use super::wire::envelope::{Envelope, Service};
use super::wire::query::{MAX_BYTES, Params};
use super::wire::{decode, ec2, encode, sts};
use super::world::error::ApiError;
use super::{control, log::CallRecord};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// On a response: how long to wait before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay(pub Duration);

/// On a response: the connection is to break instead of, or in the middle of, sending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Bytes of the body sent before it breaks; None if not even the head is sent.
    pub after: Option<usize>,
}

/// On a request: the address it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceAddress(pub std::net::IpAddr);

const XML: &str = "text/xml;charset=UTF-8";
const JSON: &str = "application/x-amz-json-1.1";

/// Answers a request.
pub(crate) fn handle(sim: &Sim, request: Request<Bytes>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with("/_sim") {
        return control::handle(sim, &parts, &body);
    }
    let mut inner = sim.lock();
    let now = inner.clock.now();
    if parts.method != Method::POST && parts.method != Method::GET {
        let error =
            ApiError::new("UnsupportedHttpVerb", 405, format!("The requested HTTP verb is not supported: {}", parts.method));
        return fail(&mut inner, now, &error);
    }
    let is_json = parts.headers.contains_key("x-amz-target");
    let form: &[u8] = if is_json { &[] } else { &body };
    let query = parts.uri.query().unwrap_or_default();
    let read = Params::read(query, form).and_then(|params| Ok((Envelope::read(&parts.headers, &params)?, params)));
    let (envelope, params) = match read {
        Ok(read) => read,
        Err(error) => return fail(&mut inner, now, &error),
    };
    let principal = inner.identities.principal(&envelope.access_key);
    let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let source = parts.extensions.get::<SourceAddress>().map_or_else(|| "127.0.0.1".to_owned(), |source| source.0.to_string());
    let caller = Caller {
        place: place(principal.account(), &envelope.region),
        access_key: envelope.access_key,
        principal,
        source_ip: source,
        user_agent: text(header::USER_AGENT).chars().take(1024).collect(),
        params: params.shown(),
    };
    match envelope.service {
        Service::Ec2 => answer_ec2(&mut inner, now, &caller, &params),
        Service::Sts => answer_sts(&mut inner, now, &caller, &params),
        Service::CloudTrail => answer_trail(&mut inner, now, &caller, &parts.headers, &body),
    }
}

/// A signed request with these parameters, answered.
pub(crate) fn query(sim: &Sim, access_key: &str, region: &str, params: &[(&str, &str)]) -> Response<Bytes> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(params);
    if !params.iter().any(|(name, _)| *name == "Version") {
        form.append_pair("Version", "2016-11-15");
    }
    let scope =
        format!("AWS4-HMAC-SHA256 Credential={access_key}/20260101/{region}/ec2/aws4_request, SignedHeaders=host, Signature=0");
    let mut request = Request::new(Bytes::from(form.finish()));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("sim-query"));
    if let Ok(scope) = HeaderValue::from_str(&scope) {
        request.headers_mut().insert(header::AUTHORIZATION, scope);
    }
    handle(sim, request)
}

/// A reply with the headers that AWS's have.
fn reply(now: Timestamp, status: u16, content_type: &'static str, request_id: &str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    if let Some(date) = date.ok().and_then(|date| HeaderValue::from_str(&date).ok()) {
        headers.insert(header::DATE, date);
    }
    response
}

/// An error that came before it was known which service was meant.
fn fail(inner: &mut Inner, now: Timestamp, error: &ApiError) -> Response<Bytes> {
    let id = inner.mint.uuid();
    reply(now, error.status, XML, &id, ec2::error_document(error, &id))
}

fn answer_ec2(inner: &mut Inner, now: Timestamp, caller: &Caller, params: &Params) -> Response<Bytes> {
    let (action, call) = match ec2::action(params) {
        Ok(action) => (action.to_owned(), decode::decode(action, params)),
        Err(error) => (params.peek("Action").unwrap_or_default().to_owned(), Err(error)),
    };
    let outcome = inner.ec2(caller, &action, &call);
    let id = &outcome.request_id;
    let response = match &outcome.result {
        Ok(done) => reply(now, 200, XML, id, encode::encode(&action, id, done)),
        Err(error) => reply(now, error.status, XML, id, ec2::error_document(error, id)),
    };
    travel(response, &outcome)
}

/// Notes on a response how it is to travel.
fn travel<T>(mut response: Response<Bytes>, outcome: &Outcome<T>) -> Response<Bytes> {
    if !outcome.delay.is_zero() {
        response.extensions_mut().insert(Delay(outcome.delay));
    }
    let after = match outcome.effect {
        Effect::Error => return response,
        Effect::Drop => None,
        Effect::Cut => Some(response.body().len() / 2),
    };
    response.extensions_mut().insert(Break { after });
    response
}

pub(crate) fn log_other(
    inner: &mut Inner,
    now: Timestamp,
    caller: &Caller,
    (service, action, id): (&str, &str, &str),
    error: Option<&ApiError>,
) {
    inner.log.push(CallRecord {
        time: now.to_string(),
        service: service.to_owned(),
        action: action.to_owned(),
        account: caller.place.account.to_string(),
        region: caller.place.region.to_string(),
        access_key: caller.access_key.clone(),
        request_id: id.to_owned(),
        params: caller.params.clone(),
        error: error.map(|error| error.code.clone()),
        applied: error.is_none(),
    });
}

/// The fault that strikes a call of STS or `CloudTrail`: these are hit by name only, not by `*`.
pub(crate) fn struck(inner: &mut Inner, caller: &Caller, action: &str) -> Option<(Effect, ApiError)> {
    let named = inner.faults.errors.iter().any(|Fault { action: target, .. }| target == action);
    let strike = if named { inner.faults.strike(action, caller, &mut inner.mint) } else { None }?;
    let message = strike.message.unwrap_or_else(|| usual_message(&strike.code, action));
    Some((strike.effect, ApiError::new(strike.code, strike.status, message)))
}

fn answer_sts(inner: &mut Inner, now: Timestamp, caller: &Caller, params: &Params) -> Response<Bytes> {
    let action = params.peek("Action").unwrap_or_default();
    let outcome = super::sts::answer(inner, caller, action, || sts::decode(params));
    let id = &outcome.request_id;
    let response = match &outcome.result {
        Ok((call, done)) => reply(now, 200, XML, id, sts::encode(call, id, done)),
        Err(error) => reply(now, error.status, XML, id, sts::error_document(error, id)),
    };
    travel(response, &outcome)
}

fn answer_trail(inner: &mut Inner, now: Timestamp, caller: &Caller, headers: &HeaderMap, body: &Bytes) -> Response<Bytes> {
    let id = inner.mint.uuid();
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let action = target.rsplit('.').next().unwrap_or_default().to_owned();
    let strike = struck(inner, caller, &action);
    let effect = strike.as_ref().map_or(Effect::Error, |(effect, _)| *effect);
    let (account, region) = (caller.place.account.as_str(), caller.place.region.as_str());
    let result = if let Some((_, error)) = strike {
        Err(error)
    } else if action != "LookupEvents" {
        Err(ApiError::new("UnknownOperationException", 400, "The operation is not known."))
    } else if body.len() > MAX_BYTES {
        Err(ApiError::new("RequestEntityTooLarge", 413, "The request is too large."))
    } else if !inner.buckets.take(account, region, "LookupEvents", now) {
        Err(ApiError::new("ThrottlingException", 400, "Rate exceeded"))
    } else {
        lookup::lookup(&inner.journal, &caller.place, now, body)
    };
    log_other(inner, now, caller, ("cloudtrail", &action, &id), result.as_ref().err());
    let response = match &result {
        Ok(events) => reply(now, 200, JSON, &id, events.to_string().into_bytes()),
        Err(error) => {
            let document = serde_json::json!({"__type": error.code, "message": error.message});
            reply(now, error.status, JSON, &id, document.to_string().into_bytes())
        }
    };
    travel(response, &Outcome { request_id: id, result: Ok(()), delay: Duration::ZERO, effect })
}

impl Params {
    /// The parameters for the log: those of the protocol left out, long values shortened.
    fn shown(&self) -> BTreeMap<String, String> {
        self.pairs().map(|(name, value)| (name.to_owned(), value.chars().take(500).collect())).collect()
    }
}
