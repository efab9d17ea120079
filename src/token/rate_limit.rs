use std::num::NonZeroU32;

/// How many requests a token may make in a period of whole seconds.
///
/// ```
/// use keyfob::token::RateLimit;
///
/// let limit = RateLimit::new(60, time::Duration::MINUTE)?;
/// assert_eq!((limit.requests(), limit.seconds()), (60, 60));
/// # Ok::<(), keyfob::token::RateLimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    requests: NonZeroU32,
    seconds: NonZeroU32,
}

/// A number of requests or a period that is none: zero, negative, or past 2³² − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate limit is at least one request in at least one second")]
#[non_exhaustive]
pub struct RateLimitError;

/// 60 requests a minute.
impl Default for RateLimit {
    fn default() -> Self {
        const SIXTY: NonZeroU32 = NonZeroU32::new(60).unwrap();
        Self { requests: SIXTY, seconds: SIXTY }
    }
}

impl RateLimit {
    /// Takes a limit; what is finer than a second is cut off the period.
    ///
    /// # Errors
    /// [`RateLimitError`] where there is no request or no whole second in it.
    pub fn new(requests: u32, period: time::Duration) -> Result<Self, RateLimitError> {
        let seconds = u32::try_from(period.whole_seconds()).map_err(|_| RateLimitError)?;
        Ok(Self {
            requests: NonZeroU32::new(requests).ok_or(RateLimitError)?,
            seconds: NonZeroU32::new(seconds).ok_or(RateLimitError)?,
        })
    }

    /// The number of requests.
    #[must_use]
    pub const fn requests(self) -> u32 {
        self.requests.get()
    }

    /// The period, in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds.get()
    }
}
