//! Who calls which service in which Region: read from the request's signature, which is not verified.
//!
//! Entry point: [`Envelope::read`].

use super::query::Params;
use crate::adapters::sim::world::error::ApiError;
use http::HeaderMap;

/// The services that the stand-in speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    Sts,
    CloudTrail,
}

/// What the signature of a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: Service,
}

/// Long enough for any real key or Region, short enough to be kept as a name.
const MAX_NAME: usize = 128;

impl Envelope {
    /// Reads the credential scope of the `Authorization` header, or of a signed query string.
    pub(crate) fn read(headers: &HeaderMap, params: &Params) -> Result<Self, ApiError> {
        let header = headers.get(http::header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let scope = match (header, params.peek("X-Amz-Credential")) {
            (Some(header), _) => {
                header.split([' ', ',']).find_map(|part| part.trim().strip_prefix("Credential=")).ok_or_else(|| {
                    ApiError::new("IncompleteSignature", 400, "Authorization header requires 'Credential' parameter.")
                })?
            }
            (None, Some(scope)) => scope,
            (None, None) => {
                return Err(ApiError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token"));
            }
        };
        let mut parts = scope.split('/');
        let mut part = || parts.next().filter(|part| !part.is_empty() && part.len() <= MAX_NAME);
        let (key, _date, region, service) = (part(), part(), part(), part());
        let (Some(access_key), Some(region), Some(service)) = (key, region, service) else {
            let message = "Credential must have the form <access key>/<date>/<Region>/<service>/aws4_request.";
            return Err(ApiError::new("IncompleteSignature", 400, message));
        };
        let service = match service {
            "ec2" => Service::Ec2,
            "sts" => Service::Sts,
            "cloudtrail" => Service::CloudTrail,
            other => {
                let message = format!("Credential should be scoped to ec2, sts or cloudtrail, not '{other}'.");
                return Err(ApiError::new("SignatureDoesNotMatch", 403, message));
            }
        };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+=@,".contains(&b));
        if !plain(access_key) || !plain(region) {
            return Err(ApiError::new("AuthFailure", 401, "AWS was not able to validate the provided access credentials"));
        }
        Ok(Self { access_key: access_key.into(), region: region.into(), service })
    }
}
