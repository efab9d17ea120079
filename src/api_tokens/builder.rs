use std::{
    fmt, io,
    num::NonZeroU32,
    sync::{Arc, atomic::AtomicU64},
};

use foldhash::quality::RandomState;

use time::Duration;

use crate::{
    background::{
        closing::Closing,
        rekey::Rekeying,
        usage::{AbilityLog, UsageLog},
    },
    cluster::signal::Signal,
    event::{Observer, Observers, Queue},
    store::{CACHE_CAPACITY, CachedStore, LONGEST_STALENESS, TimedStore, TokenStore},
    time::{Clock, SystemClock, Timeline},
    token::{
        Abilities, Ability, AbilityError, Checksums, DeclaredAbility, Digests, NamePolicy, Pepper,
        Prefix, Timestamp, TokenFormat, is_ability,
    },
    verify::{
        batch::Batcher,
        negative_cache::NegativeCache,
        owner_gate::{Gatekeeper, OwnerGate},
    },
};

use super::{
    ApiTokens, BuildError, Shared,
    entropy::{Entropy, SystemEntropy},
    policy::{Policy, idle_seconds},
};

/// Sets up [`ApiTokens`]. Only the prefix has to be given.
///
/// ```
/// use keyfob::{Abilities, ApiTokens, store::MemoryStore, token::NamePolicy};
/// use time::Duration;
///
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .default_abilities(Abilities::set(["external-api"])?)
///     .max_lifetime(Duration::days(365))
///     .name_policy(NamePolicy::strict())
///     .unique_names(true)
///     .limit_per_owner(50)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ApiTokensBuilder {
    store: Arc<dyn TokenStore>,
    max_staleness: Duration,
    cache_capacity: usize,
    signal: Option<Arc<dyn Signal>>,
    prefix: Option<String>,
    accepted: Vec<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pepper: Option<Pepper>,
    inline: Vec<Box<dyn Observer>>,
    observers: Vec<Box<dyn Observer>>,
    verified: Option<NonZeroU32>,
    policy: Policy,
    delegation: Option<String>,
    owner_gate: Option<Arc<dyn OwnerGate>>,
    owner_gate_max_staleness: Duration,
    suspend_on_retired_secret: bool,
    track_abilities: bool,
    deadline: Duration,
    last_used_interval: Duration,
    last_used_capacity: usize,
}

impl ApiTokensBuilder {
    pub(super) fn new(store: Arc<dyn TokenStore>) -> Self {
        Self {
            store,
            max_staleness: Duration::ZERO,
            cache_capacity: CACHE_CAPACITY,
            signal: None,
            prefix: None,
            accepted: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            pepper: None,
            inline: Vec::new(),
            observers: Vec::new(),
            verified: None,
            policy: Policy::default(),
            delegation: None,
            owner_gate: None,
            owner_gate_max_staleness: Duration::ZERO,
            suspend_on_retired_secret: false,
            track_abilities: false,
            deadline: Duration::seconds(2),
            last_used_interval: Duration::MINUTE,
            last_used_capacity: 100_000,
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

    /// For how long verification may go by what was read of a token before, at most 60 seconds; 5 seconds are a good
    /// choice. Not at all unless set here: each verification asks the store, where that does not have its tokens in
    /// memory.
    ///
    /// * What is changed through this handle shows at once in what is verified by it, also where a change fails midway
    ///   and nobody knows what has become of it.
    /// * What is changed by others, on another node or past keyfob, shows after that time at the latest, and where a
    ///   [signal](Self::signal) connects the nodes, as a rule within milliseconds.
    /// * The time counts from before the store was asked, by what has elapsed, or by the wall clock where that has moved
    ///   further. After it the store is asked again; where that does not answer, verification fails.
    /// * Expiry and all else that depends on the time is judged on each verification.
    /// * Tokens that are known to be revoked stay so beyond that time.
    ///
    /// What the store has refused (an unknown id, a wrong secret, one that a rotation replaced) is refused again for as
    /// long without asking it, and a replaced secret is [reported](crate::Event::RetiredSecretUsed) once in that time.
    pub fn max_staleness(mut self, staleness: Duration) -> Self {
        self.max_staleness = staleness;
        self
    }

    /// Sets how many tokens are [remembered](Self::max_staleness) at most. Together they take at most as many KiB; a plain
    /// token takes a third of one. Default: 100,000, and so 100 MB.
    pub fn cache_capacity(mut self, tokens: usize) -> Self {
        self.cache_capacity = tokens;
        self
    }

    /// How nodes tell each other what was changed, so that it shows on all of them at once. Listening is part of
    /// [`ApiTokens::background`]; telling is part of every change, and where it fails, that is
    /// [reported](crate::Event::SignalNotSent) and the change stands.
    ///
    /// A handle that remembers nothing tells the others all the same, as that of a tool for operators should.
    pub fn signal(mut self, signal: impl Signal) -> Self {
        self.signal = Some(Arc::new(signal));
        self
    }

    /// The abilities that there are, as [`abilities!`](crate::abilities) declares them: then no token is issued with
    /// another one.
    pub fn declare(mut self, abilities: &'static [DeclaredAbility]) -> Self {
        self.policy.declared = Some(abilities);
        self
    }

    /// What a token may do that is issued without a word about it. Nothing, unless set here.
    pub fn default_abilities(mut self, abilities: Abilities) -> Self {
        self.policy.default_abilities = Some(abilities);
        self
    }

    /// How long a token lives that is issued without a word about it. For ever, or the maximum, unless set here.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.default_lifetime = Some(lifetime);
        self
    }

    /// How long a token may live at most, counted from when it was issued or last rotated. Then none is issued that
    /// never expires.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.max_lifetime = Some(lifetime);
        self
    }

    /// After how long without use a token is refused that is issued without a word about it, in whole seconds. Never,
    /// unless set here.
    ///
    /// Last-used is written late; so that no token is refused that was used in time, a use is written before its
    /// request is answered where the last one that is stored is older than the slack: the
    /// [interval](Self::last_used_interval), or a hundredth of the period, whichever is longer, and at most half of the
    /// period. On another node, or where the process dies, a token may be refused by that much before its period is
    /// over. While uses can't be written, another node, or this one after a restart, may take a token for idle that is
    /// in use.
    pub fn default_idle_period(mut self, period: Duration) -> Self {
        self.policy.default_idle_period = Some(period);
        self
    }

    /// Lets a token that holds this ability [issue others](ApiTokens::issue_on_behalf_of) that may do no more than
    /// itself. No token can unless set here.
    ///
    /// A token that may do everything can too; so can one that it has given the ability to.
    pub fn delegation(mut self, ability: impl Into<String>) -> Self {
        self.delegation = Some(ability.into());
        self
    }

    /// Sets how many tokens an owner may have. Tokens that are revoked or expired don't count; suspended ones do.
    /// Default: no limit.
    ///
    /// A later expiry counts as a new token does, because the token may have been expired for another issue. An owner
    /// who has more tokens than a limit that was lowered can extend none until some are revoked.
    pub fn limit_per_owner(mut self, tokens: u32) -> Self {
        self.policy.limit_per_owner = Some(tokens);
        self
    }

    /// Requires that the tokens of an owner have different names. The name of a token that is revoked or expired is free
    /// again; a token that was given a later expiry meanwhile needs a name that is free. Default: `false`.
    pub fn unique_names(mut self, unique: bool) -> Self {
        self.policy.unique_names = unique;
        self
    }

    /// Which names are allowed. Any [`TokenName`](crate::TokenName) unless set here.
    pub fn name_policy(mut self, policy: NamePolicy) -> Self {
        self.policy.names = policy;
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

    /// How late last-used may be written, and how much of it a crash may lose: at least one second. A minute unless set
    /// here.
    pub fn last_used_interval(mut self, interval: Duration) -> Self {
        self.last_used_interval = interval;
        self
    }

    /// Sets how many tokens may have uses that wait to be written. Each keeps its record in memory, and together these
    /// take at most as many KiB; a plain token takes a third of one. Uses of further tokens are let go and
    /// [reported](crate::Event::UsesDropped). Default: 100,000, and so 100 MB.
    pub fn last_used_capacity(mut self, tokens: usize) -> Self {
        self.last_used_capacity = tokens;
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

    /// Who is asked on each verification whether the owner may use tokens at all.
    pub fn owner_gate(mut self, gate: impl OwnerGate) -> Self {
        self.owner_gate = Some(Arc::new(gate));
        self
    }

    /// For how long an answer of the [gate](Self::owner_gate) is good, counted from when it was asked for: at most 60
    /// seconds. Not at all unless set here. [`ApiTokens::owner_changed`] forgets it on this node.
    pub fn owner_gate_max_staleness(mut self, staleness: Duration) -> Self {
        self.owner_gate_max_staleness = staleness;
        self
    }

    /// Whether a secret from before a rotation that is presented after its grace suspends the token. It is
    /// [reported](crate::Event::RetiredSecretUsed) in any case; where it does not suspend, once within
    /// [`max_staleness`](Self::max_staleness). It does not suspend unless set here: whoever finds an old secret could
    /// then stop the service that has the new one.
    pub fn suspend_on_retired_secret(mut self, suspend: bool) -> Self {
        self.suspend_on_retired_secret = suspend;
        self
    }

    /// Whether it is kept which abilities each token was seen to use, for
    /// [`TokenRecord::unused_abilities`](crate::TokenRecord::unused_abilities). It costs a lock for each ability that
    /// is asked for, and it is not kept unless set here.
    pub fn track_abilities(mut self, track: bool) -> Self {
        self.track_abilities = track;
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
    /// [`BuildError`] names the setting that is wrong.
    pub fn build(self) -> Result<ApiTokens, BuildError> {
        let format = self.format()?;
        self.check_periods()?;
        let cache = self.cache()?;
        let store = cache.clone().map_or(self.store, |cache| cache as Arc<dyn TokenStore>);
        let mut policy = self.policy;
        if let Some(abilities) = &policy.default_abilities {
            policy.known(abilities.clone())?;
        }
        let delegation = self.delegation.map(|it| required_ability(&it));
        policy.delegation = delegation.transpose().map_err(BuildError::Delegation)?;
        let queued = self.observers.into_iter().map(Queue::start);
        let queued = queued.collect::<io::Result<Vec<_>>>();
        let queued = queued.map_err(|error| BuildError::ObserverThread(error.kind()))?;
        let is_heard = !(queued.is_empty() && self.inline.is_empty());
        let staleness = self.owner_gate_max_staleness.unsigned_abs();
        let interval = self.last_used_interval.unsigned_abs();
        let deadline = self.deadline.unsigned_abs();
        Ok(ApiTokens(Arc::new(Shared {
            store: TimedStore::new(store.clone(), deadline),
            cache,
            batcher: Batcher::new(store, self.clock.clone(), deadline),
            negative_cache: NegativeCache::new(self.max_staleness.unsigned_abs()),
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
            gatekeeper: self.owner_gate.map(|gate| Gatekeeper::new(gate, staleness)),
            suspends_on_retired_secret: self.suspend_on_retired_secret,
            deadline,
            usage: UsageLog::new(interval, self.last_used_capacity, is_heard),
            abilities: self.track_abilities.then(|| AbilityLog::new(format.clone()).into()),
            rekeying: Rekeying::default(),
            latest_id: AtomicU64::new(0),
            latest_secret: (AtomicU64::new(0), RandomState::default()),
            format,
        })))
    }

    /// What is put around the store to remember what it reads.
    fn cache(&self) -> Result<Option<Arc<CachedStore>>, BuildError> {
        if !(Duration::ZERO..=LONGEST_STALENESS).contains(&self.max_staleness) {
            return Err(BuildError::MaxStaleness);
        }
        let staleness = self.max_staleness.unsigned_abs();
        Ok((!staleness.is_zero()).then(|| {
            let (store, clock) = (self.store.clone(), self.clock.clone());
            Arc::new(CachedStore::new(store, clock, staleness, self.cache_capacity))
        }))
    }

    fn format(&self) -> Result<TokenFormat, BuildError> {
        if let Some(pepper) = &self.pepper {
            pepper.check()?;
        }
        let prefix = self.prefix.as_deref().ok_or(BuildError::NoPrefix)?;
        let mut format = TokenFormat::new(Prefix::new(prefix)?);
        for prefix in &self.accepted {
            format = format.accept(Prefix::new(prefix)?)?;
        }
        Ok(format.with_checksums(Checksums::new(self.pepper.as_ref())))
    }

    fn check_periods(&self) -> Result<(), BuildError> {
        let Policy { default_lifetime, max_lifetime, default_idle_period, .. } = self.policy;
        for lifetime in [default_lifetime, max_lifetime].into_iter().flatten() {
            let end = Timestamp::clamped(self.clock.now()).checked_add(lifetime);
            if lifetime < Duration::SECOND || end.is_err() {
                return Err(BuildError::Lifetime);
            }
        }
        if max_lifetime.is_some() && default_lifetime > max_lifetime {
            return Err(BuildError::DefaultBeyondMaximum);
        }
        if default_idle_period.is_some_and(|period| idle_seconds(period).is_err()) {
            return Err(BuildError::IdlePeriod);
        }
        if !(Duration::MILLISECOND..=Duration::HOUR).contains(&self.deadline) {
            return Err(BuildError::Deadline);
        }
        if self.last_used_interval < Duration::SECOND {
            return Err(BuildError::Interval);
        }
        if !(Duration::ZERO..=LONGEST_STALENESS).contains(&self.owner_gate_max_staleness) {
            return Err(BuildError::Staleness);
        }
        Ok(())
    }
}

/// An ability that can be asked for, and so no branch.
fn required_ability(text: &str) -> Result<Ability, AbilityError> {
    let ability = Ability::new(text)?;
    if is_ability(text) { Ok(ability) } else { Err(AbilityError::MisplacedWildcard) }
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
