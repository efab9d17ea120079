use std::{
    fmt, io,
    num::NonZeroU32,
    sync::{Arc, atomic::AtomicU64},
};

use foldhash::quality::RandomState;

use time::Duration;

use crate::{
    background::{closing::Closing, rekey::Rekeying, usage::AbilityLog},
    cluster::signal::Signal,
    event::{Observer, Observers, Queue},
    store::{TimedStore, TokenStore},
    time::{Clock, SystemClock, Timeline},
    token::{
        Checksums, DeclaredAbility, Digests, InvalidValue, Pepper, Prefix, Rule, Timestamp,
        TokenFormat,
    },
    verify::{
        batch::Batcher,
        negative_cache::NegativeCache,
        owner_gate::{Gatekeeper, OwnerGate},
    },
};

use super::{
    ApiTokens, Cache, LastUsed, Policy, Shared,
    cache::check_staleness,
    entropy::{Entropy, SystemEntropy},
};

/// Sets up [`ApiTokens`]. Only the prefix has to be given.
///
/// ```
/// use keyfob::{ApiTokens, Cache, Policy, store::MemoryStore};
/// use time::Duration;
///
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .policy(Policy::new().max_lifetime(Duration::days(365)).limit_per_owner(50))
///     .cache(Cache::for_up_to(Duration::seconds(5)))
///     .build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[must_use]
pub struct ApiTokensBuilder {
    store: Arc<dyn TokenStore>,
    cache: Cache,
    signal: Option<Arc<dyn Signal>>,
    prefix: Option<String>,
    accepted: Vec<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pepper: Option<Pepper>,
    inline: Vec<Box<dyn Observer>>,
    observers: Vec<Box<dyn Observer>>,
    verified: Option<NonZeroU32>,
    declared: Option<&'static [DeclaredAbility]>,
    policy: Policy,
    owner_gate: Option<Arc<dyn OwnerGate>>,
    deadline: Duration,
    last_used: LastUsed,
}

impl ApiTokensBuilder {
    pub(super) fn new(store: Arc<dyn TokenStore>) -> Self {
        Self {
            store,
            cache: Cache::for_up_to(Duration::ZERO),
            signal: None,
            prefix: None,
            accepted: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            pepper: None,
            inline: Vec::new(),
            observers: Vec::new(),
            verified: None,
            declared: None,
            policy: Policy::new(),
            owner_gate: None,
            deadline: Duration::seconds(2),
            last_used: LastUsed::default(),
        }
    }

    /// Sets the prefix of every token, such as `acme`: 2 to 32 characters of `[a-z0-9_]`. Required.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Accepts tokens of one more prefix, such as the one from before a rename. A token keeps the prefix that it was issued
    /// under, also if it is rotated. Can be called several times.
    pub fn accept_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.accepted.push(prefix.into());
        self
    }

    /// Sets the cache of this node. Default: no cache. Each verification asks the store, unless the store has its tokens in
    /// memory.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// Connects the nodes, so that each learns at once of a token that was changed on another:
    /// `PostgresSignal` (feature `postgres`), `RedisSignal` (feature `redis`), or a [`Signal`] of your own. Default: none.
    ///
    /// [`ApiTokens::background`] listens. Each change publishes; if that fails, it is
    /// [reported](crate::Event::SignalNotSent) and the change stands. A handle without a cache publishes as well, so set the
    /// signal in tools for operators too.
    pub fn signal(mut self, signal: impl Signal) -> Self {
        self.signal = Some(Arc::new(signal));
        self
    }

    /// Sets the abilities of the application, as [`abilities!`](crate::abilities) declares them: then no token is issued with
    /// another ability. Default: any ability.
    pub fn declare(mut self, abilities: &'static [DeclaredAbility]) -> Self {
        self.declared = Some(abilities);
        self
    }

    /// Sets the limits and defaults for what users ask for. Default: [`Policy::new`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how the last use of each token is written. Default: once a minute.
    pub fn last_used(mut self, last_used: LastUsed) -> Self {
        self.last_used = last_used;
        self
    }

    /// Sets for how long a verification, or another step of the store, waits for the store: at least a millisecond and at most
    /// an hour. Default: 2 seconds.
    ///
    /// A step that finds the store [busy](crate::store::StoreError::Busy) is tried again within this time. A write that
    /// times out may still take effect.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds an observer. It runs on its own thread and can neither delay nor fail a request.
    ///
    /// Up to 4,096 events, of at most 16 MiB together, wait for it. If it is slower than that, events are dropped, and
    /// [`Event::EventsDropped`](crate::Event::EventsDropped) tells it how many.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Adds an observer that runs on the thread of the request. It must not wait. It is for observers that count, or that need
    /// the span of the request.
    pub fn inline_observer(mut self, observer: impl Observer) -> Self {
        self.inline.push(Box::new(observer));
        self
    }

    /// Reports every n-th successful verification as [`Event::Verified`](crate::Event::Verified). Default: none.
    pub fn report_verified(mut self, every: NonZeroU32) -> Self {
        self.verified = Some(every);
        self
    }

    /// Mixes a secret that is not in the database into every digest. Default: none.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.pepper = Some(pepper);
        self
    }

    /// Sets the gate that decides on each verification if the owner may use tokens. Default: none.
    pub fn owner_gate(mut self, gate: impl OwnerGate) -> Self {
        self.owner_gate = Some(Arc::new(gate));
        self
    }

    /// Sets the clock. Default: that of the operating system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the source of secrets, for tests of its failure. Default: that of the operating system.
    #[cfg(feature = "test-util")]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Checks the settings and makes the handle. It does no I/O.
    ///
    /// # Errors
    /// [`InvalidValue`] names the setting that is not valid.
    pub fn build(self) -> Result<ApiTokens, InvalidValue> {
        let format = self.format()?;
        let deadline = self.step_deadline()?;
        let policy = self.policy.checked(self.declared, Timestamp::clamped(self.clock.now()))?;
        let cache = self.cache.around(&self.store, &self.clock)?;
        let store = cache.clone().map_or(self.store, |cache| cache as Arc<dyn TokenStore>);
        let gatekeeper = self.owner_gate.map(|gate| {
            let staleness = gate.max_staleness();
            check_staleness(staleness, "owner_gate")?;
            Ok(Gatekeeper::new(gate, staleness.unsigned_abs()))
        });
        let gatekeeper = gatekeeper.transpose()?;
        let is_heard = !(self.observers.is_empty() && self.inline.is_empty());
        let usage = self.last_used.log(is_heard)?;
        // Last: a setting that is not valid starts no thread.
        let queued = self.observers.into_iter().map(Queue::start);
        let queued = queued.collect::<io::Result<Vec<_>>>().map_err(|error| no_thread(&error))?;
        Ok(ApiTokens(Arc::new(Shared {
            store: TimedStore::new(store.clone(), deadline),
            cache,
            batcher: Batcher::new(store, self.clock.clone(), deadline),
            negative_cache: NegativeCache::new(self.cache.staleness.unsigned_abs()),
            signal: self.signal,
            unpublished: Arc::default(),
            closing: Closing::default(),
            digests: Digests::new(self.pepper),
            timeline: Timeline::new(&*self.clock),
            clock: self.clock,
            entropy: self.entropy,
            observers: Observers { inline: self.inline, queued },
            verified: self.verified.map(|one_of| (one_of, AtomicU64::new(0))),
            policy,
            gatekeeper,
            deadline,
            usage,
            abilities: self
                .last_used
                .tracks_abilities
                .then(|| AbilityLog::new(format.clone()).into()),
            rekeying: Rekeying::default(),
            latest_id: AtomicU64::new(0),
            latest_secret: (AtomicU64::new(0), RandomState::default()),
            format,
        })))
    }

    fn format(&self) -> Result<TokenFormat, InvalidValue> {
        if let Some(pepper) = &self.pepper {
            pepper.check()?;
        }
        let prefix = self.prefix.as_deref().ok_or(Rule::Missing.broken_by("prefix"))?;
        let mut format = TokenFormat::new(Prefix::new(prefix)?);
        for prefix in &self.accepted {
            format = format.accept(Prefix::new(prefix)?)?;
        }
        Ok(format.with_checksums(Checksums::new(self.pepper.as_ref())))
    }

    fn step_deadline(&self) -> Result<std::time::Duration, InvalidValue> {
        let rule = Rule::other("must be at least one millisecond and at most one hour");
        let fits = (Duration::MILLISECOND..=Duration::HOUR).contains(&self.deadline);
        fits.then(|| self.deadline.unsigned_abs()).ok_or(rule.broken_by("deadline"))
    }
}

fn no_thread(error: &io::Error) -> InvalidValue {
    Rule::from(format!("must have a thread of its own: {}", error.kind())).broken_by("observer")
}

impl fmt::Debug for ApiTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiTokensBuilder")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
