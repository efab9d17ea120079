use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;

use crate::{
    store::{
        changed::OwnerMark,
        contract::{Peek, Selection, SharedRecord, Use},
    },
    time::Moment,
    token::{Revocation, TokenId, TokenRecord, room_for},
};

use super::{
    lookups::{Kin, Lookups, Voided},
    ring::{MOST_PASSED, Ring},
};

/// The records that were read last, as many as there is room for.
pub(super) struct Entries {
    records: papaya::HashMap<TokenId, Entry, RandomState>,
    /// Whoever holds it may put in and take out; who only looks never takes it.
    order: Mutex<Order>,
    broad: Voided,
}

struct Order {
    lookups: Lookups,
    ring: Ring,
    /// The bytes of all records together, and how many they may be.
    weight: usize,
    most: usize,
}

struct Entry {
    record: SharedRecord,
    lookup: Lookup,
    /// Where [`Voided`] has what voids it.
    kin: Kin,
    place: usize,
    weight: usize,
    /// Whether it was found since the hand of the ring last came by.
    used: AtomicBool,
}

/// A look-up that is sent to the store.
#[derive(Clone, Copy)]
pub(super) struct Lookup {
    number: u64,
    /// When it was sent at the earliest.
    sent: Moment,
}

impl Entries {
    pub(super) fn new(capacity: usize) -> Self {
        let (lookups, ring, most) = (Lookups::new(), Ring::new(capacity), room_for(capacity));
        let order = Order { lookups, ring, weight: 0, most };
        let broad = Voided::default();
        Self { records: papaya::HashMap::default(), order: Mutex::new(order), broad }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn lookups(&self) -> u64 {
        self.order().lookups.sent()
    }

    /// The bytes of all records.
    pub(super) fn weight(&self) -> usize {
        self.order().weight
    }

    /// What is in memory, where that is fresh enough by when it was asked for. Of a revoked token it always is.
    #[inline]
    pub(super) fn peek(&self, id: TokenId, is_fresh: impl FnOnce(Moment) -> bool) -> Peek {
        let records = self.records.pin();
        let Some(entry) = records.get(&id) else {
            return Peek::Miss;
        };
        let peek = if entry.is_final() {
            Peek::Found(entry.record.clone())
        } else if !self.broad.is_void(entry.lookup.number, entry.kin) && is_fresh(entry.lookup.sent)
        {
            Peek::Cached(entry.record.clone())
        } else {
            return Peek::Miss;
        };
        // A store would take the line from the other cores each time.
        if !entry.used.load(Relaxed) {
            entry.used.store(true, Relaxed);
        }
        peek
    }

    /// A look-up that is sent to the store after this.
    pub(super) fn send(&self, now: Moment) -> Lookup {
        Lookup { number: self.order().lookups.send(), sent: now }
    }

    /// Keeps what a look-up has found, unless the token was changed meanwhile or a later look-up has answered before,
    /// and returns what is to be believed: what was found, and a revocation that is known in any case.
    ///
    /// ```text
    /// kept           found           returned and kept
    /// revoked        not revoked     found, with the revocation that is kept
    /// any            revoked         found
    /// not revoked    not revoked     found; kept only if its look-up was sent later
    /// ```
    pub(super) fn found(&self, lookup: Lookup, found: SharedRecord) -> SharedRecord {
        let mut order = self.order();
        let id = found.id;
        let records = self.records.pin();
        let held = records.get(&id);
        let record = match held {
            Some(held) if found.revocation.is_none() && held.is_final() => {
                let revocation = held.record.revocation.clone();
                TokenRecord { revocation, ..TokenRecord::clone(&found) }.into()
            }
            _ => found,
        };
        let is_older = |held: &Entry| held.lookup.number > lookup.number;
        let is_news = held.is_none_or(|held| !is_older(held) || !held.is_final())
            && (record.revocation.is_some() || !held.is_some_and(is_older));
        let kin = self.broad.kin_of(&record);
        let is_void =
            order.lookups.is_void(lookup.number, id) || self.broad.is_void(lookup.number, kin);
        if !is_news || is_void {
            return record;
        }
        let place = match held {
            Some(held) => held.place,
            None => self.make_room(&mut order, id),
        };
        self.put(&mut order, Entry::new(record.clone(), lookup, kin, place, held.is_some()));
        record
    }

    /// Puts an entry in place of that which is held of the token, and lets go of others until all have room.
    fn put(&self, order: &mut Order, entry: Entry) {
        let (records, id) = (self.records.pin(), entry.record.id);
        order.weight += entry.weight;
        if let Some(before) = records.insert(id, entry) {
            order.weight -= before.weight;
        }
        // Who was used is spared, but not too many: others wait for the lock.
        let mut spared = 0;
        for _ in 0..2 * order.ring.len() {
            if order.weight <= order.most {
                break;
            }
            let (place, other) = order.ring.pass();
            let others = records.get(&other).filter(|it| it.place == place && other != id);
            let Some(held) = others else { continue };
            if spared < MOST_PASSED && held.used.swap(false, Relaxed) {
                spared += 1;
            } else {
                self.remove(order, other);
            }
        }
    }

    /// Lets go of a token that a look-up has not found.
    pub(super) fn missed(&self, lookup: Lookup, id: TokenId) {
        let mut order = self.order();
        if self.records.pin().get(&id).is_some_and(|held| held.lookup.number < lookup.number) {
            self.remove(&mut order, id);
        }
    }

    /// Lets go of these tokens, and of what is under way of them. What is known to be revoked stays so.
    pub(super) fn evict(&self, ids: &[TokenId]) {
        let mut order = self.order();
        for id in ids {
            order.lookups.void(*id);
            if self.records.pin().get(id).is_some_and(|held| !held.is_final()) {
                self.remove(&mut order, *id);
            }
        }
    }

    /// Lets go of tokens that are deleted, whatever is under way of them.
    pub(super) fn remove_all(&self, ids: &[TokenId]) {
        let mut order = self.order();
        for id in ids {
            self.remove(&mut order, *id);
        }
    }

    /// Lets go of an owner's tokens, and of what is under way of them.
    pub(super) fn evict_owner(&self, owner: OwnerMark) {
        self.broad.void_owner(owner, self.order().lookups.sent());
    }

    /// Lets go of all that a selection may be about, where it is not known which tokens these are.
    pub(super) fn evict_selected(&self, selection: &Selection) {
        match (selection, selection.owner()) {
            (_, Some(owner)) => self.evict_owner(OwnerMark::of(owner)),
            (Selection::Tokens { ids, .. }, None) => self.evict(ids),
            _ => self.broad.void_children(self.order().lookups.sent()),
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        let mut order = self.order();
        order.lookups.void_all();
        order.ring.clear();
        order.weight = 0;
        self.records.pin().clear();
    }

    /// Shows that tokens are revoked.
    pub(super) fn revoke(&self, ids: &[TokenId], revocation: &Revocation) {
        self.amend(ids.iter().copied(), |record| {
            record.revocation = Some(Box::new(revocation.clone()));
        });
    }

    /// Shows uses in what depends on the last one: idleness, and whether there was any. Of other tokens the last use is
    /// as old as what is remembered of them, because to copy thousands of records every minute would be dear.
    pub(super) fn used(&self, uses: &[Use]) {
        let depends =
            |record: &TokenRecord| record.idle_seconds.is_some() || record.last_used_at.is_none();
        for used in uses {
            if self.records.pin().get(&used.id).is_some_and(|held| depends(&held.record)) {
                self.amend([used.id], |record| {
                    let _ = used.apply(record);
                });
            }
        }
    }

    fn amend(&self, ids: impl IntoIterator<Item = TokenId>, change: impl Fn(&mut TokenRecord)) {
        let mut order = self.order();
        let records = self.records.pin();
        for id in ids {
            let Some(held) = records.get(&id).filter(|held| !held.is_final()) else { continue };
            let mut record = TokenRecord::clone(&held.record);
            change(&mut record);
            let used = held.used.load(Relaxed);
            self.put(
                &mut order,
                Entry::new(record.into(), held.lookup, held.kin, held.place, used),
            );
        }
    }

    fn make_room(&self, order: &mut Order, id: TokenId) -> usize {
        let records = self.records.pin();
        let take_use = |id| records.get(&id).is_some_and(|held| held.used.swap(false, Relaxed));
        let (place, evicted) = order.ring.place(id, take_use);
        if let Some(evicted) = evicted.and_then(|id| records.remove(&id)) {
            order.weight -= evicted.weight;
        }
        place
    }

    fn remove(&self, order: &mut Order, id: TokenId) {
        if let Some(removed) = self.records.pin().remove(&id) {
            order.ring.free(removed.place);
            order.weight -= removed.weight;
        }
    }

    /// A panic leaves nothing behind that lets anyone in: what is in memory was read, and void is void.
    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(record: SharedRecord, lookup: Lookup, kin: Kin, place: usize, used: bool) -> Self {
        let weight = record.weight();
        Self { record, lookup, kin, place, weight, used: AtomicBool::new(used) }
    }

    /// A revocation is irreversible, so it is known for ever. The rest of the record ages like any other's.
    fn is_final(&self) -> bool {
        self.record.revocation.is_some()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("tokens", &self.len()).finish_non_exhaustive()
    }
}
