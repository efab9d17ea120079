//! The settings of a token as a caller asks for them. Nothing here is checked yet.

use time::Duration;

use crate::token::{RateLimit, Timestamp};

/// What is asked for of a token, new or not. `None` is not asked for; what can be taken away is then an option itself.
#[derive(Clone, Debug, Default)]
#[allow(clippy::option_option, reason = "the outer one says whether it is asked for")]
pub(crate) struct TokenSettings {
    pub(crate) abilities: Option<RequestedAbilities>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) metadata: Option<serde_json::Value>,
    pub(crate) not_before: Option<Option<Timestamp>>,
    pub(crate) idle_period: Option<Option<Duration>>,
    pub(crate) rate_limit: Option<Option<RateLimit>>,
    pub(crate) allowed_addresses: Option<Option<Vec<String>>>,
}

/// When a token is to end, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Not by itself.
    Never,
    At(Timestamp),
    In(Duration),
}

/// Abilities as they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedAbilities {
    All,
    Set(Vec<String>),
}

impl From<Option<Timestamp>> for Expiry {
    fn from(instant: Option<Timestamp>) -> Self {
        instant.map_or(Self::Never, Self::At)
    }
}

impl<T: Into<String>> FromIterator<T> for RequestedAbilities {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self::Set(texts.into_iter().map(Into::into).collect())
    }
}
