use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU32};

use super::{
    Abilities, Ability, Actor, AllowedAddresses, IdempotencyKey, Metadata, Owner, Prefix,
    RateLimit, Reason, Timestamp, TokenDigest, TokenId, TokenName, TokenState,
};

/// Exactly what is persisted of a token. There is nothing in it that lets anyone present the token.
///
/// A record is a value: changing one changes nothing in a store. Holding one proves nothing either; only
/// [`VerifiedToken`](crate::VerifiedToken) does. Fields that few tokens have are boxed, so that a plain record stays
/// small.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRecord {
    /// The public name and primary key.
    pub id: TokenId,
    /// What is kept of the current secret.
    pub digest: TokenDigest,
    /// The prefix that the token was issued under; presented under another one, it is refused.
    pub prefix: Prefix,
    /// From when on the token is refused; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// Until when the token is refused; `None` is from the start.
    pub not_before: Option<Timestamp>,
    /// Set once the token is revoked, for good.
    pub revocation: Option<Box<Revocation>>,
    /// The suspension that is or the last one that was.
    pub suspension: Option<Box<Suspension>>,
    /// The secret from before the last rotation, while it may still be used.
    pub previous: Option<Box<PreviousSecret>>,
    /// After how many seconds without use the token is refused.
    pub idle_seconds: Option<NonZeroU32>,
    /// How often the secret has been rotated. A secret that was replaced before it was used does not count.
    pub generation: u32,
    /// How often the token was changed since it was issued. Uses and the revocation don't count.
    pub version: u32,
    /// When the secret was last rotated; `None` is never.
    pub rotated_at: Option<Timestamp>,
    /// When the current secret was first used, where that is recorded: after a rotation.
    pub first_used_at: Option<Timestamp>,
    /// What the token may do.
    pub abilities: Abilities,
    /// Whom the token belongs to. It never changes.
    pub owner: Owner,
    /// What its owner calls it.
    pub name: TokenName,
    /// When the token was issued.
    pub created_at: Timestamp,
    /// The latest use that has been written, late by at most the interval.
    pub last_used_at: Option<Timestamp>,
    /// The address of that use, where the application tells addresses.
    pub last_used_from: Option<IpAddr>,
    /// Fields that few tokens have.
    pub(crate) rare: Option<Box<RareFields>>,
}

/// The fields of a [`TokenRecord`] that few tokens have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RareFields {
    /// Who issued the token, where that is not its owner.
    pub created_by: Option<Actor>,
    /// The token on whose behalf this one was issued.
    pub parent: Option<TokenId>,
    /// From where the token may be used; `None` is from everywhere.
    pub allowed_addresses: Option<AllowedAddresses>,
    /// The token's own limit, in place of the application's.
    pub rate_limit: Option<RateLimit>,
    /// What the application keeps beside the token.
    pub metadata: Metadata,
    /// For how many days before the expiry a notice has been claimed.
    pub notices: BTreeSet<u16>,
    /// Abilities that the token was seen to use, where the application tracks that; at most 100.
    pub used_abilities: BTreeSet<Ability>,
    /// The caller's name for the request that issued the token.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The end of a token, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// When it was revoked.
    pub at: Timestamp,
    /// Who revoked it.
    pub by: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
}

/// A time in which a token is refused and after which it is good again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspension {
    /// When it began.
    pub since: Timestamp,
    /// When it ends, or ended; `None` is when somebody resumes the token.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
}

/// The secret from before a rotation, while it may still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreviousSecret {
    /// What is kept of it.
    pub digest: TokenDigest,
    /// From when on it is refused; `None` is not before the new secret is used.
    pub ends_at: Option<Timestamp>,
    /// Whether the first use of the new secret ends it.
    pub ends_on_first_use: bool,
    /// Whether the new secret was asked for by whoever bore this one, who may then ask again as long as it is not used.
    pub may_ask_again: bool,
}

impl TokenRecord {
    /// A token that holds no ability, never expires and has not been used. A store that reads its rows sets the rest.
    #[must_use]
    pub fn new(
        id: TokenId,
        prefix: Prefix,
        owner: Owner,
        name: TokenName,
        digest: TokenDigest,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            digest,
            prefix,
            expires_at: None,
            not_before: None,
            revocation: None,
            suspension: None,
            previous: None,
            idle_seconds: None,
            generation: 0,
            version: 0,
            rotated_at: None,
            first_used_at: None,
            abilities: Abilities::none(),
            owner,
            name,
            created_at,
            last_used_at: None,
            last_used_from: None,
            rare: None,
        }
    }

    /// What the token is at an instant. An end for good comes before one that passes.
    ///
    /// Expired means that the instant is not before the expiry.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> TokenState {
        if self.revocation.is_some() {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|end| now >= end) {
            TokenState::Expired
        } else if self.suspension.as_ref().is_some_and(|it| it.holds_at(now)) {
            TokenState::Suspended
        } else if self.not_before.is_some_and(|start| now < start) {
            TokenState::NotYetValid
        } else if self.idle_since().is_some_and(|end| now >= end) {
            TokenState::Idle
        } else {
            TokenState::Active
        }
    }

    /// Returns `true` if the token is revoked, or is expired at an instant.
    #[must_use]
    pub fn has_ended(&self, at: Timestamp) -> bool {
        self.revocation.is_some() || self.expires_at.is_some_and(|end| at >= end)
    }

    /// From when on the token is idle.
    fn idle_since(&self) -> Option<Timestamp> {
        self.idle_after(self.awake_since())
    }

    /// From when on the token is idle if it is not used after an instant.
    fn idle_after(&self, used_at: Timestamp) -> Option<Timestamp> {
        let period = time::Duration::seconds(self.idle_seconds?.get().into());
        used_at.checked_add(period).ok()
    }

    /// Returns `true` if a use at an instant keeps the token from being idle at a later one.
    pub(crate) fn is_awake_by(&self, used_at: Timestamp, now: Timestamp) -> bool {
        self.idle_after(used_at).is_none_or(|end| now < end)
    }

    /// The instant that idleness counts from: the latest of created, resumed and last used.
    pub(crate) fn awake_since(&self) -> Timestamp {
        let resumed = self.suspension.as_ref().and_then(|it| it.until);
        let later = [resumed, self.last_used_at, self.first_used_at];
        later.into_iter().flatten().fold(self.created_at, Timestamp::max)
    }

    /// Tells whether the secret was made by a rotation and its first use is not recorded yet.
    #[must_use]
    pub fn has_unused_secret(&self) -> bool {
        self.generation > 0 && self.first_used_at.is_none()
    }

    /// The part of the token that is safe to show: `<prefix>_<id>`.
    #[must_use]
    pub fn public_part(&self) -> String {
        format!("{}_{}", self.prefix, self.id)
    }

    /// Who issued the token, if that was not its owner.
    #[must_use]
    pub fn created_by(&self) -> Option<&Actor> {
        self.rare.as_ref()?.created_by.as_ref()
    }

    /// What the application keeps beside the token.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.rare.as_ref().map(|rare| &rare.metadata)
    }

    /// From where the token may be used; `None` is from everywhere.
    #[must_use]
    pub fn allowed_addresses(&self) -> Option<&AllowedAddresses> {
        self.rare.as_ref()?.allowed_addresses.as_ref()
    }

    /// The token's own rate limit.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.rare.as_ref()?.rate_limit
    }

    /// The token on whose behalf this one was issued.
    #[must_use]
    pub fn parent(&self) -> Option<TokenId> {
        self.rare.as_ref()?.parent
    }

    /// The caller's name for the request that issued the token.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.rare.as_ref()?.idempotency_key.as_ref()
    }

    /// For how many days before the expiry a [notice](crate::ApiTokens::background) has been claimed, in ascending order.
    pub fn notices(&self) -> impl Iterator<Item = u16> {
        self.rare.iter().flat_map(|rare| rare.notices.iter().copied())
    }

    /// The abilities that the token has used, at most 100, in alphabetical order. Empty unless the application
    /// [tracks abilities](crate::LastUsed::track_abilities).
    pub fn used_abilities(&self) -> impl Iterator<Item = &Ability> {
        self.rare.iter().flat_map(|rare| &rare.used_abilities)
    }

    /// The abilities of the token's set that permit nothing of what it was seen to use, and are not among that
    /// themselves. A token that holds all has no set: nothing is answered.
    #[must_use]
    pub fn unused_abilities(&self) -> Vec<&Ability> {
        let used = self.rare.as_ref().map(|rare| &rare.used_abilities);
        let is_used = |held: &Ability| {
            let mut used = used.into_iter().flatten();
            used.any(|used| used == held || held.permits(used.as_str()))
        };
        let held = self.abilities.as_set().unwrap_or_default();
        held.iter().filter(|held| !is_used(held)).collect()
    }

    /// When the token ended for good, or will: the earlier of its revocation and its expiry.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let revoked = self.revocation.as_ref().map(|it| it.at);
        [revoked, self.expires_at].into_iter().flatten().min()
    }

    /// The rare fields, to change them in this value.
    pub(crate) fn rare_mut(&mut self) -> &mut RareFields {
        self.rare.get_or_insert_default()
    }
}

impl Revocation {
    /// A revocation at an instant, by nobody in particular and for no stated reason.
    #[must_use]
    pub const fn new(at: Timestamp) -> Self {
        Self { at, by: None, reason: None }
    }
}

impl Suspension {
    /// A suspension from an instant until somebody resumes the token, for no stated reason.
    #[must_use]
    pub const fn new(since: Timestamp) -> Self {
        Self { since, until: None, reason: None }
    }

    /// Ends the suspension at an instant, unless it ended before.
    pub fn end(&mut self, at: Timestamp) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }

    /// Tells whether the token is suspended at an instant.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }
}

impl PreviousSecret {
    /// A previous secret that may be used until an instant.
    #[must_use]
    pub const fn until(digest: TokenDigest, ends_at: Timestamp) -> Self {
        Self { digest, ends_at: Some(ends_at), ends_on_first_use: false, may_ask_again: false }
    }

    /// Tells whether it may still be used, given when the current secret was first used.
    #[must_use]
    pub fn is_good_at(&self, now: Timestamp, first_used_at: Option<Timestamp>) -> bool {
        self.ends_at.is_none_or(|end| now < end)
            && !(self.ends_on_first_use && first_used_at.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        TokenState::{Active, Expired, Idle, NotYetValid, Revoked, Suspended},
        *,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap_or(Timestamp::MAX)
    }

    fn record() -> TokenRecord {
        TokenRecord::new(
            TokenId::from_u128(1),
            Prefix::new("acme").unwrap(),
            Owner::new("user:42").unwrap(),
            TokenName::new("ci").unwrap(),
            TokenDigest::from_bytes([0; 32], None),
            at(100),
        )
    }

    #[test]
    fn each_state_begins_and_ends_at_its_second() {
        let states =
            |record: &TokenRecord, instants: [i64; 3]| instants.map(|now| record.state_at(at(now)));
        let mut expiring = record();
        expiring.expires_at = Some(at(200));
        assert_eq!(states(&expiring, [199, 200, 201]), [Active, Expired, Expired]);

        let mut early = record();
        early.not_before = Some(at(200));
        assert_eq!(states(&early, [199, 200, 201]), [NotYetValid, Active, Active]);

        let mut suspended = record();
        suspended.suspension =
            Some(Box::new(Suspension { until: Some(at(200)), ..Suspension::new(at(150)) }));
        assert_eq!(states(&suspended, [199, 200, 201]), [Suspended, Active, Active]);

        let mut idle = record();
        idle.idle_seconds = NonZeroU32::new(100);
        assert_eq!(states(&idle, [199, 200, 201]), [Active, Idle, Idle]);
        idle.last_used_at = Some(at(150));
        assert_eq!(states(&idle, [249, 250, 251]), [Active, Idle, Idle]);

        let mut revoked = expiring;
        revoked.revocation = Some(Box::new(Revocation::new(at(150))));
        assert_eq!(states(&revoked, [100, 200, 300]), [Revoked; 3]);
    }

    #[test]
    fn an_ability_is_unused_that_permits_nothing_of_what_was_used() {
        let mut record = record();
        let unused = |record: &TokenRecord| {
            record.unused_abilities().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let held = ["sites:read", "servers:*", "servers:read", "a", "b:*"];
        record.abilities = Abilities::set(held).unwrap();
        assert_eq!(unused(&record), held);
        for (used, left) in [
            ("sites:create", &held[..]),
            ("servers", &held[..]),
            ("A", &held[..]),
            ("servers:42:restart", &["sites:read", "servers:read", "a", "b:*"]),
            ("servers:read", &["sites:read", "a", "b:*"]),
            ("b:*", &["sites:read", "a"]),
            ("a", &["sites:read"]),
            ("sites:read", &[]),
        ] {
            record.rare_mut().used_abilities.insert(Ability::new(used).unwrap());
            assert_eq!(unused(&record), left, "{used}");
        }
        for abilities in [Abilities::all(), Abilities::none()] {
            record.abilities = abilities;
            assert_eq!(unused(&record), [""; 0]);
        }
    }

    #[test]
    fn a_plain_record_stays_small() {
        assert!(size_of::<TokenRecord>() <= 320, "{}", size_of::<TokenRecord>());
    }
}
