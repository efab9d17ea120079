use std::num::NonZeroU32;

use super::{InvalidValue, Rule};

/// How many requests a token may make in a period of whole seconds.
///
/// ```
/// use keyfob::token::RateLimit;
///
/// let limit = RateLimit::new(60, time::Duration::MINUTE)?;
/// assert_eq!((limit.requests(), limit.seconds()), (60, 60));
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    requests: NonZeroU32,
    seconds: NonZeroU32,
}

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
    /// [`InvalidValue`] if there is no request or no whole second in it.
    pub fn new(requests: u32, period: time::Duration) -> Result<Self, InvalidValue> {
        let seconds = u32::try_from(period.whole_seconds()).ok().and_then(NonZeroU32::new);
        let limit = NonZeroU32::new(requests).zip(seconds);
        let limit = limit.map(|(requests, seconds)| Self { requests, seconds });
        let rule = Rule::other("must be at least one request in at least one second");
        limit.ok_or(rule.broken_by("rate_limit"))
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
