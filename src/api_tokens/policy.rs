//! What an application lets its users ask for: names, abilities and lifetimes.

use std::{fmt, num::NonZeroU32};

use time::Duration;

use crate::{
    store::{Change, InsertRules},
    token::{
        Abilities, Ability, AbilityError, AllowedAddresses, DeclaredAbility, Metadata, NamePolicy,
        Timestamp, TokenFormat, TokenName, TokenNameError, TokenRecord,
    },
};

use super::token_settings::{Expiry, RequestedAbilities, TokenSettings};

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
    pub(crate) default_idle_period: Option<Duration>,
    /// What a token has to hold to issue others; none can unless set.
    pub(crate) delegation: Option<Ability>,
}

/// The instants of a token that settings are checked against.
#[derive(Clone, Copy)]
pub(crate) struct Instants {
    /// When its secret was made: the longest lifetime counts from it.
    pub(crate) issued: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Instants {
    /// Those of a token that is yet to be made.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { issued: now, now, not_before: None, expires_at: None }
    }

    pub(crate) fn of(record: &TokenRecord, now: Timestamp) -> Self {
        Self {
            issued: record.rotated_at.unwrap_or(record.created_at),
            now,
            not_before: record.not_before,
            expires_at: record.expires_at,
        }
    }
}

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

/// A token that would end before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be so that the token begins before it expires")]
struct NeverValid;

/// An idle period that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be at least one second and at most 4294967295")]
pub(crate) struct IdlePeriodError;

pub(crate) fn idle_seconds(period: Duration) -> Result<NonZeroU32, IdlePeriodError> {
    let seconds = u32::try_from(period.whole_seconds()).ok();
    seconds.and_then(NonZeroU32::new).ok_or(IdlePeriodError)
}

impl Policy {
    /// The rules for one more living token of an owner.
    pub(crate) fn rules(&self, at: Timestamp) -> InsertRules {
        InsertRules { at, unique_name: self.unique_names, limit_per_owner: self.limit_per_owner }
    }

    /// What is asked for, with the defaults where nothing is.
    pub(crate) fn complete(&self, settings: &mut TokenSettings) {
        if settings.abilities.is_none() {
            let default = self.default_abilities.as_ref();
            settings.abilities = Some(match default.map(Abilities::as_set) {
                Some(None) => RequestedAbilities::All,
                Some(Some(set)) => {
                    RequestedAbilities::Set(set.iter().map(ToString::to_string).collect())
                }
                None => RequestedAbilities::Set(Vec::new()),
            });
        }
        if settings.expiry.is_none() {
            settings.expiry = Some(self.usual_lifetime().map_or(Expiry::Never, Expiry::In));
        }
        if settings.idle_period.is_none() {
            settings.idle_period = self.default_idle_period.map(Some);
        }
    }

    /// How long a token lives that is issued without a word about it; `None` is for ever.
    pub(crate) fn usual_lifetime(&self) -> Option<Duration> {
        self.default_lifetime.or(self.max_lifetime)
    }

    /// Checks what is asked for of a token, and gathers what is wrong with it.
    pub(crate) fn check(
        &self,
        settings: &TokenSettings,
        instants: Instants,
        format: &TokenFormat,
        fields: &mut Fields,
    ) -> Option<Change> {
        let abilities = settings.abilities.as_ref().map(|it| self.abilities(it, format));
        let abilities = fields.check("abilities", abilities.transpose());
        let expiry = settings.expiry.map(|it| self.expiry(it, instants.issued, instants.now));
        let expires_at = fields.check("expires_at", expiry.transpose());
        let metadata = settings.metadata.as_ref().map(|it| Metadata::without_tokens(it, format));
        let metadata = fields.check("metadata", metadata.transpose());
        let idle = settings.idle_period.map(|it| it.map(idle_seconds).transpose());
        let idle_seconds = fields.check("idle_seconds", idle.transpose());
        let addresses = settings.allowed_addresses.as_ref();
        let addresses = addresses.map(|it| it.as_ref().map(AllowedAddresses::new).transpose());
        let allowed_addresses = fields.check("allowed_addresses", addresses.transpose());
        let end = expires_at.flatten().unwrap_or(instants.expires_at);
        let start = settings.not_before.unwrap_or(instants.not_before);
        let is_never_valid = start.zip(end).is_some_and(|(start, end)| start >= end);
        if is_never_valid && settings.not_before.is_some() {
            fields.refuse("not_before", NeverValid);
        } else if is_never_valid && settings.expiry.is_some() {
            fields.refuse("expires_at", NeverValid);
        }
        Some(Change {
            abilities: abilities?,
            expires_at: expires_at?,
            not_before: settings.not_before,
            idle_seconds: idle_seconds?,
            metadata: metadata?,
            rate_limit: settings.rate_limit,
            allowed_addresses: allowed_addresses?,
            ..Change::default()
        })
    }

    /// A token can be pasted into the wrong field, where it must not be kept.
    pub(crate) fn name(
        &self,
        text: &str,
        format: &TokenFormat,
    ) -> Result<TokenName, TokenNameError> {
        if format.contains_token(text) {
            return Err(TokenNameError::ContainsToken);
        }
        let name = TokenName::new(text)?;
        self.names.check(&name)?;
        Ok(name)
    }

    /// See [`name`](Self::name).
    fn abilities(
        &self,
        asked: &RequestedAbilities,
        format: &TokenFormat,
    ) -> Result<Abilities, AbilityError> {
        match asked {
            RequestedAbilities::All => Ok(Abilities::all()),
            RequestedAbilities::Set(texts)
                if texts.iter().any(|text| format.contains_token(text)) =>
            {
                Err(AbilityError::ContainsToken)
            }
            RequestedAbilities::Set(texts) => self.known(Abilities::set(texts)?),
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
    fn expiry(
        &self,
        asked: Expiry,
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
            Expiry::Never => None,
            Expiry::At(instant) => Some(instant),
            Expiry::In(lifetime) => after(now, lifetime)?,
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
        let expiry = |asked: Expiry| policy.expiry(asked, at(0), at(50));
        assert_eq!(expiry(Expiry::At(at(100))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::At(at(101))), beyond);
        assert_eq!(expiry(Expiry::In(Duration::seconds(50))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::In(Duration::seconds(51))), beyond);
        assert_eq!(expiry(Expiry::Never), beyond);
        assert_eq!(expiry(Expiry::In(Duration::MAX)), Err(ExpiryError::OutOfRange));
    }

    #[test]
    fn an_expiry_has_to_be_after_now() {
        let expiry = |asked: Expiry| Policy::default().expiry(asked, at(0), at(50));
        for asked in [Expiry::At(at(50)), Expiry::At(Timestamp::MIN), Expiry::In(Duration::ZERO)] {
            assert_eq!(expiry(asked), Err(ExpiryError::NotInFuture));
        }
        assert_eq!(expiry(Expiry::At(at(51))), Ok(Some(at(51))));
    }

    #[test]
    fn what_is_not_asked_for_is_the_default() {
        let complete = |policy: Policy| {
            let mut settings = TokenSettings::default();
            policy.complete(&mut settings);
            (settings.abilities.unwrap(), settings.expiry.unwrap(), settings.idle_period)
        };
        let (day, year) = (Duration::DAY, Duration::days(365));
        assert_eq!(
            complete(Policy::default()),
            (RequestedAbilities::Set(Vec::new()), Expiry::Never, None)
        );
        let policy = Policy {
            default_abilities: Some(Abilities::all()),
            max_lifetime: Some(year),
            default_idle_period: Some(day),
            ..Policy::default()
        };
        assert_eq!(complete(policy), (RequestedAbilities::All, Expiry::In(year), Some(Some(day))));
        let policy = Policy {
            default_abilities: Some(Abilities::set(["a:b"]).unwrap()),
            default_lifetime: Some(day),
            max_lifetime: Some(year),
            ..Policy::default()
        };
        let abilities = RequestedAbilities::Set(vec!["a:b".to_owned()]);
        assert_eq!(complete(policy), (abilities, Expiry::In(day), None));
    }

    #[test]
    fn a_branch_is_known_where_a_declared_ability_lies_under_it() {
        const DECLARED: &[DeclaredAbility] =
            &[DeclaredAbility { name: "servers:read", description: "" }];
        let policy = Policy { declared: Some(DECLARED), ..Policy::default() };
        let format = TokenFormat::new("acme".parse().unwrap());
        let ask =
            |text: &str| policy.abilities(&RequestedAbilities::Set(vec![text.to_owned()]), &format);
        assert!(ask("servers:read").is_ok());
        assert!(ask("servers:*").is_ok());
        assert_eq!(ask("servers:raed"), Err(AbilityError::Unknown));
        assert_eq!(ask("sites:*"), Err(AbilityError::Unknown));
        assert_eq!(policy.abilities(&RequestedAbilities::All, &format), Ok(Abilities::all()));
    }
}
