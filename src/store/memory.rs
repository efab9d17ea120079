use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use foldhash::fast::RandomState;

use crate::token::{
    Abilities, KeyId, Owner, Revocation, Suspension, Timestamp, TokenDigest, TokenId, TokenRecord,
};

use super::{
    Change, ChangeOutcome, Expected, InsertOutcome, InsertRules, OwnerCount, Page, PageQuery, Peek,
    Position, RotateOutcome, Rotation, Selection, Show, Sort, SortKey, StoreError, TokenStore, Use,
};

/// A store in memory: for tests, examples, and services whose tokens need not outlive them.
///
/// Look-ups take no lock and allocate nothing. Writes happen one at a time. Nothing is durable.
///
/// ```
/// use keyfob::{ApiTokens, store::MemoryStore};
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
/// # Ok::<(), keyfob::BuildError>(())
/// ```
#[derive(Default)]
pub struct MemoryStore {
    records: papaya::HashMap<TokenId, Arc<TokenRecord>, RandomState>,
    /// Whoever holds it may write; readers never take it.
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    by_owner: BTreeSet<(Owner, TokenId)>,
    /// When each token ended or will end: the earlier of revocation and expiry.
    by_end: BTreeSet<(Timestamp, TokenId)>,
    /// Sets of abilities that tokens hold: many tokens hold few sets, and share them.
    abilities: HashSet<Abilities>,
    canaries: HashMap<KeyId, [u8; 32]>,
}

/// Beyond so many different sets, as with abilities for single resources, they are no longer shared.
const SHARED_SETS: usize = 1_000;

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn get(&self, id: TokenId) -> Option<Arc<TokenRecord>> {
        self.records.pin().get(&id).cloned()
    }

    /// A panic can't leave the index half changed in a way that lets anyone in, so its poison is passed over.
    fn writer(&self) -> Writer<'_> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        Writer { records: &self.records, index }
    }

    fn of_owner<'a>(
        writer: &'a Writer<'_>,
        owner: &Owner,
    ) -> impl Iterator<Item = Arc<TokenRecord>> + use<'a> {
        let range =
            (owner.clone(), TokenId::from_u128(0))..=(owner.clone(), TokenId::from_u128(u128::MAX));
        writer.index.by_owner.range(range).filter_map(|(_, id)| writer.get(*id))
    }
}

struct Writer<'a> {
    records: &'a papaya::HashMap<TokenId, Arc<TokenRecord>, RandomState>,
    index: MutexGuard<'a, Index>,
}

impl Writer<'_> {
    fn get(&self, id: TokenId) -> Option<Arc<TokenRecord>> {
        self.records.pin().get(&id).cloned()
    }

    fn put(&mut self, mut record: TokenRecord) -> Arc<TokenRecord> {
        self.share_abilities(&mut record.abilities);
        let record = Arc::new(record);
        self.index.by_owner.insert((record.owner.clone(), record.id));
        if let Some(end) = end(&record) {
            self.index.by_end.insert((end, record.id));
        }
        let replaced = self.records.pin().insert(record.id, record.clone()).cloned();
        if let Some(was) =
            replaced.as_deref().and_then(end).filter(|was| Some(*was) != end(&record))
        {
            self.index.by_end.remove(&(was, record.id));
        }
        record
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
        self.index.by_owner.remove(&(record.owner.clone(), record.id));
        if let Some(end) = end(record) {
            self.index.by_end.remove(&(end, record.id));
        }
    }

    /// Changes a token that is not revoked by `change`, which may refuse.
    fn alter(
        &mut self,
        id: TokenId,
        change: impl FnOnce(&Self, &mut TokenRecord) -> Result<(), ChangeOutcome>,
    ) -> ChangeOutcome {
        let Some(record) = self.get(id) else {
            return ChangeOutcome::NotFound;
        };
        if record.revocation.is_some() {
            return ChangeOutcome::Revoked;
        }
        let mut record = TokenRecord::clone(&record);
        match change(self, &mut record) {
            Ok(()) => ChangeOutcome::Changed(self.put(record)),
            Err(refused) => refused,
        }
    }

    fn has_live_name(&self, record: &TokenRecord) -> bool {
        MemoryStore::of_owner(self, &record.owner).any(|other| {
            other.id != record.id && other.revocation.is_none() && other.name == record.name
        })
    }
}

/// When a token ended or will end.
fn end(record: &TokenRecord) -> Option<Timestamp> {
    let revoked = record.revocation.as_ref().map(|it| it.at);
    [revoked, record.expires_at].into_iter().flatten().min()
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn peek(&self, id: TokenId) -> Peek {
        self.get(id).map_or(Peek::Absent, Peek::Found)
    }

    async fn find(&self, id: TokenId) -> Result<Option<Arc<TokenRecord>>, StoreError> {
        Ok(self.get(id))
    }

    async fn find_many(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let ids: BTreeSet<_> = ids.iter().collect();
        let records = ids.into_iter().filter_map(|id| self.get(*id)).collect();
        Ok(Page { records, ..Page::default() })
    }

    async fn insert(
        &self,
        record: &TokenRecord,
        rules: InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        let mut writer = self.writer();
        if writer.get(record.id).is_some() {
            return Ok(InsertOutcome::IdTaken);
        }
        let key = |record: &TokenRecord| record.rare.as_ref()?.idempotency_key.clone();
        if let Some(wanted) = key(record) {
            let mut others = Self::of_owner(&writer, &record.owner);
            if let Some(first) = others.find(|other| key(other).as_ref() == Some(&wanted)) {
                return Ok(InsertOutcome::AlreadyIssued(first.id));
            }
        }
        if rules.unique_name && writer.has_live_name(record) {
            return Ok(InsertOutcome::NameTaken);
        }
        if let Some(limit) = rules.limit_per_owner {
            let live = Self::of_owner(&writer, &record.owner).filter(|it| it.revocation.is_none());
            if live.count() >= limit as usize {
                return Ok(InsertOutcome::LimitReached);
            }
        }
        writer.put(record.clone());
        Ok(InsertOutcome::Inserted)
    }

    async fn page(&self, query: &PageQuery) -> Result<Page, StoreError> {
        let writer = self.writer();
        let shown = Self::of_owner(&writer, &query.owner).filter(|record| {
            let revoked = record.revocation.is_some();
            let wanted = match query.show {
                Show::NotRevoked => !revoked,
                Show::Revoked => revoked,
                Show::Any => true,
            };
            wanted && query.unused_since.is_none_or(|since| record.last_used_at < Some(since))
        });
        let shown = shown.map(|record| (query.sort.position(&record), record)).collect();
        Ok(page(shown, query.after.as_ref(), query.sort == Sort::Newest, query.limit))
    }

    async fn change(
        &self,
        id: TokenId,
        expected_expiry: Option<Timestamp>,
        change: &Change,
    ) -> Result<ChangeOutcome, StoreError> {
        Ok(self.writer().alter(id, |writer, record| {
            if record.expires_at != expected_expiry {
                return Err(ChangeOutcome::Outdated);
            }
            apply(change, record);
            if change.name.is_some() && change.unique_name && writer.has_live_name(record) {
                return Err(ChangeOutcome::NameTaken);
            }
            Ok(())
        }))
    }

    async fn rotate(
        &self,
        id: TokenId,
        expected: Expected,
        rotation: &Rotation,
    ) -> Result<RotateOutcome, StoreError> {
        let outcome = self.writer().alter(id, |_, record| {
            let found = Expected {
                generation: record.generation,
                first_used_at: record.first_used_at,
                expires_at: record.expires_at,
            };
            if found != expected {
                return Err(ChangeOutcome::Outdated);
            }
            record.digest = rotation.digest.clone();
            record.generation = rotation.generation;
            record.first_used_at = None;
            record.previous = rotation.previous.clone().map(Box::new);
            set_expiry(record, rotation.expires_at);
            Ok(())
        });
        Ok(outcome.into())
    }

    async fn mark_first_use(
        &self,
        id: TokenId,
        generation: u32,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let outcome = self.writer().alter(id, |_, record| {
            if record.generation != generation || record.first_used_at.is_some() {
                return Err(ChangeOutcome::Outdated);
            }
            record.first_used_at = Some(at);
            Ok(())
        });
        Ok(matches!(outcome, ChangeOutcome::Changed(_)))
    }

    async fn rekey(
        &self,
        id: TokenId,
        expected: &TokenDigest,
        digest: &TokenDigest,
    ) -> Result<bool, StoreError> {
        let outcome = self.writer().alter(id, |_, record| {
            let previous = record.previous.as_mut().map(|it| &mut it.digest);
            let mut digests = std::iter::once(&mut record.digest).chain(previous);
            let found = digests.find(|it| *it == expected).ok_or(ChangeOutcome::Outdated)?;
            *found = digest.clone();
            Ok(())
        });
        Ok(matches!(outcome, ChangeOutcome::Changed(_)))
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
    ) -> Result<Vec<TokenId>, StoreError> {
        let mut writer = self.writer();
        let selected: Vec<_> = match selection {
            Selection::Tokens { ids, owner } => {
                let found = ids.iter().filter_map(|id| writer.get(*id));
                found.filter(|it| owner.as_ref().is_none_or(|owner| *owner == it.owner)).collect()
            }
            Selection::ChildrenOf(parent) => {
                let is_child = |record: &Arc<TokenRecord>| {
                    record.rare.as_ref().is_some_and(|rare| rare.parent == Some(*parent))
                };
                self.records.pin().values().filter(|it| is_child(it)).cloned().collect()
            }
            Selection::AllOf(owner) => Self::of_owner(&writer, owner).collect(),
        };
        let mut changed = Vec::new();
        for record in selected {
            let outcome = writer.alter(record.id, |_, record| {
                record.revocation = Some(Box::new(revocation.clone()));
                Ok(())
            });
            if let ChangeOutcome::Changed(record) = outcome {
                changed.push(record.id);
            }
        }
        Ok(changed)
    }

    async fn suspend(
        &self,
        id: TokenId,
        suspension: &Suspension,
    ) -> Result<ChangeOutcome, StoreError> {
        Ok(self.writer().alter(id, |_, record| {
            record.suspension = Some(Box::new(suspension.clone()));
            Ok(())
        }))
    }

    async fn resume(&self, id: TokenId, at: Timestamp) -> Result<ChangeOutcome, StoreError> {
        Ok(self.writer().alter(id, |_, record| {
            if let Some(suspension) = &mut record.suspension {
                suspension.until = Some(suspension.until.map_or(at, |until| until.min(at)));
            }
            Ok(())
        }))
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        for &Use { id, at, from } in uses {
            let Some(record) = writer.get(id).filter(|it| it.last_used_at < Some(at)) else {
                continue;
            };
            let mut record = TokenRecord::clone(&record);
            record.last_used_at = Some(at);
            record.last_used_from = from;
            writer.put(record);
        }
        Ok(())
    }

    async fn claim_notice(&self, id: TokenId, days: u16) -> Result<bool, StoreError> {
        let outcome = self.writer().alter(id, |_, record| {
            let claimed = record.rare_mut().notices.insert(days);
            claimed.then_some(()).ok_or(ChangeOutcome::Outdated)
        });
        Ok(matches!(outcome, ChangeOutcome::Changed(_)))
    }

    async fn expiring(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let writer = self.writer();
        let lowest = TokenId::from_u128(u128::MAX);
        let ends = writer.index.by_end.range((from, lowest)..).take_while(|(end, _)| *end <= until);
        let found = ends.filter_map(|(_, id)| writer.get(*id));
        let found = found.filter(|it| it.revocation.is_none() && it.expires_at > Some(from));
        let position = |record: &TokenRecord| Position {
            key: SortKey::Instant(record.expires_at.map(Timestamp::unix_seconds)),
            id: record.id,
        };
        let found = found.map(|record| (position(&record), record)).collect();
        Ok(page(found, after, false, limit))
    }

    async fn unused(
        &self,
        since: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let is_unused = |record: &Arc<TokenRecord>| {
            record.revocation.is_none()
                && record.created_at < since
                && record.last_used_at < Some(since)
        };
        let records = self.records.pin();
        let unused = records.values().filter(|it| is_unused(it)).cloned();
        let unused = unused.map(|record| (Sort::Oldest.position(&record), record)).collect();
        Ok(page(unused, after, false, limit))
    }

    async fn count(&self, owner: &Owner) -> Result<OwnerCount, StoreError> {
        let writer = self.writer();
        let mut count = OwnerCount::default();
        for record in Self::of_owner(&writer, owner) {
            match record.revocation {
                None => count.not_revoked += 1,
                Some(_) => count.revoked += 1,
            }
        }
        Ok(count)
    }

    async fn count_by_key(&self) -> Result<Vec<(Option<KeyId>, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        for record in self.records.pin().values().filter(|it| it.revocation.is_none()) {
            *counts.entry(record.digest.key().cloned()).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn prune(&self, ended_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.writer();
        let ended = writer.index.by_end.iter().take_while(|(end, _)| *end < ended_before);
        let ended: Vec<_> =
            ended.take(limit as usize).filter_map(|(_, id)| writer.get(*id)).collect();
        for record in &ended {
            writer.remove(record);
        }
        Ok(ended.len() as u64)
    }

    async fn erase(&self, owner: &Owner) -> Result<Vec<TokenId>, StoreError> {
        let mut writer = self.writer();
        let erased: Vec<_> = Self::of_owner(&writer, owner).collect();
        for record in &erased {
            writer.remove(record);
        }
        Ok(erased.iter().map(|record| record.id).collect())
    }

    async fn canary(&self, key: &KeyId, canary: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(*self.writer().index.canaries.entry(key.clone()).or_insert(*canary))
    }
}

fn apply(change: &Change, record: &mut TokenRecord) {
    if let Some(name) = &change.name {
        record.name = name.clone();
    }
    if let Some(abilities) = &change.abilities {
        record.abilities = abilities.clone();
    }
    if let Some(not_before) = change.not_before {
        record.not_before = not_before;
    }
    if let Some(idle_seconds) = change.idle_seconds {
        record.idle_seconds = idle_seconds;
    }
    if let Some(metadata) = &change.metadata {
        record.rare_mut().metadata = metadata.clone();
    }
    if let Some(rate_limit) = change.rate_limit {
        record.rare_mut().rate_limit = rate_limit;
    }
    if let Some(addresses) = &change.allowed_addresses {
        record.rare_mut().allowed_addresses = addresses.clone();
    }
    if let Some(expires_at) = change.expires_at {
        set_expiry(record, expires_at);
    }
}

/// A new expiry forgets the notices that were claimed for the old one.
fn set_expiry(record: &mut TokenRecord, expires_at: Option<Timestamp>) {
    if record.expires_at != expires_at
        && let Some(rare) = &mut record.rare
    {
        rare.notices.clear();
    }
    record.expires_at = expires_at;
}

fn page(
    mut found: Vec<(Position, Arc<TokenRecord>)>,
    after: Option<&Position>,
    descending: bool,
    limit: u32,
) -> Page {
    let key = |position: &Position| (position.key.clone(), position.id);
    found.sort_by_key(|(position, _)| key(position));
    if descending {
        found.reverse();
    }
    if let Some(after) = after.map(key) {
        found.retain(|(position, _)| {
            let order = key(position).cmp(&after);
            if descending { order.is_lt() } else { order.is_gt() }
        });
    }
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let end = found.last().filter(|_| more).map(|(position, _)| position.clone());
    let records = found.into_iter().map(|(_, record)| record).collect();
    Page { records, corrupt: Vec::new(), end }
}

impl From<ChangeOutcome> for RotateOutcome {
    fn from(outcome: ChangeOutcome) -> Self {
        match outcome {
            ChangeOutcome::Changed(record) => Self::Rotated(record),
            ChangeOutcome::NotFound => Self::NotFound,
            ChangeOutcome::Revoked => Self::Revoked,
            ChangeOutcome::Outdated | ChangeOutcome::NameTaken => Self::Outdated,
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("tokens", &self.records.len()).finish_non_exhaustive()
    }
}
