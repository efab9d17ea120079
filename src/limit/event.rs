use std::{error::Error, sync::Arc};

/// What has changed with limits that nodes share, as [`RateLimiter::news`](super::RateLimiter::news) tells it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LimiterEvent {
    /// They can't be reached any more, and why.
    Away(Arc<dyn Error + Send + Sync>),
    /// They can be reached again.
    Back,
}
