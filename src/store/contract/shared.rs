use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use crate::token::{Timestamp, TokenRecord};

/// A [`TokenRecord`] in the memory of a node, which all share who read it. A clone is the same one.
///
/// The node notes beside it when the token was last used, until that is written. Nothing of that is in the record.
///
/// ```
/// # use keyfob::{Owner, TokenId, TokenName, TokenRecord, store::contract::SharedRecord};
/// # use keyfob::token::{Prefix, Timestamp, TokenDigest};
/// # let (id, owner) = (TokenId::from_u128(1), Owner::new("user:42")?);
/// # let (name, digest) = (TokenName::new("ci")?, TokenDigest::from_bytes([0; 32], None));
/// # let record = TokenRecord::new(id, Prefix::new("acme")?, owner, name, digest, Timestamp::MIN);
/// let shared = SharedRecord::from(record);
/// assert_eq!(shared.name.as_str(), "ci");
///
/// let mut changed = shared.into_record();
/// changed.name = TokenName::new("deploy")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedRecord(Arc<Inner>);

/// In this order, so that a use is noted in the line of memory that the count of the clones is in.
#[derive(Debug)]
#[repr(C)]
struct Inner {
    pending_use: PendingUse,
    record: TokenRecord,
}

impl SharedRecord {
    /// The record by itself: a copy, if others share it.
    #[must_use]
    pub fn into_record(self) -> TokenRecord {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => inner.record,
            Err(shared) => shared.record.clone(),
        }
    }

    #[inline]
    pub(crate) fn pending_use(&self) -> &PendingUse {
        &self.0.pending_use
    }

    /// About how many bytes it takes in memory, at most.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Inner>() - size_of::<TokenRecord>() + self.0.record.weight()
    }
}

impl Deref for SharedRecord {
    type Target = TokenRecord;

    #[inline]
    fn deref(&self) -> &TokenRecord {
        &self.0.record
    }
}

impl From<TokenRecord> for SharedRecord {
    fn from(record: TokenRecord) -> Self {
        Self(Arc::new(Inner { record, pending_use: PendingUse::default() }))
    }
}

/// Equal records are equal, wherever they lie.
impl PartialEq for SharedRecord {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// No use is noted: an instant before every other.
const NONE: i64 = i64::MIN;

/// The latest use of a token that is noted in memory and not yet written.
///
/// It lies beside the record that `verify` has in its hands anyway, so that noting a use costs a compare and, once a
/// second, an exchange.
#[derive(Debug)]
pub(crate) struct PendingUse {
    at: AtomicI64,
    /// Names the log in which the record waits and the address of the last use, to see that either is another one.
    tag: AtomicU64,
}

impl PendingUse {
    /// Notes a use if this record is the one that waits to be written; `false` if it is not, or if the address is
    /// another one: then the log has to be told.
    pub(crate) fn bump(&self, now: Timestamp, tag: u64) -> bool {
        let mut pending = self.at.load(Relaxed);
        let now = now.unix_seconds();
        if self.tag.load(Relaxed) != tag {
            return false;
        }
        while pending != NONE {
            if pending >= now {
                return true;
            }
            // An exchange and not a store: a use must not be noted in a record that has just been drained.
            match self.at.compare_exchange_weak(pending, now, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(current) => pending = current,
            }
        }
        false
    }

    /// Makes this record the one that waits to be written.
    pub(crate) fn start(&self, at: Timestamp, tag: u64) {
        self.tag.store(tag, Relaxed);
        self.at.fetch_max(at.unix_seconds(), Relaxed);
    }

    /// Takes what is noted; nothing is noted here until [`start`](Self::start) is called again.
    pub(crate) fn take(&self) -> Option<Timestamp> {
        Timestamp::from_unix_seconds(self.at.swap(NONE, Relaxed)).ok()
    }

    /// The use that is noted.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        Timestamp::from_unix_seconds(self.at.load(Relaxed)).ok()
    }
}

impl Default for PendingUse {
    fn default() -> Self {
        Self { at: AtomicI64::new(NONE), tag: AtomicU64::new(0) }
    }
}
