use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use time::Duration;

use crate::{
    clock::{Clock, SystemClock},
    entropy::{Entropy, SystemEntropy},
    event::Observer,
    policy::Policy,
    store::TokenStore,
    token::{
        Abilities, AbilityError, DeclaredAbility, NamePolicy, Prefix, PrefixError, Timestamp,
        TokenFormat, TokenFormatError,
    },
    usage::UsageLog,
};

use super::{ApiTokens, Shared};

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
    deadline: Duration,
    last_used_interval: Duration,
    last_used_capacity: usize,
}

impl ApiTokensBuilder {
    pub(super) fn new(store: Arc<dyn TokenStore>) -> Self {
        Self {
            store,
            prefix: None,
            accepted: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            observer: None,
            policy: Policy::default(),
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

    /// How long a verification waits for the store before it is an error, at least a millisecond. Two seconds unless
    /// set here.
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
        if self.deadline < Duration::MILLISECOND {
            return Err(BuildError::Deadline);
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
            deadline: self.deadline.unsigned_abs(),
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
    /// The deadline is shorter than a millisecond.
    #[error("the deadline must be at least one millisecond")]
    Deadline,
    /// The interval of last-used is shorter than a second.
    #[error("the interval in which last-used is written must be at least one second")]
    Interval,
}
