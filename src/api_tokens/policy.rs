//! What an application lets its users ask for: names, abilities and lifetimes.

use std::num::NonZeroU32;

use time::Duration;

use crate::{
    store::contract::{Change, InsertRules},
    token::{
        Abilities, Ability, AbilityTemplate, AllowedAddresses, DeclaredAbility, Fields,
        InvalidValue, Metadata, NamePolicy, Rule, Timestamp, TokenFormat, TokenName, TokenRecord,
        is_ability,
    },
};

use super::token_settings::{Expiry, RequestedAbilities, TokenSettings};

/// The limits and defaults for what users ask for.
///
/// ```
/// use keyfob::{Abilities, ApiTokens, Policy, store::MemoryStore, token::NamePolicy};
/// use time::Duration;
///
/// let policy = Policy::new()
///     .default_abilities(Abilities::set(["external-api"])?)
///     .default_lifetime(Duration::days(90))
///     .max_lifetime(Duration::days(365))
///     .name_policy(NamePolicy::strict())
///     .unique_names(true)
///     .limit_per_owner(50);
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").policy(policy).build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Policy {
    pub(crate) names: NamePolicy,
    pub(crate) unique_names: bool,
    pub(crate) limit_per_owner: Option<u32>,
    pub(crate) declared: Option<&'static [DeclaredAbility]>,
    pub(crate) default_abilities: Option<Abilities>,
    pub(crate) default_lifetime: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) default_idle_period: Option<Duration>,
    pub(crate) delegation: Option<Ability>,
    pub(crate) suspends_on_retired_secret: bool,
}

impl Policy {
    /// A policy that allows any name, any ability and any lifetime, and as many tokens as an owner likes. A new token
    /// has no abilities and never expires unless its request says otherwise. No token issues others.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the abilities of a new token whose request names none. Default: none, so the token permits nothing.
    pub fn default_abilities(mut self, abilities: Abilities) -> Self {
        self.default_abilities = Some(abilities);
        self
    }

    /// Sets the lifetime of a new token whose request names no expiry: at least one second. Default: the
    /// [maximum](Self::max_lifetime) if there is one, else the token never expires.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = Some(lifetime);
        self
    }

    /// Sets the longest lifetime, at least one second, counted from when a token was issued or last rotated. Then no
    /// token is issued that never expires. Default: no maximum.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }

    /// Sets the idle period of a new token whose request names none: 1 to 2³² − 1 whole seconds without a use, after which
    /// the token is refused. Default: none.
    ///
    /// Uses are written in batches, so keyfob writes a use before its response if the stored one is older than the slack. The
    /// slack is the longer of [`LastUsed::every`](crate::LastUsed::every) and a hundredth of the period, and at most half of
    /// the period. On another node, or after a crash, a token may be refused by that much too early. If uses can't be
    /// written, another node, or this one after a restart, may refuse a token that is in use.
    pub fn default_idle_period(mut self, period: Duration) -> Self {
        self.default_idle_period = Some(period);
        self
    }

    /// Lets a token that holds this ability [issue others](crate::ApiTokens::issue_on_behalf_of) that may do no more than
    /// itself. Default: no token issues others.
    ///
    /// A token with all abilities holds this one too. An issued token can issue others if it was given the ability.
    pub fn delegation(mut self, ability: Ability) -> Self {
        self.delegation = Some(ability);
        self
    }

    /// Sets how many tokens an owner may have; with 0, none can be issued. Tokens that are revoked or expired don't count,
    /// suspended ones do. Default: no limit.
    ///
    /// The limit is also checked if a token gets a later expiry. If the limit is lowered, an owner above it can extend no
    /// token until some are revoked.
    pub fn limit_per_owner(mut self, tokens: u32) -> Self {
        self.limit_per_owner = Some(tokens);
        self
    }

    /// Requires that the tokens of an owner have different names. The name of a token that is revoked or expired is free
    /// again. The name is also checked if a token gets a later expiry. Default: `false`.
    pub fn unique_names(mut self, unique: bool) -> Self {
        self.unique_names = unique;
        self
    }

    /// Sets which names are allowed. Default: any [`TokenName`](crate::TokenName).
    pub fn name_policy(mut self, policy: NamePolicy) -> Self {
        self.names = policy;
        self
    }

    /// Suspends a token if a secret that a rotation replaced is presented after its grace period. Default: `false`, because
    /// anyone who finds an old secret could then stop the service that has the new one.
    ///
    /// The use of such a secret is [reported](crate::Event::RetiredSecretUsed) either way. If it does not suspend the token,
    /// a [cache](crate::Cache) reports it once in its staleness.
    pub fn suspend_on_retired_secret(mut self, suspend: bool) -> Self {
        self.suspends_on_retired_secret = suspend;
        self
    }

    /// The policy of an application that declares these abilities, with each setting checked.
    pub(super) fn checked(
        mut self,
        declared: Option<&'static [DeclaredAbility]>,
        now: Timestamp,
    ) -> Result<Self, InvalidValue> {
        self.declared = declared;
        if let Some(abilities) = &self.default_abilities {
            let known = self.known(abilities.clone());
            known.map_err(|rule| rule.broken_by("default_abilities"))?;
        }
        let is_branch = |it: &Ability| !is_ability(it.as_str());
        if self.delegation.as_ref().is_some_and(is_branch) {
            return Err(Rule::MisplacedWildcard.broken_by("delegation"));
        }
        let lifetimes =
            [("default_lifetime", self.default_lifetime), ("max_lifetime", self.max_lifetime)];
        for (name, lifetime) in lifetimes {
            let fits = |it: Duration| it >= Duration::SECOND && now.checked_add(it).is_ok();
            if lifetime.is_some_and(|it| !fits(it)) {
                let rule = Rule::other("must be at least one second and end before the year 10000");
                return Err(rule.broken_by(name));
            }
        }
        if self.max_lifetime.is_some() && self.default_lifetime > self.max_lifetime {
            let rule = Rule::other("must not be longer than max_lifetime");
            return Err(rule.broken_by("default_lifetime"));
        }
        let idle = self.default_idle_period.map(idle_seconds).transpose();
        idle.map_err(|rule| rule.broken_by("default_idle_period"))?;
        Ok(self)
    }
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

pub(crate) fn idle_seconds(period: Duration) -> Result<NonZeroU32, Rule> {
    let seconds = u32::try_from(period.whole_seconds()).ok();
    seconds.and_then(NonZeroU32::new).ok_or(Rule::IdlePeriod)
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
    fn abilities(
        &self,
        asked: &RequestedAbilities,
        format: &TokenFormat,
    ) -> Result<Abilities, Rule> {
        match asked {
            RequestedAbilities::All => Ok(Abilities::all()),
            RequestedAbilities::Set(texts)
                if texts.iter().any(|text| format.contains_token(text)) =>
            {
                Err(Rule::ContainsToken)
            }
            RequestedAbilities::Set(texts) => self.known(Abilities::set(texts)?),
        }
    }

    /// A branch is known where a declared ability lies under it.
    fn known(&self, abilities: Abilities) -> Result<Abilities, Rule> {
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
        asked: Expiry,
        issued: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Rule> {
        let after = |start: Timestamp, lifetime: Duration| {
            let beyond = if lifetime.is_negative() { Rule::NotInFuture } else { Rule::OutOfRange };
            start.checked_add(lifetime).map(Some).map_err(|_| beyond)
        };
        let expiry = match asked {
            Expiry::Never => None,
            Expiry::At(instant) => Some(instant),
            Expiry::In(lifetime) => after(now, lifetime)?,
        };
        if expiry.is_some_and(|expiry| expiry <= now) {
            return Err(Rule::NotInFuture);
        }
        match self.max_lifetime {
            Some(max) if expiry.is_none_or(|expiry| expiry.since(issued) > max) => {
                Err(Rule::LifetimeTooLong { max })
            }
            _ => Ok(expiry),
        }
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
        let expiry = |asked: Expiry| policy.expiry(asked, at(0), at(50));
        assert_eq!(expiry(Expiry::At(at(100))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::At(at(101))), beyond);
        assert_eq!(expiry(Expiry::In(Duration::seconds(50))), Ok(Some(at(100))));
        assert_eq!(expiry(Expiry::In(Duration::seconds(51))), beyond);
        assert_eq!(expiry(Expiry::Never), beyond);
        assert_eq!(expiry(Expiry::In(Duration::MAX)), Err(Rule::OutOfRange));
    }

    #[test]
    fn an_expiry_has_to_be_after_now() {
        let expiry = |asked: Expiry| Policy::default().expiry(asked, at(0), at(50));
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
        let ask =
            |text: &str| policy.abilities(&RequestedAbilities::Set(vec![text.to_owned()]), &format);
        assert!(ask("servers:read").is_ok());
        assert!(ask("servers:*").is_ok());
        assert_eq!(ask("servers:raed"), Err(Rule::UndeclaredAbility));
        assert_eq!(ask("sites:*"), Err(Rule::UndeclaredAbility));
        assert_eq!(policy.abilities(&RequestedAbilities::All, &format), Ok(Abilities::all()));
    }
}
