use std::io;

use crate::token::{AbilityError, PepperError, PrefixError, TokenFormatError};

/// Which setting of [`ApiTokensBuilder`](super::ApiTokensBuilder) is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No prefix is set; there is no default.
    #[error("a token prefix must be set")]
    NoPrefix,
    /// A prefix is none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A prefix is named twice.
    #[error(transparent)]
    Format(#[from] TokenFormatError),
    /// The default abilities are not among the declared ones.
    #[error("the default abilities are not declared")]
    DefaultAbilities(#[from] AbilityError),
    /// A lifetime is shorter than a second, or ends after the year 9999.
    #[error("a lifetime must be at least one second and end before the year 10000")]
    Lifetime,
    /// The default lifetime is longer than the maximum.
    #[error("the default lifetime must not be longer than the maximum")]
    DefaultBeyondMaximum,
    /// The default idle period is shorter than a second, or longer than 2³² − 1 of them.
    #[error("an idle period must be at least one second and at most 4294967295")]
    IdlePeriod,
    /// What a token has to hold to issue others is no ability.
    #[error("what a token has to hold to issue others is no ability")]
    Delegation(#[source] AbilityError),
    /// A pepper key is named twice.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// The answers of the gate are kept for less than no time, or for more than 60 seconds.
    #[error("the answers of an owner gate may be at most 60 seconds old")]
    Staleness,
    /// What is remembered of a token is good for less than no time, or for more than 60 seconds.
    #[error("what is remembered of a token may be at most 60 seconds old")]
    MaxStaleness,
    /// The operating system has no thread for an observer.
    #[error("no thread could be started for an observer: {0}")]
    ObserverThread(io::ErrorKind),
    /// The deadline is shorter than a millisecond or longer than an hour.
    #[error("the deadline must be at least one millisecond and at most one hour")]
    Deadline,
    /// The interval of last-used is shorter than a second.
    #[error("the interval in which last-used is written must be at least one second")]
    Interval,
}
