//! What the tests of this binary share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sgwarden::adapters::aws::{AwsConnector, AwsOptions, CallLimits};
use sgwarden::core::model::{AccountId, Region};
use sgwarden::ports::cloud::{CloudError, Connect, Ec2, Role, Route};

/// The account every stand-in of these tests says it is.
pub(crate) const ACCOUNT: &str = "111122223333";

/// The one Region.
pub(crate) fn region() -> Region {
    "eu-west-1".parse().unwrap()
}

/// The way into the own account.
pub(crate) fn own() -> Route {
    Route::own(region())
}

/// The way into another account, as a role there.
pub(crate) fn as_role(account: &str, arn: &str, external_id: Option<&str>) -> Route {
    let role = Role { arn: arn.to_owned(), external_id: external_id.map(str::to_owned) };
    Route { account: Some(account.parse().unwrap()), role: Some(role), ..own() }
}

/// Short waits and the usual number of attempts.
pub(crate) fn limits() -> CallLimits {
    CallLimits {
        read_backoff: Duration::from_millis(1),
        read_attempt: Duration::from_secs(5),
        read_total: Duration::from_secs(20),
        write: Duration::from_secs(5),
        ..CallLimits::default()
    }
}

/// Options that look at nothing of the machine's.
pub(crate) fn options() -> AwsOptions {
    AwsOptions::default().credentials("AKIDTEST", "secret-of-the-test").limits(limits())
}

/// An answer to be given: status and body.
pub(crate) type Answer = (u16, String);

/// Gives the answer to an action that was asked so often before.
type Answering = dyn Fn(&str, usize) -> Answer + Send + Sync;

/// Answers by action, and what was asked.
#[derive(Clone)]
pub(crate) struct Canned {
    answer: Arc<Answering>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Canned {
    /// `answer` gets the action and how often it was asked before.
    pub(crate) fn new(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), asked: Arc::default() }
    }

    /// How often an action was asked.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == action).count()
    }

    /// The last request's form.
    pub(crate) fn last(&self) -> String {
        self.asked.lock().unwrap().last().unwrap().1.clone()
    }

    fn serve(&self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let form = String::from_utf8(request.body().to_vec()).unwrap();
        let action = form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap().to_owned();
        let before = self.count(&action);
        self.asked.lock().unwrap().push((action.clone(), form));
        let (status, body) = (self.answer)(&action, before);
        http::Response::builder().status(status).header("x-amzn-requestid", "req-1").body(body.into()).unwrap()
    }

    /// A connector that asks these answers.
    pub(crate) fn connector(&self, options: AwsOptions) -> AwsConnector {
        let canned = self.clone();
        AwsConnector::new(options.in_process(move |request| canned.serve(&request)))
    }

    /// Ports over these answers.
    pub(crate) async fn ports(&self) -> Result<Ec2, CloudError> {
        self.connector(options()).connect(&own()).await
    }
}

/// STS's answer to `GetCallerIdentity`.
pub(crate) fn identity(account: &str) -> Answer {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/test</Arn><UserId>AIDATEST</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>sts-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    (200, body)
}

/// STS's way to refuse.
pub(crate) fn sts_error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>sts-2</RequestId></ErrorResponse>"
    );
    (status, body)
}

/// EC2's way to refuse.
pub(crate) fn ec2_error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>req-1</RequestID></Response>"
    );
    (status, body)
}

/// EC2's answer to an action.
pub(crate) fn ec2_answer(action: &str, inner: &str) -> Answer {
    let body = format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>req-1</requestId>{inner}</{action}Response>"
    );
    (200, body)
}

/// [`ACCOUNT`], parsed.
pub(crate) fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}
