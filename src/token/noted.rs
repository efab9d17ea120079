use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::Timestamp;

/// No use is noted: an instant before every other.
const NONE: i64 = i64::MIN;

/// The latest use of a token that is noted in memory and not yet written.
///
/// It lives in the record that `verify` has in its hands anyway, so that noting a use costs a compare and, once a
/// second, an exchange. It is no part of what is persisted: a clone begins empty, and all are equal.
#[derive(Debug)]
pub(crate) struct NotedUse {
    at: AtomicI64,
    /// Names the log in which the record waits and the address of the last use, to see that either is another one.
    tag: AtomicU64,
}

impl NotedUse {
    /// Notes a use if this record is the one that waits to be written there; `false` if it is not, or if the address is
    /// another one: then the log has to be told.
    pub(crate) fn touch(&self, now: Timestamp, tag: u64) -> bool {
        let mut noted = self.at.load(Relaxed);
        let now = now.unix_seconds();
        if self.tag.load(Relaxed) != tag {
            return false;
        }
        while noted != NONE {
            if noted >= now {
                return true;
            }
            // An exchange and not a store: a use must not be noted in a record that has just been drained.
            match self.at.compare_exchange_weak(noted, now, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(current) => noted = current,
            }
        }
        false
    }

    /// Makes this record the one that waits to be written.
    pub(crate) fn open(&self, at: Timestamp, tag: u64) {
        self.tag.store(tag, Relaxed);
        self.at.fetch_max(at.unix_seconds(), Relaxed);
    }

    /// Takes what is noted; nothing is noted here until the record is opened again.
    pub(crate) fn close(&self) -> Option<Timestamp> {
        Timestamp::from_unix_seconds(self.at.swap(NONE, Relaxed)).ok()
    }

    /// What is noted.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        Timestamp::from_unix_seconds(self.at.load(Relaxed)).ok()
    }
}

impl Default for NotedUse {
    fn default() -> Self {
        Self { at: AtomicI64::new(NONE), tag: AtomicU64::new(0) }
    }
}

impl Clone for NotedUse {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for NotedUse {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
