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

/// The setters of a type for when a token ends, which it keeps in the place that is given.
macro_rules! expiry_setters {
    ($($place:ident).+) => {
        /// When it ends. What is finer than a second is cut off.
        pub fn expires_at(mut self, instant: impl Into<$crate::token::Timestamp>) -> Self {
            self.$($place).+ = Some($crate::api_tokens::token_settings::Expiry::At(instant.into()));
            self
        }

        /// How long from now it lives. What is finer than a second is cut off.
        pub fn expires_in(mut self, lifetime: ::time::Duration) -> Self {
            self.$($place).+ = Some($crate::api_tokens::token_settings::Expiry::In(lifetime));
            self
        }

        /// It does not end by itself, whatever the default lifetime.
        pub fn never_expires(mut self) -> Self {
            self.$($place).+ = Some($crate::api_tokens::token_settings::Expiry::Never);
            self
        }
    };
}

/// The setters of a type that has [`TokenSettings`].
macro_rules! settings_setters {
    () => {
        /// What it may do: a set of at most 100 abilities. The empty set permits nothing.
        pub fn abilities<T: Into<String>>(
            mut self,
            abilities: impl IntoIterator<Item = T>,
        ) -> Self {
            let texts = abilities.into_iter().map(Into::into).collect();
            self.settings.abilities =
                Some($crate::api_tokens::token_settings::RequestedAbilities::Set(texts));
            self
        }

        /// It may do everything, also what the application does not know yet.
        pub fn all_abilities(mut self) -> Self {
            self.settings.abilities =
                Some($crate::api_tokens::token_settings::RequestedAbilities::All);
            self
        }

        $crate::api_tokens::token_settings::expiry_setters!(settings.expiry);

        /// From when on it is good. What is finer than a second is cut off.
        pub fn not_before(mut self, instant: impl Into<$crate::token::Timestamp>) -> Self {
            self.settings.not_before = Some(Some(instant.into()));
            self
        }

        /// It is good at once.
        pub fn valid_at_once(mut self) -> Self {
            self.settings.not_before = Some(None);
            self
        }

        /// After how long without use it is refused, in whole seconds: at least one, at most 2³² − 1. What is finer
        /// is cut off. Changing this, or suspending and resuming the token, makes an idle one good again.
        ///
        /// A use counts as at most [slack](crate::ApiTokensBuilder::default_idle_period) earlier than it was.
        pub fn idle_period(mut self, period: ::time::Duration) -> Self {
            self.settings.idle_period = Some(Some(period));
            self
        }

        /// It is good however long it is not used, whatever the default.
        pub fn never_idle(mut self) -> Self {
            self.settings.idle_period = Some(None);
            self
        }

        /// A rate limit of its own, in place of the application's.
        pub fn rate_limit(mut self, limit: $crate::token::RateLimit) -> Self {
            self.settings.rate_limit = Some(Some(limit));
            self
        }

        /// The rate limit of the application.
        pub fn usual_rate_limit(mut self) -> Self {
            self.settings.rate_limit = Some(None);
            self
        }

        /// From where it may be used: 1 to 100 addresses, or networks such as `192.0.2.0/24`.
        pub fn allowed_addresses<T: Into<String>>(
            mut self,
            networks: impl IntoIterator<Item = T>,
        ) -> Self {
            let texts = networks.into_iter().map(Into::into).collect();
            self.settings.allowed_addresses = Some(Some(texts));
            self
        }

        /// It may be used from everywhere.
        pub fn any_address(mut self) -> Self {
            self.settings.allowed_addresses = Some(None);
            self
        }

        /// What the application keeps beside it: a JSON object of at most 4 KiB.
        pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
            self.settings.metadata = Some(metadata);
            self
        }
    };
}

pub(crate) use {expiry_setters, settings_setters};
