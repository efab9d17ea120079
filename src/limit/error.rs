use std::{error::Error, sync::Arc};

use super::RateLimited;

/// Why a request was not let through by a [`RateLimiter`](super::RateLimiter). Only the first case says something of
/// the client; a limiter of this process knows no other.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The limit is reached.
    #[error(transparent)]
    Reached(#[from] RateLimited),
    /// The limits that nodes share can't be reached, and are not to be replaced meanwhile: say 503.
    #[error("the shared rate limits are unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// What is kept of this limit and token can't be read: something else than keyfob wrote it. Say 500.
    #[error("the shared rate limit can't be read")]
    Corrupt(#[source] Arc<dyn Error + Send + Sync>),
}
