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

impl PageQuery {
    /// The page out of the tokens of the owner, or of all tokens: the whole of
    /// [`TokenStore::page`](super::TokenStore::page) for a store that keeps whole records.
    pub fn page(&self, records: impl IntoIterator<Item = Arc<TokenRecord>>) -> Page {
        let shown = records.into_iter().filter(|record| {
            record.owner == self.owner
                && self.show.shows(record)
                && self.unused_since.is_none_or(|since| record.last_used_at < Some(since))
        });
        let shown = shown.map(|record| (self.sort.position(&record), record)).collect();
        Page::cut(shown, self.after.as_ref(), self.sort == Sort::Newest, self.limit)
    }
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

impl Show {
    fn shows(self, record: &TokenRecord) -> bool {
        match self {
            Self::NotRevoked => record.revocation.is_none(),
            Self::Revoked => record.revocation.is_some(),
            Self::Any => true,
        }
    }
}

/// Where a page ended: its last token, and what it is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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
    /// Where the page ended, if there is more. A corrupt token can be the last one.
    pub end: Option<Position>,
}

impl Page {
    /// The page out of all tokens: the whole of [`TokenStore::expiring`](super::TokenStore::expiring) for a store
    /// that keeps whole records.
    pub fn expiring(
        records: impl IntoIterator<Item = Arc<TokenRecord>>,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Self {
        let expiring = records.into_iter().filter_map(|record| {
            let end = record.expires_at.filter(|end| from < *end && *end <= until)?;
            let key = SortKey::Instant(Some(end.unix_seconds()));
            Show::NotRevoked.shows(&record).then(|| (Position { key, id: record.id }, record))
        });
        Self::cut(expiring.collect(), after, false, limit)
    }

    /// The page out of all tokens: the whole of [`TokenStore::unused`](super::TokenStore::unused) for a store that
    /// keeps whole records.
    pub fn unused(
        records: impl IntoIterator<Item = Arc<TokenRecord>>,
        since: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Self {
        let unused = records.into_iter().filter(|record| {
            Show::NotRevoked.shows(record)
                && record.created_at < since
                && record.last_used_at < Some(since)
        });
        let unused = unused.map(|record| (Sort::Oldest.position(&record), record)).collect();
        Self::cut(unused, after, false, limit)
    }

    fn cut(
        mut found: Vec<(Position, Arc<TokenRecord>)>,
        after: Option<&Position>,
        descending: bool,
        limit: u32,
    ) -> Self {
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if descending {
            found.reverse();
        }
        if let Some(after) = after {
            found.retain(
                |(position, _)| {
                    if descending { position < after } else { position > after }
                },
            );
        }
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let end = found.last().filter(|_| more).map(|(position, _)| position.clone());
        let records = found.into_iter().map(|(_, record)| record).collect();
        Self { records, corrupt: Vec::new(), end }
    }
}
