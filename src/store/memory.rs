use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    ops::Bound::{Excluded, Included},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use foldhash::fast::RandomState;

use crate::token::{Abilities, KeyId, Owner, Revocation, Timestamp, TokenId, TokenRecord};

use super::{
    KeyCount, StoreError, TokenStore,
    contract::{
        Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, Page, Patch, Peek, Query,
        Revoked, Selection, SharedRecord, UpdateOutcome, Use,
    },
};

/// A store in memory: for tests, examples, and services whose tokens need not outlive them.
///
/// Look-ups take no lock and allocate nothing. Writes happen one at a time. Nothing is durable.
///
/// ```
/// use keyfob::{ApiTokens, store::MemoryStore};
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Default)]
pub struct MemoryStore {
    records: Records,
    /// Whoever holds it may write; readers never take it.
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    by_owner: BTreeSet<(Owner, TokenId)>,
    /// When each token ended or will end: the earlier of revocation and expiry.
    by_end: BTreeSet<(Timestamp, TokenId)>,
    /// What was issued on behalf of each token.
    by_parent: BTreeSet<(TokenId, TokenId)>,
    /// Sets of abilities that tokens hold: many tokens hold few sets, and share them.
    abilities: HashSet<Abilities>,
    fingerprints: HashMap<KeyId, [u8; 32]>,
}

/// Beyond so many different sets, as with abilities for single resources, they are no longer shared.
const SHARED_SETS: usize = 1_000;

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn get(&self, id: TokenId) -> Option<SharedRecord> {
        get(&self.records, id)
    }

    /// A panic can't leave the index half changed in a way that lets anyone in, so its poison is passed over.
    fn writer(&self) -> Writer<'_> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        Writer { records: &self.records, index }
    }
}

type Records = papaya::HashMap<TokenId, SharedRecord, RandomState>;

fn get(records: &Records, id: TokenId) -> Option<SharedRecord> {
    records.pin().get(&id).cloned()
}

struct Writer<'a> {
    records: &'a Records,
    index: MutexGuard<'a, Index>,
}

impl<'w> Writer<'w> {
    fn get(&self, id: TokenId) -> Option<SharedRecord> {
        get(self.records, id)
    }

    fn of_owner<'a>(&'a self, owner: &Owner) -> impl Iterator<Item = SharedRecord> + use<'a, 'w> {
        let [first, last] = [0, u128::MAX].map(|id| (owner.clone(), TokenId::from_u128(id)));
        self.index.by_owner.range(first..=last).filter_map(|(_, id)| self.get(*id))
    }

    /// The tokens that were issued on behalf of one, in order of their ids and from after an id.
    fn children_of(
        &self,
        parent: TokenId,
        after: Option<TokenId>,
    ) -> impl Iterator<Item = TokenId> {
        let first = match after {
            Some(id) => Excluded((parent, id)),
            None => Included((parent, TokenId::from_u128(0))),
        };
        let last = Included((parent, TokenId::from_u128(u128::MAX)));
        self.index.by_parent.range((first, last)).map(|(_, id)| *id)
    }

    fn put(&mut self, mut record: TokenRecord) {
        self.share_abilities(&mut record.abilities);
        if let Some(replaced) = self.get(record.id) {
            self.forget(&replaced);
        }
        if let Some(end) = record.ends_at() {
            self.index.by_end.insert((end, record.id));
        }
        if let Some(parent) = record.parent() {
            self.index.by_parent.insert((parent, record.id));
        }
        self.index.by_owner.insert((record.owner.clone(), record.id));
        self.records.pin().insert(record.id, record.into());
    }

    /// Takes a token out of the index.
    fn forget(&mut self, record: &TokenRecord) {
        self.index.by_owner.remove(&(record.owner.clone(), record.id));
        if let Some(end) = record.ends_at() {
            self.index.by_end.remove(&(end, record.id));
        }
        if let Some(parent) = record.parent() {
            self.index.by_parent.remove(&(parent, record.id));
        }
    }

    fn share_abilities(&mut self, abilities: &mut Abilities) {
        let shared = &mut self.index.abilities;
        match shared.get(abilities) {
            Some(same) => *abilities = same.clone(),
            None if shared.len() < SHARED_SETS => {
                shared.insert(abilities.clone());
            }
            None => {}
        }
    }

    fn remove(&mut self, record: &TokenRecord) {
        self.records.pin().remove(&record.id);
        self.forget(record);
    }

    /// Changes a token, if it is there, by `note`, which tells whether there is anything to write.
    fn note(&mut self, id: TokenId, note: impl FnOnce(&mut TokenRecord) -> bool) {
        let Some(record) = self.get(id) else { return };
        let mut record = TokenRecord::clone(&record);
        if note(&mut record) {
            self.put(record);
        }
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn peek(&self, id: TokenId) -> Peek {
        self.get(id).map_or(Peek::Absent, Peek::Found)
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let ids: BTreeSet<_> = ids.iter().collect();
        let records = ids.into_iter().filter_map(|id| self.get(*id)).collect();
        Ok(Page { records, ..Page::default() })
    }

    async fn insert(
        &self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        let mut writer = self.writer();
        if writer.get(record.id).is_some() {
            return Ok(InsertOutcome::IdTaken);
        }
        let outcome = rules.decide(record, writer.of_owner(&record.owner));
        if outcome == InsertOutcome::Inserted {
            writer.put(record.clone());
        }
        Ok(outcome)
    }

    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
        let mut writer = self.writer();
        let Some(record) = writer.get(id) else {
            return Ok(UpdateOutcome::NotFound);
        };
        let siblings = patch.siblings(&record, writer.of_owner(&record.owner));
        let mut record = record.into_record();
        Ok(match patch.apply(&mut record, &siblings) {
            Ok(()) => {
                writer.put(record.clone());
                UpdateOutcome::Updated(Arc::new(record))
            }
            Err(refused) => UpdateOutcome::Refused(refused),
        })
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        let mut writer = self.writer();
        let revoked = match selection {
            Selection::Tokens { .. } => {
                selection.decide(selection.ids().into_iter().filter_map(|id| writer.get(id)), limit)
            }
            Selection::ChildrenOf { parents, after } => {
                let most = limit as usize;
                let children = |it: &TokenId| writer.children_of(*it, *after).take(most);
                let children = parents.iter().flat_map(children);
                selection.decide(children.filter_map(|id| writer.get(id)), limit)
            }
            Selection::AllOf(owner) => selection.decide(writer.of_owner(owner), limit),
        };
        for id in &revoked.changed {
            writer.note(*id, |record| {
                record.revocation = Some(Box::new(revocation.clone()));
                true
            });
        }
        Ok(revoked)
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        for noted in uses {
            writer.note(noted.id, |record| noted.apply(record));
        }
        Ok(())
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let writer = self.writer();
        Ok(match &query.filter.owner {
            Some(owner) => query.page(writer.of_owner(owner)),
            None => query.page(writer.records.pin().values().cloned()),
        })
    }

    async fn count(&self, filter: &Filter) -> Result<Counts, StoreError> {
        let writer = self.writer();
        Ok(match &filter.owner {
            Some(owner) => filter.count(writer.of_owner(owner)),
            None => filter.count(writer.records.pin().values().cloned()),
        })
    }

    async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
        let writer = self.writer();
        Ok(KeyCount::of(writer.records.pin().values().cloned()))
    }

    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
        let mut writer = self.writer();
        let most = limit as usize;
        let matches = |it: &SharedRecord| {
            deletion.matches(it, writer.children_of(it.id, None).next().is_some())
        };
        let found: Vec<_> = match deletion {
            Deletion::EndedBefore(instant) => {
                let ended = writer.index.by_end.iter().take_while(|(end, _)| end < instant);
                let ended = ended.filter_map(|(_, id)| writer.get(*id));
                ended.filter(matches).take(most).collect()
            }
            Deletion::AllOf(owner) => writer.of_owner(owner).take(most).collect(),
        };
        for record in &found {
            writer.remove(record);
        }
        Ok(deletion.step(found.iter().map(|it| (it.id, it.parent().is_some())), limit))
    }

    async fn key_fingerprint(&self, key: &KeyId, value: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(*self.writer().index.fingerprints.entry(key.clone()).or_insert(*value))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("tokens", &self.records.len()).finish_non_exhaustive()
    }
}
