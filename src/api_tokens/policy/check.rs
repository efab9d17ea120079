//! What is asked for of a token, against the policy.

use std::num::NonZeroU32;

use time::Duration;

use crate::{
    store::contract::{Change, InsertRules},
    token::{
        Abilities, Ability, AbilityTemplate, Actor, AllowedAddresses, DeclaredAbility, Expiry,
        Fields, Metadata, Owner, RequestedAbilities, RequestedBy, RequestedExpiry, Rule, Timestamp,
        TokenFormat, TokenName, TokenRecord, TokenSettings,
    },
};

use super::{Limit, Policy};

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

/// The party that asks for settings of a token.
#[derive(Clone, Copy)]
pub(crate) struct Party<'p> {
    pub(crate) owner: &'p Owner,
    pub(crate) actor: Option<&'p Actor>,
}

pub(crate) fn idle_seconds(period: Duration) -> Result<NonZeroU32, Rule> {
    let seconds = u32::try_from(period.whole_seconds()).ok();
    seconds.and_then(NonZeroU32::new).ok_or(Rule::IdlePeriod)
}

impl Policy {
    /// The rules for one more living token of an owner.
    pub(crate) fn rules(&self, owner: &Owner, at: Timestamp) -> InsertRules {
        let limit_per_owner = match &self.limit {
            Limit::None => None,
            Limit::Same(limit) => Some(*limit),
            Limit::ByOwner(limit_of) => limit_of(owner),
        };
        InsertRules { at, unique_name: self.unique_names, limit_per_owner }
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
            let expiry = self.usual_lifetime().map_or(Expiry::Never, Expiry::In);
            settings.expiry = Some(expiry.by(RequestedBy::Default));
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
        party: Party<'_>,
        instants: Instants,
        format: &TokenFormat,
        fields: &mut Fields,
    ) -> Option<Change> {
        let abilities =
            settings.abilities.as_ref().map(|it| self.read_abilities(it, party, format));
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
            fields.refuse("not_before", Rule::ExpiresBeforeStart);
        } else if is_never_valid && settings.expiry.is_some() {
            fields.refuse("expires_at", Rule::ExpiresBeforeStart);
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
    pub(crate) fn name(&self, text: &str, format: &TokenFormat) -> Result<TokenName, Rule> {
        if format.contains_token(text) {
            return Err(Rule::ContainsToken);
        }
        let name = TokenName::new(text)?;
        self.names.check(&name)?;
        Ok(name)
    }

    /// See [`name`](Self::name).
    fn read_abilities(
        &self,
        asked: &RequestedAbilities,
        party: Party<'_>,
        format: &TokenFormat,
    ) -> Result<Abilities, Rule> {
        let abilities = match asked {
            RequestedAbilities::All if self.no_all_abilities => return Err(Rule::AllAbilities),
            RequestedAbilities::All => Abilities::all(),
            RequestedAbilities::Set(texts)
                if texts.iter().any(|text| format.contains_token(text)) =>
            {
                return Err(Rule::ContainsToken);
            }
            RequestedAbilities::Set(texts) => self.known(Abilities::set(texts)?)?,
        };
        if let Some(rule) = &self.abilities {
            rule(party.owner, party.actor, &abilities).map_err(Rule::from)?;
        }
        Ok(abilities)
    }

    /// A branch is known where a declared ability lies under it.
    pub(super) fn known(&self, abilities: Abilities) -> Result<Abilities, Rule> {
        let is_known = |held: &Ability| self.declares(|it| it.is_within(held));
        let mut held = abilities.as_set().unwrap_or_default().iter();
        if held.all(is_known) { Ok(abilities) } else { Err(Rule::UndeclaredAbility) }
    }

    /// Returns `true` if there is such an ability among those that are declared, or if none are declared.
    pub(crate) fn declares(&self, is_it: impl Fn(AbilityTemplate<'_>) -> bool) -> bool {
        let is_it = |it: &DeclaredAbility| is_it(AbilityTemplate::new(it.name));
        self.declared.is_none_or(|declared| declared.iter().any(is_it))
    }

    /// The instant at which a token ends whose secret was made at `issued`, asked for at `now`. The maximum is checked
    /// on what comes out, so that a default or an absent value can't pass it by.
    fn expiry(
        &self,
        asked: RequestedExpiry,
        issued: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Rule> {
        let after = |start: Timestamp, lifetime: Duration| {
            let beyond = if lifetime.is_negative() { Rule::NotInFuture } else { Rule::OutOfRange };
            start.checked_add(lifetime).map(Some).map_err(|_| beyond)
        };
        if self.no_expiry_by_client && asked.by == RequestedBy::Client {
            return Err(Rule::ExpiryByClient);
        }
        let expiry = match asked.expiry {
            Expiry::Never => None,
            Expiry::At(instant) => Some(instant),
            Expiry::In(lifetime) => after(now, lifetime)?,
        };
        if expiry.is_some_and(|expiry| expiry <= now) {
            return Err(Rule::NotInFuture);
        }
        let lifetime = expiry.map(|expiry| expiry.since(issued));
        if let Some(min) = self.minimum_lifetime.filter(|_| asked.by != RequestedBy::Default)
            && lifetime.is_some_and(|it| it < min)
        {
            return Err(Rule::LifetimeTooShort { min });
        }
        match self.max_lifetime {
            Some(max) if lifetime.is_none_or(|it| it > max) => Err(Rule::LifetimeTooLong { max }),
            _ => Ok(expiry),
        }
    }
}

/// Questions of a form that is to offer nothing that would be refused.
#[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
impl Policy {
    /// Returns `true` if a token can be given all abilities.
    pub(crate) fn allows_all_abilities(&self) -> bool {
        !self.no_all_abilities
    }

    /// Returns `true` if a client may name an expiry.
    pub(crate) fn lets_client_name_expiry(&self) -> bool {
        !self.no_expiry_by_client
    }

    /// Returns `true` if a new token may live so long; `None` is for ever.
    pub(crate) fn allows_lifetime(&self, lifetime: Option<Duration>) -> bool {
        let is_within = self.max_lifetime.is_none_or(|max| lifetime.is_some_and(|it| it <= max));
        let is_long = self.minimum_lifetime.is_none_or(|min| lifetime.is_none_or(|it| it >= min));
        is_within && is_long
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
        let beyond = Err(Rule::LifetimeTooLong { max: Duration::seconds(100) });
        let expiry = |asked: Expiry| policy.expiry(asked.by(RequestedBy::Client), at(0), at(50));
        assert_eq!(expiry(Expiry::At(at(100))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::At(at(101))), beyond);
        assert_eq!(expiry(Expiry::In(Duration::seconds(50))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::In(Duration::seconds(51))), beyond);
        assert_eq!(expiry(Expiry::Never), beyond);
        assert_eq!(expiry(Expiry::In(Duration::MAX)), Err(Rule::OutOfRange));
    }

    #[test]
    fn an_expiry_has_to_be_after_now() {
        let expiry =
            |asked: Expiry| Policy::default().expiry(asked.by(RequestedBy::Client), at(0), at(50));
        for asked in [Expiry::At(at(50)), Expiry::At(Timestamp::MIN), Expiry::In(Duration::ZERO)] {
            assert_eq!(expiry(asked), Err(Rule::NotInFuture));
        }
        assert_eq!(expiry(Expiry::At(at(51))), Ok(Some(at(51))));
    }

    #[test]
    fn what_is_not_asked_for_is_the_default() {
        let complete = |policy: Policy| {
            let mut settings = TokenSettings::default();
            policy.complete(&mut settings);
            (settings.abilities.unwrap(), settings.expiry.unwrap().expiry, settings.idle_period)
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
    fn a_setting_that_is_not_valid_is_named() {
        const DECLARED: &[DeclaredAbility] =
            &[DeclaredAbility { name: "servers:read", description: "" }];
        let (set, day) = (|text: &str| Abilities::set([text]).unwrap(), Duration::DAY);
        let ability = |text: &str| Ability::new(text).unwrap();
        let new = Policy::new;
        for (policy, expected) in [
            (new(), None),
            (new().default_abilities(set("servers:*")), None),
            (new().default_abilities(set("sites:read")), Some("default_abilities")),
            (new().delegation(ability("tokens:issue")), None),
            (new().delegation(ability("tokens:*")), Some("delegation")),
            (new().default_lifetime(Duration::SECOND).max_lifetime(Duration::SECOND), None),
            (new().default_lifetime(Duration::milliseconds(999)), Some("default_lifetime")),
            (new().max_lifetime(Duration::milliseconds(999)), Some("max_lifetime")),
            (new().max_lifetime(-day), Some("max_lifetime")),
            (new().max_lifetime(Duration::MAX), Some("max_lifetime")),
            (new().max_lifetime(Timestamp::MAX.since(at(0))), None),
            (new().max_lifetime(Timestamp::MAX.since(at(-1))), Some("max_lifetime")),
            (new().default_lifetime(day * 2).max_lifetime(day), Some("default_lifetime")),
            (new().default_lifetime(day * 2), None),
            (new().default_idle_period(Duration::ZERO), Some("default_idle_period")),
            (new().default_idle_period(Duration::SECOND), None),
        ] {
            let checked = policy.clone().checked(Some(DECLARED), at(0));
            assert_eq!(checked.err().map(|it| it.name), expected, "{policy:?}");
        }
    }

    #[test]
    fn a_branch_is_known_where_a_declared_ability_lies_under_it() {
        const DECLARED: &[DeclaredAbility] =
            &[DeclaredAbility { name: "servers:read", description: "" }];
        let policy = Policy { declared: Some(DECLARED), ..Policy::default() };
        let format = TokenFormat::new("acme".parse().unwrap());
        let owner = Owner::new("user:42").unwrap();
        let party = Party { owner: &owner, actor: None };
        let ask = |text: &str| {
            policy.read_abilities(&RequestedAbilities::Set(vec![text.to_owned()]), party, &format)
        };
        assert!(ask("servers:read").is_ok());
        assert!(ask("servers:*").is_ok());
        assert_eq!(ask("servers:raed"), Err(Rule::UndeclaredAbility));
        assert_eq!(ask("sites:*"), Err(Rule::UndeclaredAbility));
        assert_eq!(
            policy.read_abilities(&RequestedAbilities::All, party, &format),
            Ok(Abilities::all())
        );
    }
}
