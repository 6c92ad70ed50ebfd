//! Whose calls a route's are, kept until the session ends, or until AWS says that it has ended.
//!
//! Entry points: [`Renewable`], [`has_run_out`].
//!
//! Why: the SDK takes a session anew when its time is up, as it was told that time. A session that was revoked, or keys that were
//! exchanged under a running process, have run out before: without us the SDK would go on with them to the end.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::{
    IdentityFuture, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::Instant;

/// What has run out again within this time does not get better by asking again.
const ONCE_IN: Duration = Duration::from_mins(1);

/// Whether an error code says that credentials which were good are so no more (handbook ec2.md §4).
pub(super) fn has_run_out(code: &str) -> bool {
    matches!(code, "RequestExpired" | "ExpiredToken" | "ExpiredTokenException" | "InvalidSecurity.RequestHasExpired")
}

/// An identity that can be let go of. Clones are one.
#[derive(Clone)]
pub(super) struct Renewable(Arc<Mutex<Kept>>);

struct Kept {
    cache: SharedIdentityCache,
    renewed: Option<Instant>,
}

impl Renewable {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Kept { cache: IdentityCache::lazy().build(), renewed: None })))
    }

    /// The next call asks for credentials anew. `false`: so did one a moment ago, and it has not helped.
    pub(super) fn renew(&self) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.renewed.is_some_and(|then| then.elapsed() < ONCE_IN) {
            return false;
        }
        *kept = Kept { cache: IdentityCache::lazy().build(), renewed: Some(Instant::now()) };
        true
    }

    fn cache(&self) -> SharedIdentityCache {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).cache.clone()
    }
}

impl fmt::Debug for Renewable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewable")
    }
}

impl ResolveCachedIdentity for Renewable {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let cache = self.cache();
        IdentityFuture::new(async move { cache.resolve_cached_identity(resolver, components, config).await })
    }

    fn validate_base_client_config(&self, components: &RuntimeComponentsBuilder, config: &ConfigBag) -> Result<(), BoxError> {
        self.cache().validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.cache().validate_final_config(components, config)
    }
}
