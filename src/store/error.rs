use std::{error::Error, sync::Arc};

use crate::token::TokenId;

/// The cause of an error, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not do what it was asked for.
///
/// Each situation is a case of its own, because each has another answer: unavailable and busy are 503 and never a
/// refusal of the token, corrupt and faulty are 500 and somebody's work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store can't be reached: no connection, time-out, shutdown, I/O.
    #[error("the token store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The store is there and did not get to it: a lock, a deadlock, a serialization failure. Worth a retry.
    #[error("the token store is busy")]
    Busy(#[source] BoxError),
    /// A token is there that can't be read.
    #[error(transparent)]
    Corrupt(CorruptRecord),
    /// The store refuses what it was told: a missing table, a bug. A retry won't help.
    #[error("the token store failed")]
    Faulty(#[source] BoxError),
}

impl StoreError {
    /// A short name of the situation, for logs and metrics; it will not change.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Busy(_) => "busy",
            Self::Corrupt(_) => "corrupt",
            Self::Faulty(_) => "faulty",
        }
    }

    /// Gives the same error to each of many: the same situation, with the cause in common.
    pub(crate) fn shared(self) -> Box<dyn Fn() -> Self> {
        let (situation, cause): (fn(BoxError) -> Self, _) = match self {
            Self::Unavailable(cause) => (Self::Unavailable, cause),
            Self::Busy(cause) => (Self::Busy, cause),
            Self::Faulty(cause) => (Self::Faulty, cause),
            Self::Corrupt(record) => return Box::new(move || Self::Corrupt(record.clone())),
        };
        let cause: Arc<dyn Error + Send + Sync> = cause.into();
        Box::new(move || situation(Box::new(cause.clone())))
    }
}

/// A token that is kept and can't be read: something else than keyfob wrote it, or the medium failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("the stored token {} can't be read: its {field} is not valid", Self::name(*id))]
#[non_exhaustive]
pub struct CorruptRecord {
    /// The token, where at least that can be read.
    pub id: Option<TokenId>,
    /// The column that can't be read.
    pub field: &'static str,
}

impl CorruptRecord {
    /// A token whose column can't be read.
    #[must_use]
    pub const fn new(id: Option<TokenId>, field: &'static str) -> Self {
        Self { id, field }
    }

    fn name(id: Option<TokenId>) -> String {
        id.map_or_else(|| "(id unreadable)".to_owned(), |id| id.to_string())
    }
}

impl From<CorruptRecord> for StoreError {
    fn from(record: CorruptRecord) -> Self {
        Self::Corrupt(record)
    }
}
