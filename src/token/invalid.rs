use std::{borrow::Cow, fmt};

use time::Duration;

/// A value that breaks a rule: a setting of the application, or a field of a request.
///
/// ```
/// use keyfob::{ApiTokens, Rule, TokenName, store::MemoryStore};
///
/// let error = TokenName::new("").unwrap_err();
/// assert_eq!((error.name, &error.rule), ("name", &Rule::Empty));
///
/// let error = ApiTokens::builder(MemoryStore::new()).build().unwrap_err();
/// assert_eq!(error.to_string(), "prefix must be given");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {rule}")]
#[non_exhaustive]
pub struct InvalidValue {
    /// The name of the setting or of the field, such as `max_lifetime` or `expires_at`.
    pub name: &'static str,
    /// The rule that the value breaks.
    pub rule: Rule,
}

/// The rule that a value breaks. It never contains a text that a client sent.
///
/// Displays as an English text that follows the name of the value, such as "must not be empty". To translate a message,
/// match on the variant:
///
/// ```
/// use keyfob::{InvalidFields, Rule};
///
/// /// Each field of a form, and what to show beside it.
/// fn in_german(invalid: &InvalidFields) -> impl Iterator<Item = (&str, String)> {
///     invalid.errors.iter().map(|error| match &error.rule {
///         Rule::Empty => (error.name, "darf nicht leer sein".to_owned()),
///         rule => (error.name, rule.to_string()),
///     })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// The value is missing.
    #[error("must be given")]
    Missing,
    /// A text has no characters.
    #[error("must not be empty")]
    Empty,
    /// A text has too many bytes.
    #[error("must be at most {max} bytes long, not {len}")]
    TooManyBytes {
        /// The length of the text.
        len: usize,
        /// The greatest length.
        max: usize,
    },
    /// A text has too many characters.
    #[error("must be at most {max} characters long")]
    TooManyCharacters {
        /// The greatest number of characters.
        max: usize,
    },
    /// A text has a control character (Unicode category Cc), such as NUL or a line break.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A text has no character that can be seen.
    #[error("must have a visible character")]
    NothingVisible,
    /// A text has a token in it, pasted into the wrong field.
    #[error("must not contain a token")]
    ContainsToken,

    /// A name begins or ends with white space.
    #[error("must not begin or end with white space")]
    OuterWhiteSpace,
    /// A name has a control character, a line or paragraph separator, or a character that changes the direction of the
    /// text.
    #[error("must not contain control or bidirectional formatting characters")]
    ForbiddenCharacter,
    /// A name has a character that [`NamePolicy::strict`](super::NamePolicy::strict) does not allow.
    #[error("must contain only letters of a to z and A to Z, digits, hyphens and underscores")]
    NotStrict,

    /// An ability is too long.
    #[error("must each be at most {max} characters long")]
    AbilityTooLong {
        /// The greatest number of characters.
        max: usize,
    },
    /// An ability is empty, or has nothing between two colons.
    #[error("must each have at least one character in every segment")]
    EmptySegment,
    /// An ability has a character other than letters, digits, `_`, `.`, `-` and `:`.
    #[error("must each contain only letters, digits, '_', '.', '-' and ':'")]
    AbilityCharacter,
    /// An ability is `*` alone.
    #[error("must be asked for as all, not as \"*\" in a list")]
    BareWildcard,
    /// An ability has a `*` that is not its whole last segment.
    #[error("must have a wildcard only as the whole last segment")]
    MisplacedWildcard,
    /// The token would have too many abilities.
    #[error("must be at most {max}")]
    TooManyAbilities {
        /// The greatest number of abilities.
        max: usize,
    },
    /// An ability is not among those that the application [declares](crate::ApiTokensBuilder::declare).
    #[error("must be among those that are declared")]
    UndeclaredAbility,
    /// All abilities are asked for, which the application does not allow.
    #[error("must be a list, and not all")]
    AllAbilities,
    /// A token would go beyond the token that issues it.
    #[error("must not go beyond the token that issues it")]
    BeyondParent,
    /// A token would go beyond what the account may grant: see [`OwnerTokens::restricted_to`](crate::OwnerTokens::restricted_to).
    #[error("must not go beyond what the account may grant")]
    BeyondAccount,

    /// Metadata is JSON, but not an object.
    #[error("must be a JSON object")]
    MetadataNotAnObject,
    /// Metadata is not JSON.
    #[error("must be JSON")]
    MetadataNotJson,
    /// Metadata has too many bytes as compact JSON.
    #[error("must be at most {max} bytes as JSON")]
    MetadataTooLong {
        /// The greatest length.
        max: usize,
    },
    /// Metadata has arrays and objects that are nested too deeply.
    #[error("must not be nested more than {max} levels deep")]
    MetadataTooDeep {
        /// The greatest depth.
        max: usize,
    },

    /// A list of networks is empty: the token could be used from nowhere.
    #[error("must name at least one network")]
    NoNetwork,
    /// A list of networks is too long.
    #[error("must name at most {max} networks")]
    TooManyNetworks {
        /// The greatest number of networks.
        max: usize,
    },
    /// A network is neither an address nor a network such as `192.0.2.0/24`.
    #[error("must be addresses or networks such as 192.0.2.0/24")]
    NotANetwork,

    /// An instant is not after now.
    #[error("must be in the future")]
    NotInFuture,
    /// An instant is after the year 9999.
    #[error("must not be after the year 9999")]
    OutOfRange,
    /// An expiry is later than the application allows, or is missing where the application allows no such token.
    #[error("must be at most {max} after the token was issued")]
    LifetimeTooLong {
        /// The longest lifetime.
        max: Duration,
    },
    /// An expiry is earlier than the application allows.
    #[error("must be at least {min} after the token was issued")]
    LifetimeTooShort {
        /// The shortest lifetime.
        min: Duration,
    },
    /// A client names an expiry, which only the application may set.
    #[error("must not be given, because the application sets it")]
    ExpiryByClient,
    /// The token would expire before it is valid.
    #[error("must be so that the token begins before it expires")]
    ExpiresBeforeStart,
    /// The bearer of a token would give it a later expiry by a rotation.
    #[error("must not be later than it was")]
    LaterExpiry,
    /// A number of seconds is out of its bounds.
    #[error("must be at least {min} and at most {max}")]
    Seconds {
        /// The least number.
        min: i64,
        /// The greatest number.
        max: i64,
    },
    /// An idle period is shorter than a second, or longer than 2³² − 1 seconds.
    #[error("must be at least one second and at most 4294967295")]
    IdlePeriod,

    /// Another rule, as a text: one of a setting or of the form of a request, or what a
    /// [`NamePolicy`](super::NamePolicy) of the application answers.
    #[error("{0}")]
    Other(Cow<'static, str>),
}

impl Rule {
    pub(crate) const fn other(text: &'static str) -> Self {
        Self::Other(Cow::Borrowed(text))
    }

    /// Says which value breaks the rule.
    pub(crate) const fn broken_by(self, name: &'static str) -> InvalidValue {
        InvalidValue { name, rule: self }
    }
}

impl From<&'static str> for Rule {
    fn from(text: &'static str) -> Self {
        Self::other(text)
    }
}

impl From<String> for Rule {
    fn from(text: String) -> Self {
        Self::Other(text.into())
    }
}

/// The field of a request has a name of its own, whatever the type calls its values.
impl From<InvalidValue> for Rule {
    fn from(invalid: InvalidValue) -> Self {
        invalid.rule
    }
}

/// Everything that is not valid in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidFields {
    /// At least one. A name is `name`, `owner`, `abilities`, `expires_at`, `not_before`, `idle_seconds`, `rate_limit`,
    /// `allowed_addresses`, `metadata`, `created_by`, `idempotency_key`, `grace_seconds` or `until`; of a list, or of a
    /// request over HTTP, also the name of its parameter or member.
    pub errors: Vec<InvalidValue>,
}

impl fmt::Display for InvalidFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidFields {}

/// Gathers what is not valid in a request, so that a user is told all of it at once.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<InvalidValue>);

impl Fields {
    pub(crate) fn check<T, E: Into<Rule>>(
        &mut self,
        name: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|rule| self.refuse(name, rule)).ok()
    }

    pub(crate) fn refuse(&mut self, name: &'static str, rule: impl Into<Rule>) {
        self.0.push(rule.into().broken_by(name));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_error(self) -> InvalidFields {
        InvalidFields { errors: self.0 }
    }
}
