//! The one handle that an application holds, and how it is built.

use std::{
    fmt,
    hash::BuildHasher,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use foldhash::quality::FixedState;
use time::Duration;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, SystemClock},
    entropy::{Entropy, EntropyError, SystemEntropy},
    event::{Event, Observer},
    policy::Policy,
    store::{StoreError, TokenStore},
    token::{
        Abilities, AbilityError, DeclaredAbility, NamePolicy, Prefix, PrefixError, Timestamp,
        TokenFormat, TokenFormatError, TokenId,
    },
    usage::UsageLog,
};

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
    store: Arc<dyn TokenStore>,
    format: TokenFormat,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Option<Arc<dyn Observer>>,
    policy: Policy,
    usage: UsageLog,
    /// Milliseconds and counter of the latest id, so that ids made here never go backwards.
    latest_id: AtomicU64,
    /// A hash of the latest secret: a generator that repeats itself is found out. At first it is that of no bytes but
    /// zeros, so that one which fills in nothing is found out as well.
    latest_secret: AtomicU64,
}

impl ApiTokens {
    /// Begins to build a handle on a store.
    #[must_use]
    pub fn builder(store: impl TokenStore) -> ApiTokensBuilder {
        Self::builder_on(Arc::new(store))
    }

    /// Begins to build a handle on a store that others hold as well.
    #[must_use]
    pub fn builder_on(store: Arc<dyn TokenStore>) -> ApiTokensBuilder {
        ApiTokensBuilder {
            store,
            prefix: None,
            accepted: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            observer: None,
            policy: Policy::default(),
            last_used_interval: Duration::MINUTE,
        }
    }

    /// A self-test for start-up: the generator works and the store answers.
    ///
    /// # Errors
    /// [`CheckError`] says which does not.
    pub async fn check(&self) -> Result<(), CheckError> {
        self.0.entropy.fill(&mut [0; 32])?;
        self.store().find(TokenId::from_u128(0)).await?;
        Ok(())
    }

    /// How the tokens of this application look.
    #[must_use]
    pub fn format(&self) -> &TokenFormat {
        &self.0.format
    }

    pub(crate) fn store(&self) -> &dyn TokenStore {
        &*self.0.store
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn usage(&self) -> &UsageLog {
        &self.0.usage
    }

    /// Now, in whole seconds.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now().into()
    }

    pub(crate) fn report(&self, event: &Event<'_>) {
        if let Some(observer) = &self.0.observer {
            observer.observe(event);
        }
    }

    /// Fresh random bytes, in one call to the generator.
    pub(crate) fn random(&self) -> Result<Random, EntropyError> {
        let mut bytes = Zeroizing::new([0; 42]);
        self.0.entropy.fill(bytes.as_mut_slice())?;
        let mut random = Random { id: [0; 10], secret: Zeroizing::new([0; 32]) };
        random.id.copy_from_slice(&bytes[..10]);
        random.secret.copy_from_slice(&bytes[10..]);

        let seen = fingerprint(&random.secret);
        if self.0.latest_secret.swap(seen, Relaxed) == seen {
            return Err(EntropyError::new(Some("the same bytes came twice in a row".into())));
        }
        Ok(random)
    }

    /// A new id, later than every id made here before.
    pub(crate) fn next_id(&self, random: [u8; 10]) -> TokenId {
        let since_1970 = self.0.clock.now().duration_since(std::time::UNIX_EPOCH);
        // 48 bits of milliseconds last until the year 10889; a clock before 1970 counts as 1970.
        let milliseconds = since_1970.map_or(0, |it| it.as_millis() as u64) & 0xFFFF_FFFF_FFFF;
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

/// What a new token is made of.
pub(crate) struct Random {
    pub(crate) id: [u8; 10],
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

fn fingerprint(secret: &[u8; 32]) -> u64 {
    FixedState::default().hash_one(secret)
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
    prefix: Option<String>,
    accepted: Vec<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Option<Arc<dyn Observer>>,
    policy: Policy,
    last_used_interval: Duration,
}

impl ApiTokensBuilder {
    /// The application's own beginning of every token: 2 to 32 of `[a-z0-9_]`, such as `acme`. Without one, there is
    /// no handle.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// One more prefix whose tokens are accepted, such as the one from before a rename.
    pub fn accept_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.accepted.push(prefix.into());
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

    /// How long a token may live at most, counted from when it was issued. Then none is issued that never expires.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.max_lifetime = Some(lifetime);
        self
    }

    /// How many tokens that are not revoked an owner may have. An expired token keeps its place until it is revoked
    /// or pruned. No limit unless set here.
    pub fn limit_per_owner(mut self, tokens: u32) -> Self {
        self.policy.limit_per_owner = Some(tokens);
        self
    }

    /// Whether the tokens of an owner that are not revoked must have different names. They need not unless set here.
    pub fn unique_names(mut self, unique: bool) -> Self {
        self.policy.unique_names = unique;
        self
    }

    /// Which names are allowed. Any [`TokenName`](crate::TokenName) unless set here.
    pub fn name_policy(mut self, policy: NamePolicy) -> Self {
        self.policy.names = policy;
        self
    }

    /// How late last-used may be written, and how much of it a crash may lose: whole seconds, at least one. A minute
    /// unless set here.
    pub fn last_used_interval(mut self, interval: Duration) -> Self {
        self.last_used_interval = interval;
        self
    }

    /// Who is told what happens.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
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
        let prefix = Prefix::new(self.prefix.ok_or(BuildError::NoPrefix)?)?;
        let mut format = TokenFormat::new(prefix);
        for prefix in self.accepted {
            format = format.accept(Prefix::new(prefix)?)?;
        }
        for lifetime in
            [self.policy.default_lifetime, self.policy.max_lifetime].into_iter().flatten()
        {
            if lifetime < Duration::SECOND {
                return Err(BuildError::Lifetime);
            }
        }
        if self.policy.default_lifetime > self.policy.max_lifetime
            && self.policy.max_lifetime.is_some()
        {
            return Err(BuildError::DefaultBeyondMaximum);
        }
        if let Some(abilities) = &self.policy.default_abilities {
            self.policy.known(abilities.clone())?;
        }
        let interval = self.last_used_interval;
        if interval < Duration::SECOND {
            return Err(BuildError::Interval);
        }
        Ok(ApiTokens(Arc::new(Shared {
            store: self.store,
            format,
            clock: self.clock,
            entropy: self.entropy,
            observer: self.observer,
            policy: self.policy,
            usage: UsageLog::new(interval.unsigned_abs()),
            latest_id: AtomicU64::new(0),
            latest_secret: AtomicU64::new(fingerprint(&[0; 32])),
        })))
    }
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

/// Which setting of [`ApiTokensBuilder`] is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No prefix is set; there is no default.
    #[error("a token prefix must be set")]
    NoPrefix,
    /// A prefix is none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A prefix is named twice.
    #[error(transparent)]
    Format(#[from] TokenFormatError),
    /// The default abilities are not among the declared ones.
    #[error("the default abilities are not declared")]
    DefaultAbilities(#[from] AbilityError),
    /// A lifetime is shorter than a second.
    #[error("a lifetime must be at least one second")]
    Lifetime,
    /// The default lifetime is longer than the maximum.
    #[error("the default lifetime must not be longer than the maximum")]
    DefaultBeyondMaximum,
    /// The interval of last-used is shorter than a second.
    #[error("the interval in which last-used is written must be at least one second")]
    Interval,
}

/// What [`ApiTokens::check`] found not to work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
