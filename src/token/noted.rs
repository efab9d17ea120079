use std::{
    net::IpAddr,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

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
    /// A hash of the address, to see that it is another one than the last time.
    from: AtomicU64,
}

impl NotedUse {
    /// Notes a use if this record is the one that is waiting to be written; `false` if it is not, or if the address
    /// is another one: then the log has to be told.
    pub(crate) fn touch(&self, now: Timestamp, from: Option<IpAddr>) -> bool {
        let mut noted = self.at.load(Relaxed);
        let now = now.unix_seconds();
        loop {
            if noted == NONE {
                return false;
            }
            if noted >= now {
                return true;
            }
            if self.from.load(Relaxed) != hash(from) {
                return false;
            }
            // An exchange and not a store: a use must not be noted in a record that has just been drained.
            match self.at.compare_exchange_weak(noted, now, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(current) => noted = current,
            }
        }
    }

    /// Makes this record the one that is waiting to be written.
    pub(crate) fn open(&self, at: Timestamp, from: Option<IpAddr>) {
        self.from.store(hash(from), Relaxed);
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

fn hash(from: Option<IpAddr>) -> u64 {
    use std::hash::BuildHasher;
    from.map_or(0, |from| foldhash::fast::FixedState::default().hash_one(from))
}

impl Default for NotedUse {
    fn default() -> Self {
        Self { at: AtomicI64::new(NONE), from: AtomicU64::new(0) }
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
