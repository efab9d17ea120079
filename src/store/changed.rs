use std::fmt;

use crate::token::TokenId;

/// How many tokens are told one by one at most.
pub(crate) const MOST: usize = 100;

/// Instead of ids: all tokens.
const ALL: &str = "clear";

/// Which tokens were changed, as nodes tell each other.
///
/// As text, it is the ids, joined by commas, or `clear` for all tokens: at most 2,299 bytes of ASCII.
///
/// ```
/// use keyfob::{TokenId, signal::Changed};
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
    /// Any of all.
    All,
}

impl Changed {
    /// Reads what another node has told. What can't be read is not lost: it stands for all tokens.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let ids = text.split(',').take(MOST + 1).map(str::parse);
        ids.collect::<Result<Vec<_>, _>>().map_or(Self::All, Self::from)
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
        let Self::Tokens(ids) = self else {
            return f.write_str(ALL);
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
