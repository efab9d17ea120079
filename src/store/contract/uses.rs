use std::net::IpAddr;

use crate::token::{Ability, Timestamp, TokenId, TokenRecord};

/// One use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The token.
    pub id: TokenId,
    /// When it was used.
    pub at: Timestamp,
    /// From where, if the application tells.
    pub from: Option<IpAddr>,
}

impl Use {
    /// Writes the use into a record of its token if it is later than the one that is there; tells whether it did.
    #[must_use]
    pub fn apply(self, record: &mut TokenRecord) -> bool {
        let later = record.last_used_at < Some(self.at);
        if later {
            record.last_used_at = Some(self.at);
            record.last_used_from = self.from;
        }
        later
    }
}

/// How many abilities are kept at most of those that a token was seen to use.
pub const MOST_USED_ABILITIES: u32 = 100;

/// An ability that a token was seen to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbilityUse {
    /// The token.
    pub id: TokenId,
    /// What it used.
    pub ability: Ability,
}

impl AbilityUse {
    /// Adds the ability to a record of its token, unless the token is revoked, the ability is there already, or
    /// [`MOST_USED_ABILITIES`] are; tells whether it did.
    #[must_use]
    pub fn apply(&self, record: &mut TokenRecord) -> bool {
        let used = record.rare.as_ref().map(|rare| &rare.used_abilities);
        let has_room = used.is_none_or(|it| it.len() < MOST_USED_ABILITIES as usize);
        let is_new = used.is_none_or(|it| !it.contains(&self.ability));
        let adds = record.revocation.is_none() && has_room && is_new;
        if adds {
            record.rare_mut().used_abilities.insert(self.ability.clone());
        }
        adds
    }
}
