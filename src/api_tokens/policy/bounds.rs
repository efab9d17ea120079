//! How far a token reaches, and how far somebody may let a token reach.
//!
//! A party that may act only within bounds could otherwise pass them: a rotation hands out the secret of a stronger
//! token, a change or a resumption makes one stronger.

use std::num::NonZeroU32;

use crate::{
    store::contract::{Change, SharedRecord},
    token::{Abilities, AllowedAddresses, Fields, RateLimit, Rule, Timestamp, TokenRecord},
};

/// The settings that decide how much a token can do.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'t> {
    /// `None`: nothing is said of them.
    abilities: Option<&'t Abilities>,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    idle_seconds: Option<NonZeroU32>,
    rate_limit: Option<RateLimit>,
    allowed_addresses: Option<&'t AllowedAddresses>,
}

/// The most that a party may grant.
#[derive(Clone, Debug)]
pub(crate) enum Bounds {
    /// A person grants abilities.
    Abilities(Abilities),
    /// A token grants no more than it has.
    Token(SharedRecord),
}

impl<'t> Reach<'t> {
    pub(crate) fn of(record: &'t TokenRecord) -> Self {
        Self {
            abilities: Some(&record.abilities),
            not_before: record.not_before,
            expires_at: record.expires_at,
            idle_seconds: record.idle_seconds,
            rate_limit: record.rate_limit(),
            allowed_addresses: record.allowed_addresses(),
        }
    }

    /// The reach of a token that is issued with these settings.
    pub(crate) fn of_new(settings: &'t Change) -> Self {
        Self {
            abilities: settings.abilities.as_ref(),
            not_before: settings.not_before.flatten(),
            expires_at: settings.expires_at.flatten(),
            idle_seconds: settings.idle_seconds.flatten(),
            rate_limit: settings.rate_limit.flatten(),
            allowed_addresses: settings.allowed_addresses.as_ref().and_then(Option::as_ref),
        }
    }

    /// The fields in which this goes beyond another reach.
    fn beyond(self, other: Self) -> impl Iterator<Item = &'static str> + use<'t> {
        let has = |abilities: &Abilities| other.abilities.is_none_or(|it| it.cover(abilities));
        let is_within = [
            ("abilities", self.abilities.is_none_or(has)),
            ("not_before", other.not_before.is_none_or(|it| self.not_before >= Some(it))),
            ("expires_at", ends_no_later(self.expires_at, other.expires_at)),
            ("idle_seconds", ends_no_later(self.idle_seconds, other.idle_seconds)),
            ("rate_limit", is_no_faster(self.rate_limit, other.rate_limit)),
            (
                "allowed_addresses",
                comes_from_within(self.allowed_addresses, other.allowed_addresses),
            ),
        ];
        is_within.into_iter().filter(|(_, is_within)| !is_within).map(|(field, _)| field)
    }
}

impl Bounds {
    /// The fields in which a token goes beyond these bounds.
    fn exceeded_by<'b>(&'b self, reach: Reach<'b>) -> impl Iterator<Item = &'static str> + use<'b> {
        reach.beyond(match self {
            Self::Abilities(abilities) => {
                Reach { abilities: Some(abilities), not_before: None, ..reach }
            }
            // It is valid, so its own beginning is over.
            Self::Token(token) => Reach { not_before: None, ..Reach::of(token) },
        })
    }

    /// Refuses each field in which a new token goes beyond these bounds.
    pub(crate) fn restrict(&self, settings: &Change, fields: &mut Fields) {
        for field in self.exceeded_by(Reach::of_new(settings)) {
            fields.refuse(field, self.rule());
        }
    }

    /// Returns `true` if the party could itself grant a token what this token has.
    pub(crate) fn cover(&self, token: &TokenRecord) -> bool {
        self.exceeded_by(Reach::of(token)).next().is_none()
    }

    /// Returns `true` if the party could itself grant what a token has in all but its abilities.
    pub(crate) fn cover_all_but_abilities(&self, token: &TokenRecord) -> bool {
        let others = Reach { abilities: None, ..Reach::of(token) };
        self.exceeded_by(others).next().is_none()
    }

    /// Returns `true` if the party could itself grant what these abilities have more than others.
    pub(crate) fn cover_added(&self, abilities: &Abilities, before: &Abilities) -> bool {
        let may = match self {
            Self::Abilities(abilities) => abilities,
            Self::Token(token) => &token.abilities,
        };
        match abilities.as_set() {
            None => may.is_all() || before.is_all(),
            Some(set) => set.iter().all(|it| may.hold(it) || before.hold(it)),
        }
    }

    pub(crate) fn rule(&self) -> Rule {
        match self {
            Self::Abilities(_) => Rule::BeyondAccount,
            Self::Token(_) => Rule::BeyondParent,
        }
    }
}

/// Returns `true` if a change lets a token do more, its abilities aside.
pub(crate) fn extends(before: &TokenRecord, after: &TokenRecord) -> bool {
    let others = |it| Reach { abilities: None, ..Reach::of(it) };
    others(after).beyond(others(before)).next().is_some()
}

/// `None` is no end.
fn ends_no_later<T: Ord>(child: Option<T>, parent: Option<T>) -> bool {
    parent.is_none_or(|parent| child.is_some_and(|child| child <= parent))
}

/// A limit admits its number of requests at once and as many in each period after. Where the parent has the
/// application's limit, it is not known here what would be more.
fn is_no_faster(child: Option<RateLimit>, parent: Option<RateLimit>) -> bool {
    match (child, parent) {
        (None, None) => true,
        (Some(child), Some(parent)) => {
            let rate =
                |of: RateLimit, per: RateLimit| u64::from(of.requests()) * u64::from(per.seconds());
            child.requests() <= parent.requests() && rate(child, parent) <= rate(parent, child)
        }
        _ => false,
    }
}

fn comes_from_within(child: Option<&AllowedAddresses>, parent: Option<&AllowedAddresses>) -> bool {
    parent.is_none_or(|parent| child.is_some_and(|child| parent.cover(child)))
}
