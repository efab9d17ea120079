use std::collections::BTreeMap;

use crate::{store::contract::SharedRecord, token::KeyId};

/// How many digests of tokens that are not revoked a pepper key has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// The key; `None` is without one.
    pub key: Option<KeyId>,
    /// How many tokens have a current digest by it.
    pub current: u64,
    /// How many tokens have a previous digest by it: that of the secret from before a rotation.
    pub previous: u64,
}

impl KeyCount {
    /// Counts the digests of all tokens: the whole of [`TokenStore::count_by_key`](super::TokenStore::count_by_key)
    /// for a store that keeps whole records.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = SharedRecord>) -> Vec<Self> {
        let mut counts = BTreeMap::<_, (u64, u64)>::new();
        for record in records.into_iter().filter(|it| it.revocation.is_none()) {
            counts.entry(record.digest.key().cloned()).or_default().0 += 1;
            if let Some(previous) = &record.previous {
                counts.entry(previous.digest.key().cloned()).or_default().1 += 1;
            }
        }
        let counts = counts.into_iter();
        counts.map(|(key, (current, previous))| Self { key, current, previous }).collect()
    }
}
