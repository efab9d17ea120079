mod entries;
mod lookups;
mod ring;

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use self::entries::{Entries, Lookup};
use crate::{
    time::{Clock, Moment},
    token::{Owner, Revocation, TokenId},
};

use super::{
    StoreError, TokenStore,
    changed::{Changed, OwnerMark},
    contract::{Deleted, Deletion, Page, Patch, Peek, Revoked, Selection, UpdateOutcome, Use},
    steps::token_store,
};

/// How long what was read may be good at most.
pub(crate) const LONGEST_STALENESS: time::Duration = time::Duration::seconds(60);

/// How many tokens are remembered unless said otherwise.
pub(crate) const CACHE_CAPACITY: usize = 100_000;

/// A store around a store that remembers what it has read, so that a verification asks for a token once in a while and
/// not each time.
///
/// [`Cache`](crate::Cache) says what it promises. Beside that:
///
/// * What is changed through this store is forgotten after the step, whatever has become of it, and so is what is being
///   read at that moment.
/// * Only what there is, is remembered: unknown ids neither take room nor push anyone out. Where there is no more room,
///   tokens go that have not been used for long.
/// * Uses that are written go through without making anything be forgotten.
///
/// It answers [`peek`](TokenStore::peek), in which nobody waits for anybody; every other step goes to the store that it
/// is around.
pub(crate) struct CachedStore {
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    max_staleness: Duration,
    capacity: usize,
    entries: Entries,
}

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
    /// Remembers so many tokens at most, at least one. Together they take at most as many KiB, or 128 KiB if that is more.
    pub(crate) fn new(
        store: Arc<dyn TokenStore>,
        clock: Arc<dyn Clock>,
        max_staleness: Duration,
        capacity: usize,
    ) -> Self {
        let capacity = capacity.max(1);
        Self { store, clock, max_staleness, capacity, entries: Entries::new(capacity) }
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

    /// What it holds and has done.
    pub(crate) fn stats(&self) -> CacheStats {
        let (entries, lookups) = (self.entries.len(), self.entries.lookups());
        CacheStats { entries, bytes: self.entries.weight(), capacity: self.capacity, lookups }
    }

    fn steps(&self) -> Remembering<'_> {
        Remembering(self)
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

token_store!(CachedStore);

/// The steps by which something is remembered or forgotten. Those that are not here go to the store as they are, so a
/// step that changes tokens has to be here.
struct Remembering<'a>(&'a CachedStore);

impl Deref for Remembering<'_> {
    type Target = dyn TokenStore;

    fn deref(&self) -> &Self::Target {
        &*self.0.store
    }
}

impl Remembering<'_> {
    fn peek(&self, id: TokenId) -> Peek {
        let Self(CachedStore { store, entries, clock, max_staleness, .. }) = self;
        match store.peek(id) {
            Peek::Miss => {
                entries.peek(id, |sent| sent.until(Moment::now(&**clock)) < *max_staleness)
            }
            known => known,
        }
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let Self(CachedStore { store, entries, .. }) = self;
        let lookup = self.0.send();
        let Page { records, end, corrupt } = store.find(ids).await?;
        for id in ids {
            if !records.iter().any(|it| it.id == *id) {
                entries.missed(lookup, *id);
            }
        }
        let records = records.into_iter().map(|record| entries.found(lookup, record));
        Ok(Page { records: records.collect(), end, corrupt })
    }

    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
        let _outdated = self.0.outdates(Tokens::One(id));
        self.0.store.update(id, patch).await
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        let Self(cache) = self;
        let outdated = cache.outdates(Tokens::Revoked(selection));
        let revoked = cache.store.revoke(selection, revocation, limit).await?;
        cache.entries.revoke(&revoked.changed, revocation);
        // It is known what the step was about. All tokens of an owner are forgotten once the last step is done: others
        // may have revoked some of them before.
        if !matches!(selection, Selection::AllOf(_)) || revoked.more {
            let found = match selection.owner() {
                None => Changed::Tokens(revoked.found.clone()),
                owner => Changed::of(&revoked.found, owner),
            };
            cache.outdate(&found);
            outdated.settle();
        }
        Ok(revoked)
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.0.store.record_uses(uses).await?;
        self.0.entries.used(uses);
        Ok(())
    }

    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
        let _outdated = match deletion {
            Deletion::EndedBefore(_) => None,
            Deletion::AllOf(owner) => Some(self.0.outdates(Tokens::Erased(owner))),
        };
        let deleted = self.0.store.delete(deletion, limit).await?;
        self.0.entries.remove_all(&deleted.ids);
        Ok(deleted)
    }
}

impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.store)
            .field("max_staleness", &self.max_staleness)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
