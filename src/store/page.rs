use std::sync::Arc;

use crate::token::{Owner, Timestamp, TokenId, TokenRecord};

use super::CorruptRecord;

/// Which tokens of an owner to read, and in what order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Whose tokens.
    pub owner: Owner,
    /// In what order.
    pub sort: Sort,
    /// Revoked ones, others, or both.
    pub show: Show,
    /// Only those that have not been used since this instant, or ever.
    pub unused_since: Option<Timestamp>,
    /// Begin after the token at this position.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: u32,
}

/// The order of a page. Where two tokens are equal in it, their ids decide in the same direction.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// By id, the latest first.
    #[default]
    Newest,
    /// By id, the earliest first.
    Oldest,
    /// By name, compared by bytes.
    Name,
    /// By last use as written, tokens that were never used first.
    LeastRecentlyUsed,
}

/// Whether revoked tokens are shown.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Only those that are not revoked.
    #[default]
    NotRevoked,
    /// Only those that are revoked.
    Revoked,
    /// All.
    Any,
}

/// Where a page ended: its last token, and what it is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// What the token is sorted by before its id.
    pub key: SortKey,
    /// The token.
    pub id: TokenId,
}

/// What tokens are sorted by before their ids. Within one order all are of the same kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum SortKey {
    /// Nothing: by id alone.
    Id,
    /// By name.
    Name(String),
    /// By an instant in seconds since 1970, *never* first.
    Instant(Option<i64>),
}

impl Sort {
    /// Tells whether this order sorts by keys of this kind.
    pub(crate) fn has_key(self, key: &SortKey) -> bool {
        matches!(
            (self, key),
            (Self::Newest | Self::Oldest, SortKey::Id)
                | (Self::Name, SortKey::Name(_))
                | (Self::LeastRecentlyUsed, SortKey::Instant(_))
        )
    }

    /// Where a token stands in this order.
    #[must_use]
    pub fn position(self, record: &TokenRecord) -> Position {
        let key = match self {
            Self::Newest | Self::Oldest => SortKey::Id,
            Self::Name => SortKey::Name(record.name.as_str().to_owned()),
            Self::LeastRecentlyUsed => {
                SortKey::Instant(record.last_used_at.map(Timestamp::unix_seconds))
            }
        };
        Position { key, id: record.id }
    }
}

/// Some tokens, and those among them that can't be read.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Page {
    /// The tokens, in the order that was asked for.
    pub records: Vec<Arc<TokenRecord>>,
    /// The ones that can't be read.
    pub corrupt: Vec<CorruptRecord>,
    /// Where the page ended, if there may be more: a corrupt token can be the last one.
    pub end: Option<Position>,
}
