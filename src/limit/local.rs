use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use foldhash::fast::RandomState;

use crate::token::RateLimit;

use super::{
    Charge, Counts, LimitError, Payer, Quota, Receipt,
    gcra::{self, Charged, SECOND},
    nanoseconds,
};

/// A full shard is looked through for each newcomer, so it holds few; but enough to have a choice.
const SHARD: usize = 512;
const MOST_SHARDS: usize = 4_096;

/// Requests read the clock before they get here, and overtake each other: by so many nanoseconds one can come late,
/// and no clock was put back.
const LATE: u64 = SECOND;

/// Limits that share a name and differ must not touch each other's buckets.
type Key = (Payer, &'static str, RateLimit);

/// The buckets of this process.
pub(super) struct Local {
    shards: Box<[Mutex<Shard>]>,
    /// Another one than those of the shards, where all keys would begin alike.
    hasher: RandomState,
    most: usize,
}

#[derive(Default)]
struct Shard {
    /// When each bucket is full again.
    buckets: HashMap<Key, u64, RandomState>,
    now: u64,
    swept: u64,
}

impl Local {
    pub(super) fn new(buckets: usize) -> Self {
        let shards = 1 << (buckets / SHARD).clamp(1, MOST_SHARDS).ilog2();
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            most: (buckets / shards).max(1),
        }
    }

    pub(super) fn charge(
        self: &Arc<Self>,
        payer: Payer,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Receipt, LimitError> {
        let (key, mut shard) = self.bucket(payer, charge);
        let charged = shard.charge(key, charge, nanoseconds(now), self.most);
        charged.outcome(charge, Counts::Local(self.clone()))
    }

    /// Gives back what was charged before.
    pub(super) fn refund(
        &self,
        payer: Payer,
        charge: &Charge,
        amount: u64,
        now: SystemTime,
    ) -> Quota {
        let (key, mut shard) = self.bucket(payer, charge);
        shard.refund(key, amount, nanoseconds(now)).quota(charge)
    }

    fn bucket(&self, payer: Payer, charge: &Charge) -> (Key, MutexGuard<'_, Shard>) {
        let key = (payer, charge.name(), charge.limit());
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
        let shard = self.hasher.hash_one(key) as usize & (self.shards.len() - 1);
        (key, lock(&self.shards[shard]))
    }

    pub(super) fn buckets(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).buckets.len()).sum()
    }
}

/// A panic leaves no bucket half changed, so its poison is passed over.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn charge(&mut self, key: Key, charge: &Charge, now: u64, most: usize) -> Charged {
        let (now, limit) = (self.at(now), charge.limit());
        if now - self.swept >= u64::from(limit.seconds()) * SECOND {
            self.swept = now;
            self.drop_full(now);
            self.buckets.shrink_to(2 * self.buckets.len());
        }
        if let Some(tat) = self.buckets.get_mut(&key) {
            let charged = gcra::charge(*tat, now, limit, charge.requests());
            *tat = charged.tat;
            return charged;
        }
        if self.buckets.len() >= most {
            self.make_room(now);
        }
        let charged = gcra::charge(0, now, limit, charge.requests());
        self.buckets.insert(key, charged.tat);
        charged
    }

    fn refund(&mut self, key: Key, amount: u64, now: u64) -> Charged {
        let now = self.at(now);
        let tat = self.buckets.get(&key).copied().unwrap_or_default();
        let refunded = gcra::refund(tat, now, key.2, amount);
        self.buckets.entry(key).and_modify(|tat| *tat = refunded.tat);
        refunded
    }

    /// The instant of a charge. One that comes late counts as now: it would take the state of a bucket that is used up
    /// for one from before the clock was put back, and hand out the difference.
    fn at(&mut self, now: u64) -> u64 {
        if now > self.now || self.now - now > LATE {
            self.now = now;
            self.swept = self.swept.min(now);
        }
        self.now
    }

    /// A full bucket is as good as none.
    fn drop_full(&mut self, now: u64) {
        self.buckets.retain(|_, tat| *tat > now);
    }

    /// Drops what is full, or else what is nearest to it.
    fn make_room(&mut self, now: u64) {
        match self.buckets.iter().min_by_key(|(_, tat)| **tat).map(|(key, tat)| (*key, *tat)) {
            Some((key, tat)) if tat > now => drop(self.buckets.remove(&key)),
            _ => self.drop_full(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::token::TokenId;

    use super::*;

    #[test]
    fn a_sweep_gives_memory_back() {
        let limit = RateLimit::new(60, time::Duration::MINUTE).unwrap();
        let (charge, mut shard) = (Charge::new("a", limit).unwrap(), Shard::default());
        for number in 0..1_000 {
            shard.charge(
                (TokenId::from_u128(number).into(), "a", charge.limit()),
                &charge,
                60 * SECOND,
                1_000,
            );
        }
        assert!(shard.buckets.capacity() >= 1_000);
        let token = TokenId::from_u128(0).into();
        shard.charge((token, "a", charge.limit()), &charge, 120 * SECOND - 1, 1_000);
        assert_eq!(shard.buckets.len(), 1_000, "a period has not passed");
        shard.charge((token, "a", charge.limit()), &charge, 120 * SECOND, 1_000);
        assert_eq!(shard.buckets.len(), 1);
        assert!(shard.buckets.capacity() < 10);
    }

    #[test]
    fn no_shard_holds_many_and_together_they_hold_no_more_than_was_said() {
        for capacity in [0, 1, 511, 512, 1_023, 1_024, 100_000, 1_000_000, 10_000_000, usize::MAX] {
            let local = Local::new(capacity);
            let shards = local.shards.len();
            assert!(shards.is_power_of_two() && shards <= MOST_SHARDS, "{capacity}");
            assert!((1..=capacity.max(1)).contains(&(shards * local.most)), "{capacity}");
            assert!(local.most < 2 * SHARD || shards >= MOST_SHARDS / 2, "{capacity}");
        }
    }
}
