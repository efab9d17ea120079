use std::{error::Error, sync::Arc};

/// A change of the limits that nodes share: see [`RateLimiter::take_event`](super::RateLimiter::take_event).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LimiterEvent {
    /// They can't be reached any more, and why.
    Away(Arc<dyn Error + Send + Sync>),
    /// They can be reached again.
    Back,
}
