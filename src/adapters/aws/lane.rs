//! The way of every call, and what becomes of its failure.

use std::error::Error;
use std::future::Future;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tracing::Instrument;

use super::error::{Access, find, from_sdk};
use super::identity::{Renewable, has_run_out};
use crate::core::model::{AccountId, Region};
use crate::ports::cloud::{ASSUME_ROLE, CloudError, ErrorClass, Role};
use crate::ports::spans;

/// Whose calls and where to, for the traces.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// Not known before STS has told it.
    pub(super) account: Option<AccountId>,
    /// Where to.
    pub(super) region: Region,
    /// Who we are to be there, if not ourselves.
    pub(super) role: Option<Role>,
    /// Our own, and the one of the calls: where there is a role, either may be what has run out.
    pub(super) identities: [Renewable; 2],
}

impl Lane {
    /// Makes a call and tells of it: the answer with EC2's id of the request.
    pub(super) async fn call<O, E, F>(
        &self,
        operation: &'static str,
        access: Access,
        call: F,
    ) -> Result<(O, Option<String>), CloudError>
    where
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>> + Send,
        O: RequestId,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let account = self.account.as_ref().map(AccountId::as_str);
        let region = self.region.as_str();
        let span = tracing::debug_span!(
            "aws_call",
            operation,
            account,
            region,
            request_id = tracing::field::Empty,
            code = tracing::field::Empty
        );
        let answer = call.instrument(span.clone()).await;
        match answer {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                span.record("request_id", request_id.as_deref());
                spans::answered(request_id.as_deref());
                Ok((answer, request_id))
            }
            Err(error) => {
                let error = self.renewed(self.told(operation, access, &error));
                span.record("request_id", error.request_id.as_deref()).record("code", error.code.as_deref());
                Err(error)
            }
        }
    }

    /// Credentials that have run out are asked for once more; the call is then worth another try. While connecting they were
    /// asked for a moment ago.
    fn renewed(&self, error: CloudError) -> CloudError {
        if self.account.is_none() || !error.code.as_deref().is_some_and(has_run_out) {
            return error;
        }
        let mut renewed = false;
        for identity in &self.identities {
            renewed |= identity.renew();
        }
        if !renewed {
            return error;
        }
        let message = format!("the credentials have run out and are asked for anew: {}", error.message);
        // Refused before anything was done.
        CloudError { class: ErrorClass::Unavailable, message, outcome_unknown: false, ..error }
    }

    /// A call that did not begin, because there was no becoming the role it is made as, failed at that.
    fn told<E>(&self, operation: &'static str, access: Access, error: &SdkError<E, HttpResponse>) -> CloudError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match (&self.role, find::<SdkError<AssumeRoleError, HttpResponse>>(error)) {
            (Some(role), Some(cause)) => from_sdk(ASSUME_ROLE, Access::Read, cause).not_assumed(role),
            (Some(_) | None, _) => from_sdk(operation, access, error),
        }
    }
}
