//! What an application lets its users ask for: names, abilities and lifetimes.

use std::fmt;

use time::Duration;

use crate::token::{
    Abilities, Ability, AbilityError, DeclaredAbility, NamePolicy, Timestamp, TokenName,
    TokenNameError,
};

/// The rules of one application, set with [`ApiTokensBuilder`](crate::ApiTokensBuilder).
#[derive(Debug, Default)]
pub(crate) struct Policy {
    pub(crate) names: NamePolicy,
    pub(crate) unique_names: bool,
    pub(crate) limit_per_owner: Option<u32>,
    pub(crate) declared: Option<&'static [DeclaredAbility]>,
    pub(crate) default_abilities: Option<Abilities>,
    pub(crate) default_lifetime: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
}

/// What is asked for of a token, new or not. `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) abilities: Option<Requested>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) metadata: Option<serde_json::Value>,
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
pub(crate) enum Requested {
    All,
    Set(Vec<String>),
}

/// The setters of a type that has [`Terms`].
macro_rules! terms_setters {
    () => {
        /// What it may do: a set of at most 100 abilities. The empty set permits nothing.
        pub fn abilities<T: Into<String>>(
            mut self,
            abilities: impl IntoIterator<Item = T>,
        ) -> Self {
            let texts = abilities.into_iter().map(Into::into).collect();
            self.terms.abilities = Some($crate::policy::Requested::Set(texts));
            self
        }

        /// It may do everything, also what the application does not know yet.
        pub fn all_abilities(mut self) -> Self {
            self.terms.abilities = Some($crate::policy::Requested::All);
            self
        }

        /// When it ends. What is finer than a second is cut off.
        pub fn expires_at(mut self, instant: impl Into<$crate::Timestamp>) -> Self {
            self.terms.expiry = Some($crate::policy::Expiry::At(instant.into()));
            self
        }

        /// How long from now it lives. What is finer than a second is cut off.
        pub fn expires_in(mut self, lifetime: time::Duration) -> Self {
            self.terms.expiry = Some($crate::policy::Expiry::In(lifetime));
            self
        }

        /// It does not end by itself, whatever the default lifetime.
        pub fn never_expires(mut self) -> Self {
            self.terms.expiry = Some($crate::policy::Expiry::Never);
            self
        }

        /// What the application keeps beside it: a JSON object of at most 4 KiB.
        pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
            self.terms.metadata = Some(metadata);
            self
        }
    };
}
pub(crate) use terms_setters;

/// Why an expiry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpiryError {
    /// It is not after now.
    #[error("must be in the future")]
    NotInFuture,
    /// It is past the year 9999.
    #[error("must not be after the year 9999")]
    OutOfRange,
    /// It is later than the application allows, or never where it allows no such token.
    #[error("must be at most {max} after the token was issued")]
    BeyondMaximum {
        /// The longest lifetime.
        max: Duration,
    },
}

impl Policy {
    pub(crate) fn name(&self, text: &str) -> Result<TokenName, TokenNameError> {
        let name = TokenName::new(text)?;
        self.names.check(&name)?;
        Ok(name)
    }

    pub(crate) fn abilities(
        &self,
        requested: Option<&Requested>,
    ) -> Result<Abilities, AbilityError> {
        match requested {
            None => Ok(self.default_abilities.clone().unwrap_or_else(Abilities::none)),
            Some(Requested::All) => Ok(Abilities::all()),
            Some(Requested::Set(texts)) => self.known(Abilities::set(texts)?),
        }
    }

    /// A branch is known where a declared ability lies under it.
    pub(crate) fn known(&self, abilities: Abilities) -> Result<Abilities, AbilityError> {
        let (Some(declared), Some(set)) = (self.declared, abilities.as_set()) else {
            return Ok(abilities);
        };
        let is_known = |held: &Ability| declared.iter().any(|it| held.permits(it.name));
        if set.iter().all(is_known) { Ok(abilities) } else { Err(AbilityError::Unknown) }
    }

    /// The instant at which a token ends whose secret was made at `issued`, asked for at `now`. The maximum is checked
    /// on what comes out, so that a default or an absent value can't pass it by.
    pub(crate) fn expiry(
        &self,
        asked: Option<Expiry>,
        issued: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ExpiryError> {
        let after = |start: Timestamp, lifetime: Duration| {
            let beyond = if lifetime.is_negative() {
                ExpiryError::NotInFuture
            } else {
                ExpiryError::OutOfRange
            };
            start.checked_add(lifetime).map(Some).map_err(|_| beyond)
        };
        let expiry = match asked {
            Some(Expiry::Never) => None,
            Some(Expiry::At(instant)) => Some(instant),
            Some(Expiry::In(lifetime)) => after(now, lifetime)?,
            None => match self.default_lifetime.or(self.max_lifetime) {
                Some(lifetime) => after(issued, lifetime)?,
                None => None,
            },
        };
        if expiry.is_some_and(|expiry| expiry <= now) {
            return Err(ExpiryError::NotInFuture);
        }
        match self.max_lifetime {
            Some(max) if expiry.is_none_or(|expiry| expiry.since(issued) > max) => {
                Err(ExpiryError::BeyondMaximum { max })
            }
            _ => Ok(expiry),
        }
    }
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldError {
    /// The field, as the management routes name it, such as `name` or `expires_at`.
    pub field: &'static str,
    /// What is wrong with it, for people, without the value.
    pub message: String,
}

/// Everything that is wrong with a request, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidFields {
    /// At least one.
    pub errors: Vec<FieldError>,
}

impl fmt::Display for InvalidFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, FieldError { field, message }) in self.errors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{field} {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidFields {}

/// Gathers what is wrong with a request, so that a user is told all of it at once.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    pub(crate) fn check<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.refuse(field, error)).ok()
    }

    pub(crate) fn refuse(&mut self, field: &'static str, message: impl fmt::Display) {
        self.0.push(FieldError { field, message: message.to_string() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_error(self) -> InvalidFields {
        InvalidFields { errors: self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn the_maximum_holds_for_every_way_to_ask() {
        let policy = Policy { max_lifetime: Some(Duration::seconds(100)), ..Policy::default() };
        let beyond = Err(ExpiryError::BeyondMaximum { max: Duration::seconds(100) });
        let expiry = |asked: Expiry| policy.expiry(Some(asked), at(0), at(50));
        let absent = policy.expiry(None, at(0), at(50));
        assert_eq!(expiry(Expiry::At(at(100))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::At(at(101))), beyond);
        assert_eq!(expiry(Expiry::In(Duration::seconds(50))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::In(Duration::seconds(51))), beyond);
        assert_eq!(expiry(Expiry::Never), beyond);
        assert_eq!(absent, Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::In(Duration::MAX)), Err(ExpiryError::OutOfRange));
    }

    #[test]
    fn an_expiry_has_to_be_after_now() {
        let expiry = |asked: Expiry| Policy::default().expiry(Some(asked), at(0), at(50));
        let absent = Policy::default().expiry(None, at(0), at(50));
        for asked in [Expiry::At(at(50)), Expiry::At(Timestamp::MIN), Expiry::In(Duration::ZERO)] {
            assert_eq!(expiry(asked), Err(ExpiryError::NotInFuture));
        }
        assert_eq!(expiry(Expiry::At(at(51))), Ok(Some(at(51))));
        assert_eq!(absent, Ok(None));
    }

    #[test]
    fn a_branch_is_known_where_a_declared_ability_lies_under_it() {
        const DECLARED: &[DeclaredAbility] =
            &[DeclaredAbility { name: "servers:read", description: "" }];
        let policy = Policy { declared: Some(DECLARED), ..Policy::default() };
        let ask = |text: &str| policy.abilities(Some(&Requested::Set(vec![text.to_owned()])));
        assert!(ask("servers:read").is_ok());
        assert!(ask("servers:*").is_ok());
        assert_eq!(ask("servers:raed"), Err(AbilityError::Unknown));
        assert_eq!(ask("sites:*"), Err(AbilityError::Unknown));
        assert_eq!(policy.abilities(Some(&Requested::All)), Ok(Abilities::all()));
        assert_eq!(policy.abilities(None), Ok(Abilities::none()));
    }
}
