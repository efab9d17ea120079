use serde_json::Value;
use time::Duration;

use super::{RateLimit, Timestamp};

/// What is asked for of a token, new or not. Nothing of it is checked yet. `None` is not asked for; what can be taken away
/// is then an option itself.
#[derive(Clone, Debug, Default)]
#[allow(clippy::option_option, reason = "the outer one says whether it is asked for")]
pub(crate) struct TokenSettings {
    pub(crate) abilities: Option<RequestedAbilities>,
    pub(crate) expiry: Option<RequestedExpiry>,
    pub(crate) metadata: Option<Value>,
    pub(crate) not_before: Option<Option<Timestamp>>,
    pub(crate) idle_period: Option<Option<Duration>>,
    pub(crate) rate_limit: Option<Option<RateLimit>>,
    pub(crate) allowed_addresses: Option<Option<Vec<String>>>,
}

/// The settings that a [`NewToken`](crate::NewToken) or a [`TokenChange`](crate::TokenChange) asks for, before they are
/// checked. `None`: the request does not name the setting.
///
/// ```
/// use keyfob::{NewToken, token::{Expiry, RequestedAbilities}};
///
/// let new = NewToken::named("ci").abilities(["servers:read"]).expires_at(None);
/// let asked = new.requested();
/// assert_eq!((asked.name(), asked.expiry()), (Some("ci"), Some(Expiry::Never)));
/// assert_eq!(asked.abilities(), Some(&RequestedAbilities::Set(vec!["servers:read".to_owned()])));
/// assert_eq!(asked.metadata(), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Requested<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) settings: &'a TokenSettings,
}

#[allow(clippy::option_option, reason = "the outer one says whether it is asked for")]
impl<'a> Requested<'a> {
    /// The name.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        self.name
    }

    /// The abilities.
    #[must_use]
    pub fn abilities(self) -> Option<&'a RequestedAbilities> {
        self.settings.abilities.as_ref()
    }

    /// The expiry.
    #[must_use]
    pub fn expiry(self) -> Option<Expiry> {
        self.settings.expiry.map(|it| it.expiry)
    }

    /// The instant from which the token is valid; `Some(None)`: from now on.
    #[must_use]
    pub fn not_before(self) -> Option<Option<Timestamp>> {
        self.settings.not_before
    }

    /// The idle period; `Some(None)`: none.
    #[must_use]
    pub fn idle_period(self) -> Option<Option<Duration>> {
        self.settings.idle_period
    }

    /// The token's own rate limit; `Some(None)`: the application's.
    #[must_use]
    pub fn rate_limit(self) -> Option<Option<RateLimit>> {
        self.settings.rate_limit
    }

    /// The addresses and networks that the token may be used from; `Some(None)`: everywhere.
    #[must_use]
    pub fn allowed_addresses(self) -> Option<Option<&'a [String]>> {
        self.settings.allowed_addresses.as_ref().map(Option::as_deref)
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(self) -> Option<&'a Value> {
        self.settings.metadata.as_ref()
    }
}

/// The end of a token, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// The token does not end by itself.
    Never,
    /// The token ends at an instant.
    At(Timestamp),
    /// The token ends so long from now.
    In(Duration),
}

/// An expiry, and the party that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestedExpiry {
    pub(crate) expiry: Expiry,
    pub(crate) by: RequestedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedBy {
    /// The body of a request.
    Client,
    /// Code of the application.
    Application,
    /// The policy, or the token that issues this one.
    Default,
}

impl Expiry {
    pub(crate) fn by(self, by: RequestedBy) -> RequestedExpiry {
        RequestedExpiry { expiry: self, by }
    }
}

/// Abilities as they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestedAbilities {
    /// All abilities, also those that the application adds later.
    All,
    /// These texts, which need not be abilities.
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
