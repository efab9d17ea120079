//! What an application lets its users ask for: names, abilities and lifetimes.

mod bounds;
mod check;

pub(crate) use bounds::{Bounds, extends};
pub(crate) use check::{Instants, Party, idle_seconds};

use std::{fmt, ops::Deref, sync::Arc};

use time::Duration;

use crate::token::{
    Abilities, Ability, Actor, DeclaredAbility, InvalidValue, NamePolicy, Owner, Rule, Timestamp,
    is_ability,
};

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
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Policy {
    pub(crate) names: NamePolicy,
    pub(crate) unique_names: bool,
    limit: Limit,
    pub(crate) declared: Option<&'static [DeclaredAbility]>,
    pub(crate) default_abilities: Option<Abilities>,
    pub(crate) default_lifetime: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    minimum_lifetime: Option<Duration>,
    no_expiry_by_client: bool,
    no_all_abilities: bool,
    abilities: Option<Custom<AbilityRule>>,
    pub(crate) default_idle_period: Option<Duration>,
    pub(crate) delegation: Option<Ability>,
    pub(crate) suspends_on_retired_secret: bool,
}

/// A rule of the application's own on abilities: `Err` carries the text that the user is told.
type AbilityRule = dyn Fn(&Owner, Option<&Actor>, &Abilities) -> Result<(), String> + Send + Sync;

/// The limit of an owner; `None` is no limit.
type OwnerLimit = dyn Fn(&Owner) -> Option<u32> + Send + Sync;

/// How many living tokens an owner may have.
#[derive(Clone, Debug, Default)]
enum Limit {
    #[default]
    None,
    Same(u32),
    ByOwner(Custom<OwnerLimit>),
}

/// A function of the application's own.
struct Custom<F: ?Sized>(Arc<F>);

impl<F: ?Sized> Deref for Custom<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.0
    }
}

impl<F: ?Sized> Clone for Custom<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: ?Sized> fmt::Debug for Custom<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom")
    }
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

    /// Sets the shortest lifetime, counted from when a token was issued or last rotated. It holds for the application's code
    /// too. A token that another one issues may still end with that one. Default: no minimum.
    pub fn minimum_lifetime(mut self, lifetime: Duration) -> Self {
        self.minimum_lifetime = Some(lifetime);
        self
    }

    /// Sets whether a client may name an expiry. If `false`, a body that [`web::request`](crate::web::request) has read and
    /// that names an expiry is refused when the token is issued, changed or rotated. The application's code can set an
    /// expiry, also in place of the client's. Default: `true`.
    pub fn expiry_by_client(mut self, allowed: bool) -> Self {
        self.no_expiry_by_client = !allowed;
        self
    }

    /// Sets whether a token can be issued with all abilities, or changed to them: those that also cover what the
    /// application adds later. It holds for the application's code too, and not for tokens that have them already. Branches
    /// such as `servers:*` are no such thing. Default: `true`.
    pub fn allow_all_abilities(mut self, allowed: bool) -> Self {
        self.no_all_abilities = !allowed;
        self
    }

    /// Sets the application's own rule for the abilities of a token. The rule receives the owner, the actor if one is known,
    /// and the abilities that are asked for. It runs when a token is issued, and when its abilities change. If it returns
    /// `Err`, the user is told its text. Default: none.
    ///
    /// The rule also sees the [default](Self::default_abilities). It must not wait for anything.
    ///
    /// ```
    /// use keyfob::{Abilities, Policy};
    ///
    /// let members = Abilities::set(["servers:read"])?;
    /// let policy = Policy::new().abilities(move |owner, actor, asked| {
    ///     let is_admin = actor.is_some_and(|it| it.as_str() == "admin:1");
    ///     if is_admin || members.cover(asked) { Ok(()) } else { Err("must be those of a member".to_owned()) }
    /// });
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    pub fn abilities(
        mut self,
        rule: impl Fn(&Owner, Option<&Actor>, &Abilities) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.abilities = Some(Custom(Arc::new(rule)));
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
        self.limit = Limit::Same(tokens);
        self
    }

    /// Sets a limit for each owner, in place of [`limit_per_owner`](Self::limit_per_owner): how many tokens the owner may
    /// have, as their plan allows for example. `None`: no limit.
    ///
    /// The function is called for each token that is issued or gets a later expiry. It must not wait for anything.
    pub fn limit(mut self, of: impl Fn(&Owner) -> Option<u32> + Send + Sync + 'static) -> Self {
        self.limit = Limit::ByOwner(Custom(Arc::new(of)));
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
            if abilities.is_all() && self.no_all_abilities {
                return Err(Rule::AllAbilities.broken_by("default_abilities"));
            }
        }
        let is_branch = |it: &Ability| !is_ability(it.as_str());
        if self.delegation.as_ref().is_some_and(is_branch) {
            return Err(Rule::MisplacedWildcard.broken_by("delegation"));
        }
        let lifetimes = [
            ("default_lifetime", self.default_lifetime),
            ("max_lifetime", self.max_lifetime),
            ("minimum_lifetime", self.minimum_lifetime),
        ];
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
        if self.minimum_lifetime.is_some_and(|min| self.usual_lifetime().is_some_and(|it| it < min))
        {
            let rule =
                Rule::other("must not be longer than the lifetime that a token has by default");
            return Err(rule.broken_by("minimum_lifetime"));
        }
        let idle = self.default_idle_period.map(idle_seconds).transpose();
        idle.map_err(|rule| rule.broken_by("default_idle_period"))?;
        Ok(self)
    }
}
