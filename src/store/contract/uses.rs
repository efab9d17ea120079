use std::{collections::BTreeSet, net::IpAddr};

use crate::token::{Ability, Timestamp, TokenId, TokenRecord};

/// The number of used abilities that a token keeps at most.
pub const MOST_USED_ABILITIES: u32 = 100;

/// Uses of one token that are not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The token.
    pub id: TokenId,
    /// The instant of the latest use.
    pub at: Timestamp,
    /// The address of the latest use, if the application passes addresses.
    pub from: Option<IpAddr>,
    /// Abilities that the token used.
    pub abilities: BTreeSet<Ability>,
}

impl Use {
    /// A use at an instant, without an address and without abilities.
    #[must_use]
    pub const fn new(id: TokenId, at: Timestamp) -> Self {
        Self { id, at, from: None, abilities: BTreeSet::new() }
    }

    /// Writes the use into the record of its token. Returns `true` if the record changed.
    ///
    /// * Instant and address are written if the instant is later than the stored one.
    /// * Each ability is kept once, up to [`MOST_USED_ABILITIES`]; further ones are left out. The abilities of a revoked
    ///   token stay as they are.
    #[must_use]
    pub fn apply(&self, record: &mut TokenRecord) -> bool {
        let is_later = record.last_used_at < Some(self.at);
        if is_later {
            record.last_used_at = Some(self.at);
            record.last_used_from = self.from;
        }
        if self.abilities.is_empty() || record.revocation.is_some() {
            return is_later;
        }
        let kept = &mut record.rare_mut().used_abilities;
        let before = kept.len();
        for ability in &self.abilities {
            if kept.len() < MOST_USED_ABILITIES as usize {
                kept.insert(ability.clone());
            }
        }
        is_later || kept.len() > before
    }
}
