use std::{
    collections::HashSet,
    hash::BuildHasher,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use foldhash::quality::RandomState;

use crate::token::TokenId;

/// How many addresses are remembered before the older half is forgotten.
const CAPACITY: usize = 100_000;

/// From where tokens were seen to be used: hashes of token and address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    hashes: RandomState,
    seen: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl Addresses {
    /// Remembers an address, and tells whether it was not there.
    pub(super) fn see(&self, id: TokenId, address: IpAddr) -> bool {
        let hash = self.hashes.hash_one((id, address));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.recent.len() >= CAPACITY / 2 {
            seen.older = std::mem::take(&mut seen.recent);
        }
        let is_old = seen.older.contains(&hash);
        seen.recent.insert(hash) && !is_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let addresses = Addresses::default();
        for number in 0..3 * CAPACITY {
            let address = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            assert!(addresses.see(TokenId::from_u128(1), address));
            let seen = addresses.seen.lock().unwrap();
            assert!(seen.recent.len() + seen.older.len() <= CAPACITY);
        }
    }
}
