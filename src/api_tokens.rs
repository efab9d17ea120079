//! The one handle that an application holds, and how it is built.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use time::Duration;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, SystemClock},
    entropy::{Entropy, EntropyError, SystemEntropy},
    event::{Event, Observer},
    policy::{Policy, Requested},
    store::{StoreError, TokenStore},
    token::{
        Abilities, AbilityError, DeclaredAbility, NamePolicy, Prefix, PrefixError, Timestamp,
        TokenDigest, TokenFormat, TokenFormatError, TokenId, TokenName, TokenNameError,
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
    /// The beginning of the digest of the latest secret.
    latest_digest: AtomicU64,
}

impl ApiTokens {
    /// Begins to build a handle on a store.
    pub fn builder(store: impl TokenStore + 'static) -> ApiTokensBuilder {
        Self::builder_on(Arc::new(store))
    }

    /// Begins to build a handle on a store that others hold as well.
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
            last_used_capacity: 100_000,
        }
    }

    /// A self-test for start-up: the generator works and the store answers.
    ///
    /// # Errors
    /// [`CheckError`] says which does not.
    pub async fn check(&self) -> Result<(), CheckError> {
        let (mut id, mut secrets) = ([0; 10], Zeroizing::new([[0; 32]; 2]));
        let [first, second] = &mut *secrets;
        self.draw(&mut id, first)?;
        self.draw(&mut id, second)?;
        if first == second {
            return Err(EntropyError::new(Some("the same bytes came twice in a row".into())).into());
        }
        self.watch(self.store().find(TokenId::from_u128(0)).await)?;
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
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::clamped(self.0.clock.now())
    }

    pub(crate) fn report(&self, event: &Event<'_>) {
        if let Some(observer) = &self.0.observer {
            observer.observe(event);
        }
    }

    /// Reports what a store failed at, and passes it on.
    pub(crate) fn watch<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        answer.inspect_err(|error| match error {
            StoreError::Corrupt(record) => self.report(&Event::Corrupt { record }),
            error => self.report(&Event::StoreFailed { error }),
        })
    }

    /// A whole token has the form of a name and of an ability. Pasted into the wrong field it must not be kept.
    pub(crate) fn name(&self, text: &str) -> Result<TokenName, TokenNameError> {
        if self.format().parse(text).is_ok() {
            return Err(TokenNameError::IsToken);
        }
        self.policy().name(text)
    }

    /// See [`name`](Self::name).
    pub(crate) fn abilities(&self, asked: Option<&Requested>) -> Result<Abilities, AbilityError> {
        if let Some(Requested::Set(texts)) = asked
            && texts.iter().any(|text| self.format().parse(text).is_ok())
        {
            return Err(AbilityError::IsToken);
        }
        self.policy().abilities(asked)
    }

    /// Fresh random bytes for an id and a secret, in one call to the generator.
    pub(crate) fn draw(
        &self,
        id: &mut [u8; 10],
        secret: &mut [u8; 32],
    ) -> Result<(), EntropyError> {
        let mut bytes = Zeroizing::new([0; 42]);
        self.0.entropy.fill(bytes.as_mut_slice())?;
        id.copy_from_slice(&bytes[..10]);
        secret.copy_from_slice(&bytes[10..]);
        if secret.iter().all(|byte| *byte == secret[0]) {
            return Err(EntropyError::new(Some("all bytes are the same".into())));
        }
        Ok(())
    }

    /// Finds out a generator that repeats itself: no two secrets in a row are the same.
    pub(crate) fn differs_from_latest(&self, digest: &TokenDigest) -> Result<(), EntropyError> {
        let (beginning, _) = digest.as_bytes().as_chunks::<8>();
        let beginning = u64::from_ne_bytes(beginning[0]);
        if self.0.latest_digest.swap(beginning, Relaxed) == beginning {
            return Err(EntropyError::new(Some("the same bytes came twice in a row".into())));
        }
        Ok(())
    }

    /// A new id, later than every id made here before.
    pub(crate) fn next_id(&self, random: [u8; 10]) -> TokenId {
        let since_1970 = self.0.clock.now().duration_since(std::time::UNIX_EPOCH);
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
    last_used_capacity: usize,
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

    /// How long a token may live at most, counted from when it was issued or last rotated. Then none is issued that
    /// never expires.
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

    /// How late last-used may be written, and how much of it a crash may lose: at least one second. A minute unless set
    /// here.
    pub fn last_used_interval(mut self, interval: Duration) -> Self {
        self.last_used_interval = interval;
        self
    }

    /// How many tokens may have uses that wait to be written. Each keeps its record in memory, with its abilities and
    /// metadata: some hundred bytes as a rule. Uses of further tokens are let go and reported. 100,000 unless set here.
    pub fn last_used_capacity(mut self, tokens: usize) -> Self {
        self.last_used_capacity = tokens;
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
            let end = Timestamp::clamped(self.clock.now()).checked_add(lifetime);
            if lifetime < Duration::SECOND || end.is_err() {
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
            usage: UsageLog::new(interval.unsigned_abs(), self.last_used_capacity),
            latest_id: AtomicU64::new(0),
            latest_digest: AtomicU64::new(0),
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
    /// A lifetime is shorter than a second, or ends after the year 9999.
    #[error("a lifetime must be at least one second and end before the year 10000")]
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
