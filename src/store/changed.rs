use std::fmt;

use sha2::{Digest, Sha256};

use crate::token::{Owner, TokenId};

/// How many tokens are told one by one at most.
pub(crate) const MOST: usize = 100;

/// Instead of ids: all tokens.
const ALL: &str = "clear";

/// Before the mark of an owner.
const OWNER: &str = "owner:";

/// A hash of an owner, as nodes tell it each other: the same on each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerMark([u8; 16]);

impl OwnerMark {
    /// The mark of an owner.
    #[must_use]
    pub fn of(owner: &Owner) -> Self {
        let digest = Sha256::new().chain_update(b"keyfob owner\0").chain_update(owner.as_str());
        let digest: [u8; 32] = digest.finalize().into();
        let mut mark = [0; 16];
        mark.copy_from_slice(&digest[..16]);
        Self(mark)
    }

    fn from_hex(text: &str) -> Option<Self> {
        let is_lower = text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let mut mark = [0; 16];
        hex::decode_to_slice(text, &mut mark).ok().filter(|()| is_lower)?;
        Some(Self(mark))
    }
}

/// Which tokens were changed, as nodes tell each other.
///
/// As text, it is the ids, joined by commas; or `owner:` and 32 hex digits; or `clear` for all tokens: at most 2,299
/// bytes of ASCII.
///
/// ```
/// use keyfob::{TokenId, cluster::Changed};
///
/// let changed = Changed::from(vec![TokenId::from_u128(1), TokenId::from_u128(62)]);
/// assert_eq!(changed.to_string(), "0000000000000000000001,0000000000000000000010");
/// assert_eq!(Changed::from_text("0000000000000000000001,0000000000000000000010"), changed);
///
/// // Too many to tell, or not understood: then nobody goes by what he remembers of any token.
/// assert_eq!(Changed::from(vec![TokenId::from_u128(1); 101]), Changed::All);
/// assert_eq!(Changed::from_text("?"), Changed::All);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These.
    Tokens(Vec<TokenId>),
    /// Any of an owner.
    Owner(OwnerMark),
    /// Any of all.
    All,
}

impl Changed {
    /// Reads what another node has told. What can't be read is not lost: it stands for all tokens.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if let Some(mark) = text.strip_prefix(OWNER) {
            return OwnerMark::from_hex(mark).map_or(Self::All, Self::Owner);
        }
        let ids = text.split(',').take(MOST + 1).map(str::parse);
        ids.collect::<Result<Vec<_>, _>>().map_or(Self::All, Self::from)
    }
}

impl Changed {
    pub(crate) fn one(id: TokenId) -> Self {
        Self::Tokens(vec![id])
    }

    pub(crate) fn owner(owner: &Owner) -> Self {
        Self::Owner(OwnerMark::of(owner))
    }

    /// Tokens that were changed, which are of this owner if there is one: of more than 100 tokens, the owner is told.
    pub(crate) fn of(ids: &[TokenId], owner: Option<&Owner>) -> Self {
        match owner {
            Some(owner) if ids.len() > MOST => Self::owner(owner),
            _ => Self::from(ids.to_vec()),
        }
    }
}

/// More than 100 are all.
impl From<Vec<TokenId>> for Changed {
    fn from(ids: Vec<TokenId>) -> Self {
        if ids.len() > MOST { Self::All } else { Self::Tokens(ids) }
    }
}

/// The text that [`from_text`](Self::from_text) reads.
impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = match self {
            Self::Tokens(ids) => ids,
            Self::Owner(mark) => return write!(f, "{OWNER}{}", hex::encode(mark.0)),
            Self::All => return f.write_str(ALL),
        };
        for (place, id) in ids.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { "," })?;
            id.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u128) -> Vec<TokenId> {
        (0..count).map(|it| TokenId::from_u128(u128::MAX - it)).collect()
    }

    #[test]
    fn what_is_told_is_read_as_it_was() {
        for count in [1, 2, 99, 100] {
            let changed = Changed::Tokens(ids(count));
            let text = changed.to_string();
            assert!(text.len() <= 2_299 && text.is_ascii());
            assert_eq!(Changed::from_text(&text), changed);
        }
        assert_eq!(Changed::All.to_string(), "clear");
        assert_eq!(Changed::from_text("clear"), Changed::All);
    }

    #[test]
    fn more_than_a_hundred_are_all() {
        assert_eq!(Changed::from(ids(100)), Changed::Tokens(ids(100)));
        assert_eq!(Changed::from(ids(101)), Changed::All);
        assert_eq!(Changed::from_text(&Changed::Tokens(ids(101)).to_string()), Changed::All);
    }

    #[test]
    fn an_owner_is_told_by_a_mark_that_is_the_same_everywhere() {
        let owner = |text| Owner::new(text).unwrap();
        let changed = Changed::of(&ids(101), Some(&owner("user:42")));
        let text = changed.to_string();
        assert_eq!(text, "owner:25096a0b7d2c403711574d562a6c7fa7");
        assert_eq!(Changed::from_text(&text), changed);
        assert_ne!(changed, Changed::Owner(OwnerMark::of(&owner("user:43"))));
        assert_eq!(Changed::of(&ids(100), Some(&owner("user:42"))), Changed::Tokens(ids(100)));
        assert_eq!(Changed::of(&ids(101), None), Changed::All);
        for damaged in [&text[..37], &text.to_uppercase(), &format!("{text}0"), "owner:"] {
            assert_eq!(Changed::from_text(damaged), Changed::All, "{damaged}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_all() {
        let good = TokenId::from_u128(1).to_string();
        for text in [
            "",
            ",",
            "Clear",
            "clear ",
            "x",
            &good[1..],
            &format!("{good},"),
            &format!(",{good}"),
            &format!("{good}, {good}"),
            &format!("{good} "),
            &format!("{good},clear"),
            &format!("{good}\n"),
            "zzzzzzzzzzzzzzzzzzzzzz",
            "é000000000000000000001",
        ] {
            assert_eq!(Changed::from_text(text), Changed::All, "{text:?}");
        }
        assert_eq!(Changed::from_text(&good), Changed::Tokens(vec![TokenId::from_u128(1)]));
    }
}
