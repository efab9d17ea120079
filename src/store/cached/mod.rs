mod entries;
mod lookups;
mod ring;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use self::entries::{Entries, Lookup};
use crate::{
    clock::{Clock, Moment, SystemClock},
    token::{KeyId, Owner, Revocation, TokenId, TokenRecord},
};

use super::{
    Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, KeyCount, Page, Patch, Peek,
    Query, Revoked, Selection, StoreError, TokenStore, UpdateOutcome, Use,
    changed::{Changed, OwnerMark},
};

/// How long what was read may be good at most.
pub(crate) const LONGEST_STALENESS: time::Duration = time::Duration::seconds(60);

/// How many tokens are remembered unless said otherwise.
pub(crate) const CACHE_CAPACITY: usize = 100_000;

/// A store around a store that remembers what it has read, so that a verification asks for a token once in a while and
/// not each time.
///
/// [`ApiTokensBuilder::max_staleness`](crate::ApiTokensBuilder::max_staleness) puts one around the application's store,
/// and tells it of what a [signal](crate::signal) says and of what was [committed](crate::Pending::committed) in a
/// transaction of the application's own; this is for whoever wants one elsewhere. An `ApiTokens` that is built on one
/// does not know that it is a cache, so that neither comes to it.
///
/// * What was read is good for `max_staleness`, counted from before the store was asked by what has elapsed, or by the
///   wall clock where that has moved further: a machine that slept asks again.
///   After that it is asked for again; where the store does not answer, that is the answer. Expiry and all else that
///   depends on the time is judged on each verification, so nothing that is remembered lets anyone in past its end.
/// * What is changed through this store is forgotten at once, also where a change fails midway and nobody knows what
///   has become of it, and so is what is being read at that moment: the next verification goes by the change. What
///   others change shows after `max_staleness` at the latest.
/// * Who is revoked stays so: that is good beyond `max_staleness`, as long as there is room and nothing is cleared, and
///   no other answer takes its place.
/// * Only what there is, is remembered: unknown ids neither take room nor push anyone out. Where there is no more room,
///   tokens go that have not been used for long.
/// * Uses that are written go through without making anything be forgotten.
///
/// It answers [`peek`](TokenStore::peek), in which nobody waits for anybody; every other step goes to the store that it
/// is around.
///
/// ```
/// # futures_executor::block_on(async {
/// use keyfob::store::{CachedStore, MemoryStore};
/// use time::Duration;
///
/// let store = CachedStore::new(MemoryStore::new(), Duration::seconds(5))?.capacity(10_000);
/// assert_eq!(store.stats().entries, 0);
/// assert!(CachedStore::new(MemoryStore::new(), Duration::minutes(2)).is_err());
/// # Ok::<(), keyfob::store::StalenessError>(()) }).unwrap();
/// ```
pub struct CachedStore {
    inner: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    max_staleness: Duration,
    capacity: usize,
    entries: Entries,
}

/// A time that nothing can be remembered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is remembered of a token may be more than 0 and at most 60 seconds old")]
#[non_exhaustive]
pub struct StalenessError;

/// What a cache holds and has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// How many tokens are remembered.
    pub entries: usize,
    /// About how many bytes they take.
    pub bytes: usize,
    /// For how many there is room.
    pub capacity: usize,
    /// How often the store was asked for tokens, since the start: verifications that found nothing in memory, and
    /// whatever else reads by id.
    pub lookups: u64,
}

impl CachedStore {
    /// Remembers what is read from a store for so long: more than nothing and at most 60 seconds. It remembers 100,000
    /// tokens unless [told otherwise](Self::capacity).
    ///
    /// # Errors
    /// [`StalenessError`]
    pub fn new(
        store: impl TokenStore + 'static,
        max_staleness: time::Duration,
    ) -> Result<Self, StalenessError> {
        Self::on(Arc::new(store), max_staleness)
    }

    /// As [`new`](Self::new), around a store that others hold as well. What they change through it shows here after
    /// `max_staleness` at the latest.
    ///
    /// # Errors
    /// [`StalenessError`]
    pub fn on(
        store: Arc<dyn TokenStore>,
        max_staleness: time::Duration,
    ) -> Result<Self, StalenessError> {
        if max_staleness <= time::Duration::ZERO || max_staleness > LONGEST_STALENESS {
            return Err(StalenessError);
        }
        Ok(Self {
            inner: store,
            clock: Arc::new(SystemClock),
            max_staleness: max_staleness.unsigned_abs(),
            capacity: CACHE_CAPACITY,
            entries: Entries::new(CACHE_CAPACITY),
        })
    }

    /// Sets how many tokens are remembered at most, at least one. Together they take at most as many KiB, or 128 KiB if
    /// that is more. A plain token takes a third of a KiB, and one with all that it may have takes 60.
    #[must_use]
    pub fn capacity(self, tokens: usize) -> Self {
        let capacity = tokens.max(1);
        Self { capacity, entries: Entries::new(capacity), ..self }
    }

    /// Another clock than the operating system's. An answer is as old as the hand says that has moved further.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.shared_clock(Arc::new(clock))
    }

    pub(crate) fn shared_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Forgets these tokens, and voids what is being read of them: for changes that did not come through this store.
    pub fn evict(&self, ids: &[TokenId]) {
        self.entries.evict(ids);
    }

    /// Forgets what was changed, and voids what is being read of it.
    pub(crate) fn outdate(&self, changed: &Changed) {
        match changed {
            Changed::Tokens(ids) => self.entries.evict(ids),
            Changed::Owner(owner) => self.entries.evict_owner(*owner),
            Changed::All => self.entries.clear(),
        }
    }

    pub(crate) fn evict_selected(&self, selection: &Selection) {
        self.entries.evict_selected(selection);
    }

    /// Forgets everything, and voids what is being read.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let (entries, lookups) = (self.entries.len(), self.entries.lookups());
        CacheStats { entries, bytes: self.entries.weight(), capacity: self.capacity, lookups }
    }

    fn send(&self) -> Lookup {
        self.entries.send(Moment::now(&*self.clock))
    }

    fn outdates<'a>(&'a self, tokens: Tokens<'a>) -> Outdated<'a> {
        Outdated { entries: &self.entries, tokens: Some(tokens) }
    }
}

/// What a step may make untrue that is in memory. Whatever has become of the step, also where nobody waited for its
/// end, that is forgotten when this is dropped.
struct Outdated<'a> {
    entries: &'a Entries,
    tokens: Option<Tokens<'a>>,
}

impl Outdated<'_> {
    /// The step is done, and all that it was about is known and forgotten.
    fn settle(mut self) {
        self.tokens = None;
    }
}

#[derive(Clone, Copy)]
enum Tokens<'a> {
    One(TokenId),
    Revoked(&'a Selection),
    Erased(&'a Owner),
}

impl Drop for Outdated<'_> {
    fn drop(&mut self) {
        match self.tokens {
            Some(Tokens::One(id)) => self.entries.evict(&[id]),
            Some(Tokens::Revoked(selection)) => self.entries.evict_selected(selection),
            Some(Tokens::Erased(owner)) => self.entries.evict_owner(OwnerMark::of(owner)),
            None => {}
        }
    }
}

#[async_trait]
impl TokenStore for CachedStore {
    fn peek(&self, id: TokenId) -> Peek {
        match self.inner.peek(id) {
            Peek::Ask => self
                .entries
                .peek(id, |sent| sent.until(Moment::now(&*self.clock)) < self.max_staleness),
            known => known,
        }
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let lookup = self.send();
        let Page { records, end, corrupt } = self.inner.find(ids).await?;
        for id in ids {
            if !records.iter().any(|it| it.id == *id) {
                self.entries.missed(lookup, *id);
            }
        }
        let records = records.into_iter().map(|record| self.entries.found(lookup, record));
        Ok(Page { records: records.collect(), end, corrupt })
    }

    async fn insert(
        &self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        self.inner.insert(record, rules).await
    }

    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
        let _outdated = self.outdates(Tokens::One(id));
        self.inner.update(id, patch).await
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        let outdated = self.outdates(Tokens::Revoked(selection));
        let revoked = self.inner.revoke(selection, revocation, limit).await?;
        self.entries.revoke(&revoked.changed, revocation);
        // It is known what the step was about. All tokens of an owner are forgotten once the last step is done: others
        // may have revoked some of them before.
        if !matches!(selection, Selection::AllOf(_)) || revoked.more {
            let found = match selection.owner() {
                None => Changed::Tokens(revoked.found.clone()),
                owner => Changed::of(&revoked.found, owner),
            };
            self.outdate(&found);
            outdated.settle();
        }
        Ok(revoked)
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.record_uses(uses).await?;
        self.entries.used(uses);
        Ok(())
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.list(query).await
    }

    async fn count(&self, filter: &Filter) -> Result<Counts, StoreError> {
        self.inner.count(filter).await
    }

    async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
        self.inner.count_by_key().await
    }

    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
        let _outdated = match deletion {
            Deletion::EndedBefore(_) => None,
            Deletion::AllOf(owner) => Some(self.outdates(Tokens::Erased(owner))),
        };
        let deleted = self.inner.delete(deletion, limit).await?;
        self.entries.remove_all(&deleted.ids);
        Ok(deleted)
    }

    async fn key_fingerprint(&self, key: &KeyId, value: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        self.inner.key_fingerprint(key, value).await
    }
}

impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.inner)
            .field("max_staleness", &self.max_staleness)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
