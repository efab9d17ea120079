use std::{fmt, str::FromStr};

use super::{InvalidValue, Rule};

/// What a token is at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenState {
    /// Good.
    Active,
    /// Past its expiry.
    Expired,
    /// Not used for longer than its idle period.
    Idle,
    /// Revoked, for good.
    Revoked,
    /// Suspended until a date, or until somebody resumes it.
    Suspended,
    /// Issued for later.
    NotYetValid,
}

impl TokenState {
    /// The state as text: `active`, `expired`, `idle`, `revoked`, `suspended` or `not_yet_valid`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::NotYetValid => "not_yet_valid",
        }
    }
}

impl FromStr for TokenState {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let all = [
            Self::Active,
            Self::Expired,
            Self::Idle,
            Self::Revoked,
            Self::Suspended,
            Self::NotYetValid,
        ];
        let rule = "must be any, active, expired, idle, revoked, suspended or not_yet_valid";
        let state = all.into_iter().find(|state| state.as_str() == text);
        state.ok_or(Rule::other(rule).broken_by("state"))
    }
}

impl fmt::Display for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for TokenState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
