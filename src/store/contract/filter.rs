use crate::token::{Ability, Owner, Timestamp, TokenRecord, TokenState};

use super::folded;

/// The tokens that a list holds, or that are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// The owner of the tokens; `None` is any owner.
    pub owner: Option<Owner>,
    /// The instant at which the tokens must have one of the states.
    pub at: Timestamp,
    /// The states.
    pub states: States,
    /// A part of the name, compared in lowercase.
    pub name_part: Option<String>,
    /// An ability that the token must permit.
    pub ability: Option<Ability>,
    /// The token was created before this instant.
    pub created_before: Option<Timestamp>,
    /// The token was not used since this instant, or never.
    pub unused_since: Option<Timestamp>,
    /// The token expires after the first instant, and not after the second.
    pub expires: Option<(Timestamp, Timestamp)>,
}

impl Filter {
    /// All tokens of an owner, or of all owners, at an instant.
    #[must_use]
    pub const fn new(owner: Option<Owner>, at: Timestamp) -> Self {
        Self {
            owner,
            at,
            states: States::ALL,
            name_part: None,
            ability: None,
            created_before: None,
            unused_since: None,
            expires: None,
        }
    }

    /// Returns `true` if a token is one of these. Uses that are not written yet make no difference.
    #[must_use]
    pub fn matches(&self, record: &TokenRecord) -> bool {
        let expires_between = |(after, until): (Timestamp, Timestamp)| {
            record.expires_at.is_some_and(|end| after < end && end <= until)
        };
        let has_part = |part: &String| folded(record.name.as_str()).contains(&folded(part));
        self.owner.as_ref().is_none_or(|owner| record.owner == *owner)
            && (self.states == States::ALL || self.states.contains(record.state_at(self.at)))
            && self.name_part.as_ref().is_none_or(has_part)
            && self.ability.as_ref().is_none_or(|it| record.abilities.permit(it.as_str()))
            && self.created_before.is_none_or(|instant| record.created_at < instant)
            && self.unused_since.is_none_or(|since| record.last_used_at < Some(since))
            && self.expires.is_none_or(expires_between)
    }

    /// Returns `true` if a token can be left out for another reason than its owner.
    #[cfg(any(test, feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub(crate) fn is_narrow(&self) -> bool {
        *self != Self::new(self.owner.clone(), self.at)
    }
}

/// States that tokens can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct States(u8);

/// Every state, in the order in which [`TokenRecord::state_at`] decides.
pub(crate) const STATES: [TokenState; 6] = [
    TokenState::Revoked,
    TokenState::Expired,
    TokenState::Suspended,
    TokenState::NotYetValid,
    TokenState::Idle,
    TokenState::Active,
];

impl States {
    /// Every state.
    pub const ALL: Self = Self(0b11_1111);
    /// Every state but revoked.
    pub const NOT_REVOKED: Self = Self(0b11_1110);

    /// Returns `true` if a state is one of these.
    #[must_use]
    pub fn contains(self, state: TokenState) -> bool {
        self.0 & bit(state) != 0
    }
}

fn bit(state: TokenState) -> u8 {
    1 << STATES.iter().take_while(|it| **it != state).count()
}

impl FromIterator<TokenState> for States {
    fn from_iter<T: IntoIterator<Item = TokenState>>(states: T) -> Self {
        Self(states.into_iter().map(bit).fold(0, |all, bit| all | bit))
    }
}

/// The number of tokens in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Tokens that are good.
    pub active: u64,
    /// Tokens past their expiry.
    pub expired: u64,
    /// Tokens that were not used for longer than their idle period.
    pub idle: u64,
    /// Tokens that are revoked, and not pruned yet.
    pub revoked: u64,
    /// Suspended tokens.
    pub suspended: u64,
    /// Tokens that were issued for later.
    pub not_yet_valid: u64,
}

impl Counts {
    /// The number of all tokens.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.not_revoked() + self.revoked
    }

    /// The number of tokens that are not revoked; they may be expired.
    #[must_use]
    pub const fn not_revoked(&self) -> u64 {
        self.living() + self.expired
    }

    /// The number of tokens that are neither revoked nor expired: those that count against a limit.
    #[must_use]
    pub const fn living(&self) -> u64 {
        self.active + self.idle + self.suspended + self.not_yet_valid
    }

    /// Adds tokens in a state.
    pub(crate) fn add(&mut self, state: TokenState, tokens: u64) {
        *match state {
            TokenState::Active => &mut self.active,
            TokenState::Expired => &mut self.expired,
            TokenState::Idle => &mut self.idle,
            TokenState::Revoked => &mut self.revoked,
            TokenState::Suspended => &mut self.suspended,
            TokenState::NotYetValid => &mut self.not_yet_valid,
        } += tokens;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::store::contract::SharedRecord;
    use crate::token::{
        Abilities, Prefix, Revocation, Suspension, TokenDigest, TokenId, TokenName,
    };

    const NOW: i64 = 2_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    /// A token that each member of [`narrow`] matches.
    fn record() -> TokenRecord {
        let (prefix, owner) = (Prefix::new("acme").unwrap(), Owner::new("user:42").unwrap());
        let digest = TokenDigest::from_bytes([7; 32], None);
        let name = TokenName::new("Straße ÉCOLE").unwrap();
        let mut record =
            TokenRecord::new(TokenId::from_u128(1), prefix, owner, name, digest, at(1_000));
        record.abilities = Abilities::set(["servers:*"]).unwrap();
        record.last_used_at = Some(at(1_500));
        record.expires_at = Some(at(3_000));
        record
    }

    fn all() -> Filter {
        Filter::new(None, at(NOW))
    }

    #[test]
    fn a_filter_without_members_matches_each_token() {
        let mut revoked = record();
        revoked.revocation = Some(Box::new(Revocation::new(at(1))));
        assert!(all().matches(&record()) && all().matches(&revoked));
        assert!(!all().is_narrow());
    }

    #[test]
    fn each_member_matches_up_to_its_edge() {
        let owner = |text| Some(Owner::new(text).unwrap());
        let part = |text: &str| Some(text.to_owned());
        let ability = |text| Some(Ability::new(text).unwrap());
        let expires = |after, until| Some((at(after), at(until)));
        for (filter, matches) in [
            (Filter { owner: owner("user:42"), ..all() }, true),
            (Filter { owner: owner("user:4"), ..all() }, false),
            (Filter { name_part: part("écol"), ..all() }, true),
            (Filter { name_part: part("STRAßE É"), ..all() }, true),
            (Filter { name_part: part(""), ..all() }, true),
            (Filter { name_part: part("strasse"), ..all() }, false),
            (Filter { name_part: part("ecole"), ..all() }, false),
            (Filter { ability: ability("servers:7:read"), ..all() }, true),
            (Filter { ability: ability("sites:read"), ..all() }, false),
            (Filter { ability: ability("servers:*"), ..all() }, false),
            (Filter { created_before: Some(at(1_001)), ..all() }, true),
            (Filter { created_before: Some(at(1_000)), ..all() }, false),
            (Filter { unused_since: Some(at(1_501)), ..all() }, true),
            (Filter { unused_since: Some(at(1_500)), ..all() }, false),
            (Filter { expires: expires(2_999, 3_000), ..all() }, true),
            (Filter { expires: expires(3_000, 9_000), ..all() }, false),
            (Filter { expires: expires(0, 2_999), ..all() }, false),
            (Filter { states: States(0), ..all() }, false),
        ] {
            assert_eq!(filter.matches(&record()), matches, "{filter:?}");
            assert_eq!(filter.is_narrow(), filter.owner.is_none(), "{filter:?}");
        }
        let mut never = record();
        (never.last_used_at, never.expires_at) = (None, None);
        assert!(Filter { unused_since: Some(Timestamp::MIN), ..all() }.matches(&never));
        let always = Some((Timestamp::MIN, Timestamp::MAX));
        assert!(!Filter { expires: always, ..all() }.matches(&never));
    }

    /// A token in each state, in the order of [`STATES`].
    fn each_state() -> [TokenRecord; 6] {
        let mut records = [(); 6].map(|()| record());
        records[0].revocation = Some(Box::new(Revocation::new(at(NOW + 1))));
        records[1].expires_at = Some(at(NOW));
        records[2].suspension = Some(Box::new(Suspension::new(at(1))));
        records[3].not_before = Some(at(NOW + 1));
        records[4].idle_seconds = NonZeroU32::new(500);
        records
    }

    #[test]
    fn tokens_are_matched_and_counted_by_their_state() {
        let records = each_state();
        for (place, state) in STATES.into_iter().enumerate() {
            let filter = Filter { states: [state].into_iter().collect(), ..all() };
            for (other, record) in records.iter().enumerate() {
                assert_eq!(filter.matches(record), place == other, "{state}: {record:?}");
            }
            let counts = filter.count(records.iter().cloned().map(SharedRecord::from));
            assert_eq!(counts.total(), 1, "{state}");
        }
        let counts = all().count(records.iter().cloned().map(SharedRecord::from));
        assert_eq!((counts.total(), counts.not_revoked(), counts.living()), (6, 5, 4));
        let every: States = STATES.into_iter().collect();
        assert_eq!(every, States::ALL);
        let not_revoked: States = STATES.into_iter().skip(1).collect();
        assert_eq!(not_revoked, States::NOT_REVOKED);
    }
}
