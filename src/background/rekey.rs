//! Digests are made anew when the pepper key is another one: computed where the secret is in hand anyway, in
//! verification, and written off the path of a request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;

use crate::{
    store::{StoreError, TokenStore, contract::Patch},
    token::{TokenDigest, TokenId},
};

/// How many digests wait at most. Those of further tokens are made at a later use.
const CAPACITY: usize = 100_000;
/// How many are written at a time, one after the other: last-used must not wait for all of them.
const BATCH: usize = 500;

/// The digests that wait to be written, each in place of one that is expected to be there.
#[derive(Debug, Default)]
pub(crate) struct Rekeying(Mutex<HashMap<(TokenId, u32), Waiting, RandomState>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    expected: TokenDigest,
    digest: TokenDigest,
}

impl Rekeying {
    /// Takes the new digest of a secret, by its token and generation. It is computed only where none waits yet.
    #[cold]
    pub(crate) fn queue(
        &self,
        id: TokenId,
        generation: u32,
        expected: &TokenDigest,
        digest: impl FnOnce() -> TokenDigest,
    ) {
        let mut waiting = self.lock();
        let is_waiting = waiting.get(&(id, generation)).is_some_and(|it| it.expected == *expected);
        if is_waiting || waiting.len() >= CAPACITY {
            return;
        }
        let expected = expected.clone();
        waiting.insert((id, generation), Waiting { expected, digest: digest() });
    }

    /// Writes some of what waits, and tells whether that is all. Dropped, or where the store is not to be had, it loses
    /// nothing; a token that is damaged does not hold up the others. Where the stored digest is another by now, it is
    /// left alone.
    pub(crate) async fn write(&self, store: &dyn TokenStore) -> Result<bool, StoreError> {
        let batch: Vec<_> =
            self.lock().iter().take(BATCH).map(|(at, it)| (*at, it.clone())).collect();
        let is_all = batch.len() < BATCH;
        let mut outcome = Ok(());
        for (at, it) in batch {
            let Waiting { expected, digest } = it.clone();
            let written = store.update(at.0, &Patch::Rekey { expected, digest }).await;
            if let Err(error @ (StoreError::Unavailable(_) | StoreError::Busy(_))) = written {
                return Err(error);
            }
            // What is damaged is not mended by another try; its next use would queue it again.
            outcome = outcome.and(written.map(drop));
            let mut waiting = self.lock();
            if waiting.get(&at) == Some(&it) {
                waiting.remove(&at);
            }
        }
        outcome.map(|()| is_all)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TokenId, u32), Waiting, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_digests_wait_than_there_is_room_for() {
        let (waiting, digest) = (Rekeying::default(), TokenDigest::from_bytes([7; 32], None));
        for number in 0..u128::try_from(CAPACITY).unwrap() + 10 {
            waiting.queue(TokenId::from_u128(number), 0, &digest, || digest.clone());
        }
        assert_eq!(waiting.lock().len(), CAPACITY);
    }
}
