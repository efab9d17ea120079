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
    cache::is_staleness,
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

    /// The application's own beginning of every token: 2 to 32 of `[a-z0-9_]`, such as `acme`. Without one, there is
    /// no handle.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// One more prefix whose tokens are accepted, such as the one from before a rename. A token keeps the prefix that
    /// it was issued under, also when it is rotated.
    pub fn accept_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.accepted.push(prefix.into());
        self
    }

    /// Gives the node a cache of the tokens that it has read. Default: none, so each verification asks the store, unless
    /// the store has its tokens in memory.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// Connects the nodes, so that each learns at once of a token that was changed on another. Listening is part of
    /// [`ApiTokens::background`], publishing is part of every change. If publishing fails, that is
    /// [reported](crate::Event::SignalNotSent) and the change stands.
    ///
    /// A handle without a cache publishes all the same, as the handle of a tool for operators should.
    pub fn signal(mut self, signal: impl Signal) -> Self {
        self.signal = Some(Arc::new(signal));
        self
    }

    /// Names the abilities that there are, as [`abilities!`](crate::abilities) declares them: then no token is issued
    /// with another one. Default: any ability.
    pub fn declare(mut self, abilities: &'static [DeclaredAbility]) -> Self {
        self.declared = Some(abilities);
        self
    }

    /// Sets what users may ask for. Default: [`Policy::new`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how the last use of each token is written. Default: once a minute.
    pub fn last_used(mut self, last_used: LastUsed) -> Self {
        self.last_used = last_used;
        self
    }

    /// How long a verification waits for the store before it is an error, and for how long each other step of the store
    /// is waited for: at least a millisecond and at most an hour. Two seconds unless set here.
    ///
    /// A step that finds the store [busy](crate::store::StoreError::Busy) is tried again within this time. A write that
    /// was waited for in vain may happen all the same.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Who is told what happens, on a thread of its own: whatever it does, it holds up and fails no request. Where it
    /// is slower than things happen, 4,096 events wait, of at most 16 MiB together, and
    /// [it is told](crate::Event::EventsDropped) how many were let go. Said again, one more is told.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Who is told what happens, at once, on the thread where it happens. It must be quick and wait for nothing: for
    /// observers that count, or that need the span of the request.
    pub fn inline_observer(mut self, observer: impl Observer) -> Self {
        self.inline.push(Box::new(observer));
        self
    }

    /// Reports one of so many verifications that succeed as [`Event::Verified`](crate::Event::Verified); with 1, each.
    /// None is unless set here.
    pub fn report_verified(mut self, one_of: NonZeroU32) -> Self {
        self.verified = Some(one_of);
        self
    }

    /// Mixes a secret that is not in the database into every digest.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.pepper = Some(pepper);
        self
    }

    /// Adds the gate that is asked on each verification if the owner may use tokens at all. Default: none.
    pub fn owner_gate(mut self, gate: impl OwnerGate) -> Self {
        self.owner_gate = Some(Arc::new(gate));
        self
    }

    /// Another clock than the operating system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of secrets than the operating system: for tests of what happens when it fails.
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
            is_staleness(staleness, "owner_gate")?;
            Ok(Gatekeeper::new(gate, staleness.unsigned_abs()))
        });
        let queued = self.observers.into_iter().map(Queue::start);
        let queued = queued.collect::<io::Result<Vec<_>>>().map_err(|error| no_thread(&error))?;
        let is_heard = !(queued.is_empty() && self.inline.is_empty());
        let tracks_abilities = self.last_used.tracks_abilities;
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
            gatekeeper: gatekeeper.transpose()?,
            deadline,
            usage: self.last_used.log(is_heard)?,
            abilities: tracks_abilities.then(|| AbilityLog::new(format.clone()).into()),
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
