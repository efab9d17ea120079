use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    store::{CorruptRecord, contract::SharedRecord},
    token::{InvalidValue, Rule, Timestamp, TokenId, TokenRecord},
};

use super::{Counts, Filter};

/// A page of a list of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// The tokens.
    pub filter: Filter,
    /// Their order.
    pub order: Order,
    /// Begins after this position.
    pub after: Option<Position>,
    /// Holds at most so many tokens.
    pub limit: u32,
}

/// The order of a list. Of tokens that are equal in it, their ids decide in the same direction.
///
/// As text, it is `created`, `name`, `last_used` or `expires`, and `-` before it if it is descending.
///
/// ```
/// use keyfob::store::{Order, SortBy};
///
/// assert_eq!("-created".parse(), Ok(Order::NEWEST));
/// assert_eq!(Order::by(SortBy::LastUsed).to_string(), "last_used");
/// assert!("id".parse::<Order>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// The field that decides.
    pub by: SortBy,
    /// The last one comes first.
    pub descending: bool,
}

/// The field that decides over an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SortBy {
    /// The instant at which the token was issued.
    Created,
    /// The name, compared by bytes.
    Name,
    /// The last use as it is written. Never is before every instant.
    LastUsed,
    /// The expiry. Never is after every instant.
    Expires,
}

const TEXTS: [(SortBy, &str); 4] = [
    (SortBy::Created, "created"),
    (SortBy::Name, "name"),
    (SortBy::LastUsed, "last_used"),
    (SortBy::Expires, "expires"),
];

impl Order {
    /// By creation, the latest first.
    pub const NEWEST: Self = Self { by: SortBy::Created, descending: true };
    /// By creation, the earliest first.
    pub const OLDEST: Self = Self::by(SortBy::Created);

    /// In ascending order.
    #[must_use]
    pub const fn by(by: SortBy) -> Self {
        Self { by, descending: false }
    }

    /// In the other direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { descending: !self.descending, ..self }
    }

    /// The position of a token in this order.
    #[must_use]
    pub fn position(self, record: &TokenRecord) -> Position {
        let key = match self.by {
            SortBy::Created => SortKey::Instant(record.created_at.unix_seconds()),
            SortBy::Name => SortKey::Name(record.name.as_str().to_owned()),
            SortBy::LastUsed => SortKey::Instant(or_never(record.last_used_at, NEVER_USED)),
            SortBy::Expires => SortKey::Instant(or_never(record.expires_at, NEVER_EXPIRES)),
        };
        Position { key, id: record.id }
    }

    /// Returns `true` if positions in this order have keys of this kind.
    pub(crate) const fn has_key(self, key: &SortKey) -> bool {
        matches!(
            (self.by, key),
            (SortBy::Name, SortKey::Name(_))
                | (SortBy::Created | SortBy::LastUsed | SortBy::Expires, SortKey::Instant(_))
        )
    }
}

/// Never used is before every instant.
pub(crate) const NEVER_USED: i64 = i64::MIN + 1;
/// Never expires is after every instant.
pub(crate) const NEVER_EXPIRES: i64 = i64::MAX;

fn or_never(instant: Option<Timestamp>, never: i64) -> i64 {
    instant.map_or(never, Timestamp::unix_seconds)
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = TEXTS.iter().find(|(by, _)| *by == self.by).map_or("", |(_, text)| text);
        write!(f, "{}{text}", if self.descending { "-" } else { "" })
    }
}

const INVALID: InvalidValue = Rule::other(
    "must be created, name, last_used or expires, with - before it for descending order",
)
.broken_by("sort");

impl FromStr for Order {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (descending, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let by = TEXTS.iter().find(|(_, it)| *it == text).ok_or(INVALID)?.0;
        Ok(Self { by, descending })
    }
}

/// The place of a token in an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// What decides before the id.
    pub key: SortKey,
    /// The token.
    pub id: TokenId,
}

/// What decides over an order before the ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SortKey {
    /// A name.
    Name(String),
    /// An instant in seconds since 1970. *Never* is the number that [`Order::position`] gives.
    Instant(i64),
}

/// Some tokens, and those among them that can't be read.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Page {
    /// The tokens, in the order that was asked for.
    pub records: Vec<SharedRecord>,
    /// The ones that can't be read.
    pub corrupt: Vec<CorruptRecord>,
    /// The position where the page ended, if there may be more. A corrupt token can be the last one.
    pub end: Option<Position>,
}

impl Query {
    /// The first page of tokens, of at most so many.
    #[must_use]
    pub const fn new(filter: Filter, order: Order, limit: u32) -> Self {
        Self { filter, order, after: None, limit }
    }

    /// The page, for a store that reads whole records: the whole of
    /// [`TokenStore::list`](crate::store::TokenStore::list).
    pub fn page(&self, records: impl IntoIterator<Item = SharedRecord>) -> Page {
        let matching = records.into_iter().filter(|record| self.filter.matches(record));
        let mut found: Vec<_> =
            matching.map(|record| (self.order.position(&record), record)).collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if self.order.descending {
            found.reverse();
        }
        if let Some(after) = &self.after {
            found.retain(
                |(position, _)| {
                    if self.order.descending { position < after } else { position > after }
                },
            );
        }
        let limit = self.limit as usize;
        let more = found.len() > limit;
        found.truncate(limit);
        let end = found.last().filter(|_| more).map(|(position, _)| position.clone());
        let records = found.into_iter().map(|(_, record)| record).collect();
        Page { records, corrupt: Vec::new(), end }
    }
}

impl Filter {
    /// Counts tokens, for a store that reads whole records: the whole of
    /// [`TokenStore::count`](crate::store::TokenStore::count).
    #[must_use]
    pub fn count(&self, records: impl IntoIterator<Item = SharedRecord>) -> Counts {
        let mut counts = Counts::default();
        for record in records.into_iter().filter(|record| self.matches(record)) {
            counts.add(record.state_at(self.at), 1);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Owner, Prefix, TokenDigest, TokenName};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn token(
        id: u128,
        name: &str,
        (created, used, expires): (i64, Option<i64>, Option<i64>),
    ) -> SharedRecord {
        let mut record = TokenRecord::new(
            TokenId::from_u128(id),
            Prefix::new("acme").unwrap(),
            Owner::new("user:42").unwrap(),
            TokenName::new(name).unwrap(),
            TokenDigest::from_bytes([7; 32], None),
            at(created),
        );
        record.last_used_at = used.map(at);
        record.expires_at = expires.map(at);
        record.into()
    }

    fn records() -> Vec<SharedRecord> {
        vec![
            token(1, "b", (3, None, Some(9))),
            token(2, "a", (1, Some(5), None)),
            token(3, "é", (1, None, Some(-9))),
            token(4, "Z", (2, Some(-5), None)),
            token(5, "a", (3, Some(5), Some(9))),
        ]
    }

    fn ids(page: &Page) -> Vec<u128> {
        page.records.iter().map(|it| it.id.as_u128()).collect()
    }

    const ORDERS: [(SortBy, [u128; 5]); 4] = [
        (SortBy::Created, [2, 3, 4, 1, 5]),
        (SortBy::Name, [4, 2, 5, 1, 3]),
        (SortBy::LastUsed, [1, 3, 4, 2, 5]),
        (SortBy::Expires, [3, 1, 5, 2, 4]),
    ];

    #[test]
    fn each_order_sorts_by_its_field_and_then_by_id_in_both_directions() {
        for (by, mut expected) in ORDERS {
            for order in [Order::by(by), Order::by(by).reversed()] {
                let query = Query::new(Filter::new(None, at(0)), order, 5);
                let page = query.page(records());
                assert_eq!(ids(&page), expected, "{order}");
                assert_eq!(page.end, None);
                expected.reverse();
            }
        }
    }

    #[test]
    fn pages_of_any_size_give_each_token_once() {
        for (by, expected) in ORDERS {
            for limit in 1..=6 {
                let mut query = Query::new(Filter::new(None, at(0)), Order::by(by), limit);
                let mut seen = Vec::new();
                loop {
                    let page = query.page(records());
                    assert!(page.records.len() <= limit as usize);
                    seen.extend(ids(&page));
                    query.after = page.end;
                    if query.after.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{by:?}, {limit}");
            }
        }
    }

    #[test]
    fn an_order_has_positions_of_one_kind_and_reads_back_from_its_text() {
        for (by, text) in TEXTS {
            for order in [Order::by(by), Order::by(by).reversed()] {
                assert_eq!(order.to_string().trim_start_matches('-'), text);
                assert_eq!(order.to_string().parse(), Ok(order));
                for record in records() {
                    assert!(order.has_key(&order.position(&record).key), "{order}");
                }
            }
        }
        assert!(!Order::NEWEST.has_key(&SortKey::Name(String::new())));
        assert!(!Order::by(SortBy::Name).has_key(&SortKey::Instant(0)));
        for text in ["", "-", "id", "Created", "created ", "--name", "+name"] {
            assert_eq!(text.parse::<Order>(), Err(INVALID), "{text}");
        }
    }
}
