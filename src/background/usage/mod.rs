//! Last-used: noted in memory, to be written in batches, off the path of a request.

mod abilities;
mod addresses;

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::fast::RandomState;

pub(crate) use abilities::AbilityLog;
use addresses::Addresses;

use crate::{
    store::{
        StoreError, TokenStore,
        contract::{SharedRecord, Use},
    },
    time::timer::Notify,
    token::{Timestamp, TokenId, TokenRecord, room_for},
};

/// How many uses go to the store in one call.
const BATCH: usize = 1_000;

/// The uses that are noted and not yet written.
#[derive(Debug)]
pub(crate) struct UsageLog {
    pub(crate) interval: Duration,
    /// How many tokens may have uses that wait. Uses of further tokens are let go.
    capacity: usize,
    log: Mutex<Log>,
    /// Where somebody listens to news of them.
    addresses: Option<Addresses>,
    /// Tells addresses apart, and this log from another that holds the same records.
    tags: RandomState,
    dropped: AtomicU64,
    /// How many futures write what is here.
    pub(crate) drivers: AtomicUsize,
    warned: AtomicBool,
    pub(crate) notify: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Log {
    /// A token's first use since the last flush puts its record here; later uses are noted in the record alone.
    waiting: HashMap<TokenId, Waiting, RandomState>,
    /// What a flush has taken and not begun to write.
    draining: HashMap<TokenId, Waiting, RandomState>,
    /// The batch that a flush is writing, or was writing when it failed or was dropped.
    writing: HashMap<TokenId, Use, RandomState>,
    oldest: Option<Timestamp>,
    /// What the records that wait take, in bytes.
    weight: usize,
    /// How often written uses were forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Waiting {
    record: SharedRecord,
    from: Option<IpAddr>,
}

/// What a use is news of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageEvent {
    /// The token was not used before, as far as this process knows.
    FirstUse,
    /// It was not used from this address before, as far as this process knows.
    NewAddress(IpAddr),
}

/// The uses that were noted at a moment: see [`UsageLog::show_in`].
pub(crate) struct PendingUses {
    pub(crate) uses: Vec<Use>,
    /// How often written uses had been forgotten.
    forgotten: u64,
}

impl UsageLog {
    pub(crate) fn new(interval: Duration, capacity: usize, is_heard: bool) -> Self {
        Self {
            interval,
            capacity,
            log: Mutex::default(),
            addresses: is_heard.then(Addresses::default),
            tags: RandomState::default(),
            dropped: AtomicU64::new(0),
            drivers: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
            notify: Arc::default(),
        }
    }

    /// Notes a use. While the record that the store hands out is the one that waits, this is a compare in it, and once
    /// a second an exchange; otherwise it takes a lock.
    #[inline]
    pub(crate) fn note(
        &self,
        record: &SharedRecord,
        now: Timestamp,
        from: Option<IpAddr>,
    ) -> Option<UsageEvent> {
        let tag = self.tags.hash_one(from);
        if record.pending_use().bump(now, tag) {
            return None;
        }
        let is_first = self.insert(record, now, from, tag);
        let addresses = self.addresses.as_ref()?;
        let new_address = from.filter(|from| addresses.see(record.id, *from));
        let new_address = new_address.filter(|from| record.last_used_from != Some(*from));
        if is_first { Some(UsageEvent::FirstUse) } else { new_address.map(UsageEvent::NewAddress) }
    }

    /// Tells whether it is the token's first use, as far as is known here.
    #[cold]
    fn insert(
        &self,
        record: &SharedRecord,
        now: Timestamp,
        from: Option<IpAddr>,
        tag: u64,
    ) -> bool {
        let mut log = self.lock();
        let (weight, most) = (record.weight(), room_for(self.capacity));
        let (before, room) = (log.weight, most.saturating_sub(log.weight));
        if let Some(waiting) = log.entry(record.id) {
            // The token came with another record, or from another address: the latest record is the one that waits,
            // unless there is no room for it.
            let pending = waiting.record.pending_use().take();
            if pending.is_none_or(|pending| pending <= now) {
                waiting.from = from;
            }
            let freed = waiting.record.weight();
            if weight <= room + freed {
                waiting.record = record.clone();
            }
            waiting.record.pending_use().start(now.max(pending.unwrap_or(now)), tag);
            log.weight = before - freed + waiting.record.weight();
            return false;
        }
        let is_known = record.last_used_at.is_some() || log.writing.contains_key(&record.id);
        let others = log.waiting.len() + log.draining.len() + log.writing.len();
        let is_counted = log.writing.contains_key(&record.id);
        if weight > room || others >= self.capacity && !is_counted {
            self.dropped.fetch_add(1, Relaxed);
            return false;
        }
        record.pending_use().start(now, tag);
        log.weight += weight;
        let fills_half = log.weight > most / 2 && before <= most / 2;
        log.waiting.insert(record.id, Waiting { record: record.clone(), from });
        log.oldest.get_or_insert(now);
        drop(log);
        // Once, on the way up: while writes fail, every further use would have them tried again.
        if others + 1 == self.capacity / 2 || fills_half {
            self.notify.notify();
        }
        !is_known
    }

    /// The latest uses of these tokens that are noted and not yet written.
    pub(crate) fn pending_uses(&self, ids: impl IntoIterator<Item = TokenId>) -> PendingUses {
        let log = self.lock();
        let uses = ids.into_iter().filter_map(|id| log.latest(id)).collect();
        PendingUses { uses, forgotten: log.forgotten }
    }

    /// Shows in records what was noted before and what is noted now. `false` where uses were written and forgotten in
    /// between: of tokens whose uses were not looked for before, a record may show neither.
    pub(crate) fn show_in(&self, before: &PendingUses, records: &mut [TokenRecord]) -> bool {
        let log = self.lock();
        for record in records {
            let id = record.id;
            let before = before.uses.iter().filter(|it| it.id == id);
            for latest in before.cloned().chain(log.latest(id)) {
                let _ = latest.apply(record);
            }
        }
        before.forgotten == log.forgotten
    }

    /// The latest use of a token that is noted and not yet written.
    #[inline]
    pub(crate) fn pending(&self, record: &SharedRecord) -> Option<Timestamp> {
        record.pending_use().latest().or_else(|| self.lock().latest(record.id).map(|it| it.at))
    }

    /// By how much the last use that is stored may be earlier than the last one that was, for a token that must not be
    /// idle for longer than a period. Half of a short one: else no use would be due before it is over.
    pub(crate) fn slack(&self, period: Duration) -> Duration {
        self.interval.max(period / 100).min(period / 2)
    }

    /// Lets what could not be written wait for another interval.
    pub(crate) fn postpone(&self, now: Timestamp) {
        self.lock().oldest = Some(now);
    }

    /// Tells whether uses wait for longer than the interval and nobody is there to write them.
    pub(crate) fn is_abandoned(&self, now: Timestamp) -> bool {
        let waited = self.lock().oldest.map(|oldest| now.since(oldest));
        self.drivers.load(Relaxed) == 0 && waited.is_some_and(|waited| waited > self.interval)
    }

    /// `true` for the first caller.
    pub(crate) fn warns_now(&self) -> bool {
        !self.warned.swap(true, Relaxed)
    }

    /// How many uses were let go since this was last asked.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }

    /// How many tokens have uses that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that is noted, with the abilities that were used. Dropped or failed, it loses nothing: what is not
    /// known to be written stays in `writing`, and writing it twice changes nothing.
    pub(crate) async fn write(
        &self,
        store: &dyn TokenStore,
        abilities: Option<&AbilityLog>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.lock().begin();
        loop {
            let mut uses = self.lock().batch();
            if let Some(abilities) = abilities {
                abilities.join(&mut uses, BATCH);
            }
            if uses.is_empty() {
                break;
            }
            store.record_uses(&uses).await?;
            self.lock().written(&uses);
            if let Some(abilities) = abilities {
                abilities.written(&uses);
            }
        }
        let mut log = self.lock();
        // What was noted meanwhile waits since about now.
        log.oldest = (log.len() > 0).then_some(now);
        Ok(())
    }
}

impl Log {
    /// How many tokens have uses here; one can have a use that is being written and a later one.
    fn len(&self) -> usize {
        let waits = |id: &TokenId| self.waiting.contains_key(id) || self.draining.contains_key(id);
        let writing = self.writing.keys().filter(|id| !waits(id)).count();
        self.waiting.len() + self.draining.len() + writing
    }

    /// Where a token waits: in one of the two, never in both.
    fn entry(&mut self, id: TokenId) -> Option<&mut Waiting> {
        self.draining.get_mut(&id).or_else(|| self.waiting.get_mut(&id))
    }

    /// The latest use of a token that is noted and not yet written.
    fn latest(&self, id: TokenId) -> Option<Use> {
        let pending = [&self.waiting, &self.draining].into_iter().filter_map(|log| {
            let Waiting { record, from } = log.get(&id)?;
            Some(Use { from: *from, ..Use::new(id, record.pending_use().latest()?) })
        });
        pending.chain(self.writing.get(&id).cloned()).max_by_key(|it| it.at)
    }

    /// Takes what waits. That is a swap, so that nobody who notes a use waits for it, unless a flush failed before.
    fn begin(&mut self) {
        if self.draining.is_empty() {
            std::mem::swap(&mut self.waiting, &mut self.draining);
        } else {
            self.draining.extend(self.waiting.drain());
        }
    }

    /// The next uses to write, together with those that are not known to be written.
    fn batch(&mut self) -> Vec<Use> {
        while self.writing.len() < BATCH && !self.draining.is_empty() {
            let room = BATCH - self.writing.len();
            for (id, waiting) in self.draining.extract_if(|_, _| true).take(room) {
                self.weight -= waiting.record.weight();
                take_use(&mut self.writing, id, &waiting);
            }
        }
        debug_assert!(self.writing.len() <= BATCH, "a batch is bounded");
        self.writing.values().cloned().collect()
    }

    fn written(&mut self, batch: &[Use]) {
        for written in batch {
            if self.writing.get(&written.id).is_some_and(|it| it.at <= written.at) {
                self.writing.remove(&written.id);
            }
        }
        self.forgotten += 1;
    }
}

/// Moves what is noted in a record to what is being written. Where the clock was put back, that can be the later use.
fn take_use(writing: &mut HashMap<TokenId, Use, RandomState>, id: TokenId, pending: &Waiting) {
    if let Some(at) = pending.record.pending_use().take() {
        let latest = writing.entry(id).or_insert(Use::new(id, at));
        if latest.at <= at {
            (latest.at, latest.from) = (at, pending.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Abilities, Owner, Prefix, TokenDigest, TokenName};

    fn record(number: u128, abilities: usize) -> SharedRecord {
        let mut record = TokenRecord::new(
            TokenId::from_u128(number),
            Prefix::new("acme").unwrap(),
            Owner::new("user:42").unwrap(),
            TokenName::new("ci").unwrap(),
            TokenDigest::from_bytes([0; 32], None),
            Timestamp::MAX,
        );
        record.abilities = Abilities::set((0..abilities).map(|it| format!("a{it:0>99}"))).unwrap();
        record.into()
    }

    #[test]
    fn a_record_that_takes_more_than_before_waits_only_where_there_is_room() {
        let log = UsageLog::new(Duration::from_secs(60), 1_000, false);
        let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
        for number in 0..1_000 {
            log.note(&record(number, 1), at(1), None);
        }
        for number in 0..1_000 {
            log.note(&record(number, 100), at(2), None);
            assert!(log.lock().weight <= room_for(1_000));
        }
        let latest = log.pending_uses((0..1_000).map(TokenId::from_u128)).uses;
        assert_eq!(latest.len(), 1_000);
        assert!(latest.iter().all(|it| it.at == at(2)), "no use is lost for it");
    }
}
