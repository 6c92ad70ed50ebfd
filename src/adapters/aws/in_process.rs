//! An HTTP client for the SDK that never leaves the process: each request goes to a closure. Everything of the SDK but the
//! socket takes part: signing, serialisation, retries, timeouts, parsing.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

type Service = dyn Fn(http::Request<Bytes>) -> http::Response<Bytes> + Send + Sync;

#[derive(Clone)]
struct InProcess(Arc<Service>);

/// The SDK's HTTP client over a service of this process.
pub(super) fn client(service: impl Fn(http::Request<Bytes>) -> http::Response<Bytes> + Send + Sync + 'static) -> SharedHttpClient {
    SharedHttpClient::new(InProcess(Arc::new(service)))
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.answer(request))
    }
}

impl InProcess {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (head, body) = request.into_parts();
        // EC2's and STS's requests are forms: the SDK has them whole in memory.
        let body = body.bytes().map(Bytes::copy_from_slice).ok_or_else(|| ConnectorError::user("a streamed request".into()))?;
        let answer = (self.0)(http::Request::from_parts(head, body));
        HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|error| ConnectorError::user(error.into()))
    }
}
