//! The EC2 stand-in behind a gate.

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, header};

use sgwarden::adapters::sim::{CallRecord, Sim};

use super::{Call, Server};

#[async_trait]
impl Server for Sim {
    fn call(&self, request: &Request<Bytes>) -> Call {
        let signature = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let form = String::from_utf8_lossy(request.body());
        let action = between(&form, "Action=", '&').to_owned();
        Call { key: between(signature, "Credential=", '/').to_owned(), writes: is_write(&action), action }
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        self.handle(request).map(Body::from)
    }
}

/// Whether an action changes anything.
fn is_write(action: &str) -> bool {
    !action.starts_with("Describe") && !action.starts_with("Get")
}

/// What stands between a word and a character, or the end.
fn between<'t>(text: &'t str, before: &str, after: char) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_default();
    rest.split(after).next().unwrap_or_default()
}

/// The writes that one caller made, in their order.
pub(crate) fn writes_of(sim: &Sim, key: &str) -> Vec<CallRecord> {
    let writes = |call: &CallRecord| call.access_key == key && call.service == "ec2" && is_write(&call.action);
    sim.calls().into_iter().filter(writes).collect()
}
