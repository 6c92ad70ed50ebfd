//! The control endpoint: `/_sim/…`, JSON in and out, unsigned.
//!
//! Entry point: `handle`, through [`Sim::handle`].
//!
//! | request | does |
//! |---|---|
//! | `GET /_sim/` | lists these |
//! | `GET PUT DELETE /_sim/faults` | what is set to go wrong ([`Faults`]); replaces it; clears it |
//! | `POST /_sim/faults` | adds one [`Fault`](super::Fault) |
//! | `PUT /_sim/stop` | [`StopAfter`](super::StopAfter): silence after so many writes |
//! | `PUT /_sim/latency` | list of [`Latency`](super::Latency) |
//! | `PUT DELETE /_sim/stale` | [`StaleReads`](super::StaleReads); none |
//! | `PUT /_sim/throttling` | `{"on": true}`: EC2's token buckets, full |
//! | `GET PUT /_sim/clock` | the time; `{"freeze": "…"}`, `{"advanceMs": n}` or `{"offsetMs": n}` |
//! | `GET DELETE /_sim/calls` | the latest calls; forgets them and the counts |
//! | `GET /_sim/counts` | calls by action |
//! | `GET DELETE /_sim/events` | all events so far; forgets them |
//! | `POST /_sim/events/take` | the events that have arrived since the last time |
//! | `PUT /_sim/delivery` | [`Delivery`](super::Delivery): how events travel |
//! | `POST /_sim/effective` | `{"account", "region", "group"}`: the rules in force, by the lag of the data plane in `faults` |
//! | `GET PUT /_sim/quotas` | [`Quotas`](super::Quotas); those left out of a `PUT` are EC2's defaults |
//! | `POST /_sim/principals` | `{"accessKey": "…", "principal": {…}}`, a [`Principal`] |
//! | `GET POST DELETE /_sim/roles` | the roles there are; adds or changes one ([`RoleSeed`]); every role is there again |
//! | `POST /_sim/vpcs` | a [`VpcSeed`] |
//! | `POST /_sim/tags` | `{"account", "region", "resource", "key", "value"}`, `aws:` tags included |
//! | `POST /_sim/interfaces` | `{"account", "region", "interface", "kind", "requester", "instance"}`: holds or frees it |
//! | `GET POST /_sim/world` | everything there is; adds what a seed (YAML or JSON) describes |
//! | `POST /_sim/reset` | clears faults, calls, events and the clock; with `{"world": true}` all that was made, too |

use super::clock::Clock;
use super::config::VpcSeed;
use super::faults::Faults;
use super::handle::Sim;
use super::identity::Principal;
#[cfg(doc)]
use super::roles::RoleSeed;
use super::wire::query::MAX_BYTES;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const PATHS: &[&str] = &[
    "faults",
    "stop",
    "latency",
    "stale",
    "throttling",
    "clock",
    "calls",
    "counts",
    "events",
    "events/take",
    "delivery",
    "effective",
    "quotas",
    "principals",
    "roles",
    "vpcs",
    "tags",
    "interfaces",
    "world",
    "reset",
];

/// What went wrong with a control request: a status and why.
type Refusal = (StatusCode, String);

/// Answers a control request.
pub(crate) fn handle(sim: &Sim, parts: &Parts, body: &Bytes) -> Response<Bytes> {
    let path = parts.uri.path().trim_start_matches("/_sim").trim_matches('/');
    let result = if body.len() > MAX_BYTES {
        Err((StatusCode::PAYLOAD_TOO_LARGE, "the request is too large".to_owned()))
    } else {
        answer(sim, &parts.method, path, body)
    };
    let (status, document) = match result {
        Ok(document) => (StatusCode::OK, document),
        Err((status, message)) => (status, json!({ "error": message })),
    };
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn shown(value: impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn bad(error: impl std::fmt::Display) -> Refusal {
    (StatusCode::BAD_REQUEST, error.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum ClockRequest {
    Freeze(Timestamp),
    AdvanceMs(i64),
    OffsetMs(i64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    world: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Registration {
    access_key: String,
    principal: Principal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupPlace {
    account: String,
    region: String,
    group: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagRequest {
    account: String,
    region: String,
    resource: String,
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Occupation {
    account: String,
    region: String,
    interface: String,
    kind: Option<String>,
    requester: Option<String>,
    instance: Option<String>,
}

#[expect(clippy::too_many_lines, reason = "a table: one arm a request")]
fn answer(sim: &Sim, method: &Method, path: &str, body: &Bytes) -> Result<Value, Refusal> {
    match (method.as_str(), path) {
        ("GET", "") => Ok(json!({ "paths": PATHS.iter().map(|path| format!("/_sim/{path}")).collect::<Vec<_>>() })),
        ("GET", "faults") => shown(sim.faults()),
        ("PUT", "faults") => {
            sim.set_faults(read::<Faults>(body)?);
            shown(sim.faults())
        }
        ("POST", "faults") => {
            sim.inject(read(body)?);
            shown(sim.faults())
        }
        ("DELETE", "faults") => {
            sim.clear_faults();
            shown(sim.faults())
        }
        ("PUT", "stop") => {
            sim.stop_after(read(body)?);
            shown(sim.faults())
        }
        ("PUT", "latency") => {
            sim.set_latency(read(body)?);
            shown(sim.faults())
        }
        ("PUT", "stale") => {
            sim.set_stale_reads(Some(read(body)?));
            shown(sim.faults())
        }
        ("DELETE", "stale") => {
            sim.set_stale_reads(None);
            shown(sim.faults())
        }
        ("PUT", "throttling") => {
            sim.set_throttling(read::<Switch>(body)?.on);
            shown(sim.faults())
        }
        ("GET" | "PUT", "clock") => {
            if method == Method::PUT {
                match read(body)? {
                    ClockRequest::Freeze(at) => sim.freeze(at),
                    ClockRequest::AdvanceMs(by) => sim.advance(SignedDuration::from_millis(by)),
                    ClockRequest::OffsetMs(by) => sim.run_clock(SignedDuration::from_millis(by)),
                }
            }
            let clock = sim.lock().clock;
            Ok(json!({ "now": clock.now().to_string(), "frozen": matches!(clock, Clock::Frozen(_)) }))
        }
        ("GET", "calls") => shown(sim.calls()),
        ("DELETE", "calls") => {
            sim.clear_calls();
            Ok(json!([]))
        }
        ("GET", "counts") => shown(sim.counts()),
        ("GET", "events") => Ok(Value::Array(sim.all_events())),
        ("DELETE", "events") => {
            sim.lock().journal.clear();
            Ok(json!([]))
        }
        ("POST", "events/take") => Ok(Value::Array(sim.take_events())),
        ("PUT", "delivery") => {
            sim.set_delivery(read(body)?);
            shown(sim.lock().journal.delivery.clone())
        }
        ("POST", "effective") => {
            let GroupPlace { account, region, group } = read(body)?;
            Ok(Value::Array(sim.effective_rules(&account, &region, &group)))
        }
        ("GET", "quotas") => shown(sim.quotas()),
        ("PUT", "quotas") => {
            sim.set_quotas(read(body)?);
            shown(sim.quotas())
        }
        ("POST", "principals") => {
            let Registration { access_key, principal } = read(body)?;
            sim.register(&access_key, principal);
            Ok(json!({ "accessKey": access_key }))
        }
        ("GET", "roles") => shown(sim.roles()),
        ("POST", "roles") => {
            sim.add_role(read(body)?).map_err(bad)?;
            shown(sim.roles())
        }
        ("DELETE", "roles") => {
            sim.clear_roles();
            shown(sim.roles())
        }
        ("POST", "vpcs") => {
            let seed: VpcSeed = read(body)?;
            sim.add_vpc(&seed).map_err(bad)?;
            Ok(json!({ "id": seed.id }))
        }
        ("POST", "tags") => {
            let TagRequest { account, region, resource, key, value } = read(body)?;
            sim.put_tag(&account, &region, &resource, &key, &value);
            Ok(json!({ "resource": resource }))
        }
        ("POST", "interfaces") => {
            let Occupation { account, region, interface, kind, requester, instance } = read(body)?;
            let holder = (kind.as_deref(), requester.as_deref(), instance.as_deref());
            sim.occupy_interface(&account, &region, &interface, holder).map_err(bad)?;
            Ok(json!({ "interface": interface }))
        }
        ("GET", "world") => shown(sim.dump()),
        ("POST", "world") => {
            let text = std::str::from_utf8(body).map_err(bad)?;
            sim.load(text).map_err(bad)?;
            shown(sim.dump())
        }
        ("POST", "reset") => {
            let world = !body.is_empty() && read::<Reset>(body)?.world;
            sim.reset(world);
            Ok(json!({}))
        }
        (_, path) if PATHS.contains(&path) || path.is_empty() => {
            Err((StatusCode::METHOD_NOT_ALLOWED, format!("/_sim/{path} does not take {method}")))
        }
        (_, path) => Err((StatusCode::NOT_FOUND, format!("there is no /_sim/{}", path.chars().take(100).collect::<String>()))),
    }
}
