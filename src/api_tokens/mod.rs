//! The one handle that an application holds, and how it is built.

mod builder;
mod cache;
pub(crate) mod entropy;
mod last_used;
pub(crate) mod policy;

pub use builder::ApiTokensBuilder;
pub use cache::Cache;
pub use last_used::LastUsed;
pub use policy::Policy;

use std::{
    fmt,
    hash::BuildHasher,
    io,
    num::NonZeroU32,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use foldhash::quality::RandomState;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::entropy::Entropy;

use crate::{
    background::{
        closing::Closing,
        rekey::Rekeying,
        usage::{AbilityLog, UsageLog},
    },
    cluster::signal::{Signal, Unpublished},
    event::{Event, Observers},
    store::{self, CachedStore, KeyCount, StoreError, TimedStore, TokenStore, contract::Peek},
    time::{Clock, Timeline},
    token::{
        Digests, KeyId, Owner, Pepper, PlainToken, Prefix, Timestamp, TokenDigest, TokenFormat,
        TokenId,
    },
    verify::{batch::Batcher, negative_cache::NegativeCache, owner_gate::Gatekeeper},
};

/// How often something is tried while others change the token at the same time.
pub(crate) const ATTEMPTS: usize = 5;

/// An application's API tokens. Make one at start-up and clone it freely: clones share everything.
///
/// ```
/// # futures_executor::block_on(async {
/// use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
///
/// let owner = Owner::new("user:42").unwrap();
/// let issued = tokens.issue(NewToken::new(owner.clone(), "ci-deploy")).await.unwrap();
/// assert!(tokens.verify(issued.plain.expose_secret()).await.is_ok());
///
/// tokens.owned_by(&owner).revoke(issued.record.id).await.unwrap();
/// assert!(tokens.verify(issued.plain.expose_secret()).await.is_err());
/// # });
/// ```
#[derive(Clone)]
pub struct ApiTokens(Arc<Shared>);

pub(crate) struct Shared {
    store: TimedStore,
    /// What lies in `store` and remembers what it reads.
    cache: Option<Arc<CachedStore>>,
    batcher: Batcher,
    negative_cache: NegativeCache,
    signal: Option<Arc<dyn Signal>>,
    unpublished: Arc<Unpublished>,
    closing: Closing,
    format: TokenFormat,
    digests: Digests,
    clock: Arc<dyn Clock>,
    timeline: Timeline,
    entropy: Arc<dyn Entropy>,
    observers: Observers,
    /// Of how many verifications one is reported.
    verified: Option<(NonZeroU32, AtomicU64)>,
    policy: Policy,
    gatekeeper: Option<Gatekeeper>,
    deadline: std::time::Duration,
    usage: UsageLog,
    abilities: Option<Arc<AbilityLog>>,
    rekeying: Rekeying,
    /// Milliseconds and counter of the latest id, so that ids made here never go backwards.
    latest_id: AtomicU64,
    /// A hash of the latest secret, and with what it is made.
    latest_secret: (AtomicU64, RandomState),
}

impl ApiTokens {
    /// Begins to build a handle on a store.
    pub fn builder(store: impl TokenStore + 'static) -> ApiTokensBuilder {
        Self::builder_on(Arc::new(store))
    }

    /// Begins to build a handle on a store that others hold as well.
    pub fn builder_on(store: Arc<dyn TokenStore>) -> ApiTokensBuilder {
        ApiTokensBuilder::new(store)
    }

    /// A self-test for start-up: the generator works, the store answers, every pepper key is the one that it was when
    /// it was first used with this store, and the current digest of every token that is not revoked can be read: its
    /// key is there, or where it has none, that is [accepted](Pepper::accept_unpeppered). Otherwise users would be
    /// refused.
    ///
    /// The first key of a name that is checked is the right one from then on, so check before the first token is
    /// issued. Where a wrong one was first, the store has to forget it: in a database, its row in `keyfob_canaries`.
    ///
    /// # Errors
    /// [`CheckError`] says what is not so.
    pub async fn check(&self) -> Result<(), CheckError> {
        let (mut id, mut secrets) = ([0; 10], Zeroizing::new([[0; 32]; 2]));
        let [first, second] = &mut *secrets;
        for secret in [&mut *first, &mut *second] {
            self.random_id_and_secret(&mut id, secret).map_err(CheckError::Entropy)?;
        }
        if first == second {
            return Err(CheckError::Entropy(repeated()));
        }
        let _ = self.report_error(self.store().find(&[TokenId::from_u128(0)]).await)?;
        let pepper = self.digests().pepper();
        for KeyCount { key, current: tokens, .. } in
            self.report_error(self.store().count_by_key().await)?
        {
            let is_known = match &key {
                Some(key) => pepper.is_some_and(|pepper| pepper.key(key).is_some()),
                None => pepper.is_none_or(Pepper::accepts_unpeppered),
            };
            match key {
                _ if is_known || tokens == 0 => {}
                Some(key) => return Err(CheckError::MissingPepperKey { key, tokens }),
                None => return Err(CheckError::Unpeppered { tokens }),
            }
        }
        // Last, so that a key with which nothing can begin is not kept as the right one.
        for key in pepper.into_iter().flat_map(Pepper::all_keys) {
            let fingerprint = key.fingerprint();
            let kept = self.store().key_fingerprint(key.id(), &fingerprint).await;
            if !bool::from(self.report_error(kept)?.ct_eq(&fingerprint)) {
                return Err(CheckError::WrongPepperKey(key.id().clone()));
            }
        }
        Ok(())
    }

    /// How the tokens of this application look.
    #[must_use]
    pub fn format(&self) -> &TokenFormat {
        &self.0.format
    }

    /// The store, each of whose steps ends within the deadline.
    pub(crate) fn store(&self) -> &dyn TokenStore {
        &self.0.store
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn shared_store(&self) -> TimedStore {
        self.0.store.clone()
    }

    /// Waits no longer than the deadline for a step in a transaction of the application's own. It is not tried again.
    pub(crate) async fn in_time_of_step<T>(
        &self,
        step: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + self.deadline();
        self.report_error(store::in_time(until, async { Ok(step.await) }).await)
    }

    #[inline]
    pub(crate) fn peek(&self, id: TokenId) -> Peek {
        self.0.store.peek(id)
    }

    /// How verification asks the store for tokens.
    pub(crate) fn batcher(&self) -> &Batcher {
        &self.0.batcher
    }

    /// What the store has refused a moment ago.
    pub(crate) fn negative_cache(&self) -> &NegativeCache {
        &self.0.negative_cache
    }

    pub(crate) fn cache(&self) -> Option<&CachedStore> {
        self.0.cache.as_deref()
    }

    pub(crate) fn signal(&self) -> Option<&Arc<dyn Signal>> {
        self.0.signal.as_ref()
    }

    pub(crate) fn closing(&self) -> &Closing {
        &self.0.closing
    }

    pub(crate) fn unpublished(&self) -> &Arc<Unpublished> {
        &self.0.unpublished
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn digests(&self) -> &Digests {
        &self.0.digests
    }

    pub(crate) fn gatekeeper(&self) -> Option<&Gatekeeper> {
        self.0.gatekeeper.as_ref()
    }

    /// Forgets what the [gate](crate::OwnerGate) answered of an owner: the next verification on this node asks it. Call
    /// this when the application disables an owner, or enables one again.
    pub fn owner_changed(&self, owner: &Owner) {
        if let Some(gatekeeper) = self.gatekeeper() {
            gatekeeper.forget(owner);
        }
    }

    pub(crate) fn suspends_on_retired_secret(&self) -> bool {
        self.policy().suspends_on_retired_secret
    }

    pub(crate) fn rekeying(&self) -> &Rekeying {
        &self.0.rekeying
    }

    pub(crate) fn ability_log(&self) -> Option<&Arc<AbilityLog>> {
        self.0.abilities.as_ref()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn deadline(&self) -> std::time::Duration {
        self.0.deadline
    }

    pub(crate) fn usage(&self) -> &UsageLog {
        &self.0.usage
    }

    /// Now, in whole seconds. Where the wall clock was put back, it is what has elapsed since before, so that an expiry
    /// is not put off. A wall clock that was put forward is believed after an hour; until then it can be put back
    /// again.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Timestamp {
        self.0.timeline.now(self.clock())
    }

    /// Now, as fine as the clock tells it.
    pub(crate) fn wall_clock(&self) -> SystemTime {
        self.0.clock.now()
    }

    /// Tells observers what happened, if there are any.
    pub(crate) fn report(&self, event: impl FnOnce() -> Event) {
        self.0.observers.tell(event);
    }

    /// Tells whether this verification is one of those that are reported, and of how many.
    #[inline]
    pub(crate) fn samples_this(&self) -> Option<u32> {
        let (of, count) = self.0.verified.as_ref()?;
        ((count.fetch_add(1, Relaxed) + 1) % u64::from(of.get()) == 0).then_some(of.get())
    }

    pub(crate) async fn observers_are_drained(&self) {
        for queue in &self.0.observers.queued {
            queue.drained().await;
        }
    }

    /// Others were faster, [`ATTEMPTS`] times.
    pub(crate) fn contention_error(&self) -> StoreError {
        let error = StoreError::Busy("others keep changing the token".into());
        self.report(|| Event::StoreFailed { error: (&error).into() });
        error
    }

    /// Reports what a store failed at, and passes it on.
    pub(crate) fn report_error<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        answer.inspect_err(|error| match error {
            StoreError::Corrupt(record) => {
                self.report(|| Event::Corrupt { record: record.clone() });
            }
            error => self.report(|| Event::StoreFailed { error: error.into() }),
        })
    }

    /// A token in plain text, and what is kept of its secret. It finds out a generator that repeats itself: no two
    /// secrets in a row are the same.
    pub(crate) fn write_token(
        &self,
        prefix: &Prefix,
        id: TokenId,
        secret: &[u8; 32],
    ) -> io::Result<(PlainToken, TokenDigest)> {
        let (latest, hashes) = &self.0.latest_secret;
        let hash = hashes.hash_one(secret);
        if latest.swap(hash, Relaxed) == hash {
            return Err(repeated());
        }
        Ok(self.format().write(prefix, id, secret, self.digests()))
    }

    /// Fresh random bytes for an id and a secret, in one call to the generator.
    pub(crate) fn random_id_and_secret(
        &self,
        id: &mut [u8; 10],
        secret: &mut [u8; 32],
    ) -> io::Result<()> {
        let mut bytes = Zeroizing::new([0; 42]);
        self.0.entropy.fill(bytes.as_mut_slice())?;
        id.copy_from_slice(&bytes[..10]);
        secret.copy_from_slice(&bytes[10..]);
        if secret.iter().all(|byte| *byte == secret[0]) {
            return Err(io::Error::other("all bytes are the same"));
        }
        Ok(())
    }

    /// A new id, later than every id made here before.
    pub(crate) fn next_id(&self, random: [u8; 10]) -> TokenId {
        let since_1970 = self.wall_clock().duration_since(std::time::UNIX_EPOCH);
        // 48 bits of milliseconds last until the year 10889; a clock before 1970 counts as 1970.
        let milliseconds = since_1970
            .map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
            & 0xFFFF_FFFF_FFFF;
        let step = |latest: u64| (milliseconds << 12).max(latest + 1);
        let latest = self.0.latest_id.fetch_update(Relaxed, Relaxed, |it| Some(step(it)));
        let next = step(latest.unwrap_or_default());
        TokenId::at(next >> 12, (next & 0xFFF) as u16, random)
    }

    pub(crate) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn upgrade(shared: &Weak<Shared>) -> Option<Self> {
        shared.upgrade().map(Self)
    }
}

impl fmt::Debug for ApiTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiTokens")
            .field("store", &self.0.store)
            .field("format", &self.0.format)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

fn repeated() -> io::Error {
    io::Error::other("the same bytes came twice in a row")
}

/// What [`ApiTokens::check`] found not to work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There are no random bytes.
    #[error("the random generator failed")]
    Entropy(#[source] io::Error),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pepper key of this name was used with this store before, and it was another one: every token under it would
    /// be refused.
    #[error("the pepper key {0} is not the one that it was")]
    WrongPepperKey(KeyId),
    /// Tokens that are not revoked have digests of a pepper key that is not configured.
    #[error("{tokens} tokens have digests of the pepper key {key}, which is not configured")]
    MissingPepperKey {
        /// The name of the key.
        key: KeyId,
        /// How many.
        tokens: u64,
    },
    /// Tokens that are not revoked have digests without a key, and those are not accepted: let them in with
    /// [`Pepper::accept_unpeppered`], or revoke these tokens.
    #[error("{tokens} tokens have digests without a pepper key, which are not accepted")]
    Unpeppered {
        /// How many.
        tokens: u64,
    },
}
