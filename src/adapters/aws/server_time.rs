//! What time EC2 says it is, by its replies.

use aws_sdk_ec2::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::ports::clock::Clock;

/// Tells a clock of the time of every reply, errors too.
#[derive(Debug)]
pub(super) struct ServerTime(pub(super) Clock);

impl Intercept for ServerTime {
    fn name(&self) -> &'static str {
        "ServerTime"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        // A proxy that answers in EC2's place has a clock of its own, which is nobody's business.
        if headers.get("x-amzn-requestid").or_else(|| headers.get("x-amz-request-id")).is_some()
            && let Some(time) = headers.get("date").and_then(time)
        {
            self.0.observe(time);
        }
        Ok(())
    }
}

/// The time of a `Date` header.
fn time(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_http_writes_them_and_nothing_else_is_a_time() {
        assert_eq!(time("Sun, 06 Nov 1994 08:49:37 GMT").unwrap().to_string(), "1994-11-06T08:49:37Z");
        let long = "9".repeat(100_000);
        for bad in ["", "soon", "2026-01-02T03:04:05Z", "Sun, 06 Nov 1994 08:49:37", "Sun, 99 Nov 1994 08:49:37 GMT", &long] {
            assert_eq!(time(bad), None, "{bad:.50}");
        }
    }
}
