//! Digests are made anew when the pepper key is another one: computed where the secret is in hand anyway, in
//! verification, and written off the path of a request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;

use crate::{
    store::{StoreError, TokenStore},
    token::{TokenDigest, TokenId},
};

/// How many digests wait at most. Those of further tokens are made at a later use.
const CAPACITY: usize = 100_000;

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

    /// Writes what waits. Dropped or failed, it loses nothing; where the stored digest is another by now, it is left
    /// alone.
    pub(crate) async fn write(&self, store: &dyn TokenStore) -> Result<(), StoreError> {
        let all: Vec<_> = self.lock().iter().map(|(at, it)| (*at, it.clone())).collect();
        for (at, it) in all {
            store.rekey(at.0, &it.expected, &it.digest).await?;
            let mut waiting = self.lock();
            if waiting.get(&at) == Some(&it) {
                waiting.remove(&at);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TokenId, u32), Waiting, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
