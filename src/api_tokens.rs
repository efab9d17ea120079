//! The one handle that an application holds, and how it is built.

mod builder;

pub use builder::{ApiTokensBuilder, BuildError};

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    entropy::{Entropy, EntropyError},
    event::{Event, Observer},
    policy::{Policy, Requested},
    store::{StoreError, TokenStore},
    token::{
        Abilities, AbilityError, Timestamp, TokenDigest, TokenFormat, TokenId, TokenName,
        TokenNameError,
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
    deadline: std::time::Duration,
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
        ApiTokensBuilder::new(store)
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

    pub(crate) fn deadline(&self) -> std::time::Duration {
        self.0.deadline
    }

    pub(crate) fn usage(&self) -> &UsageLog {
        &self.0.usage
    }

    /// Now, in whole seconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::clamped(self.wall_clock())
    }

    /// Now, as fine as the clock tells it.
    pub(crate) fn wall_clock(&self) -> SystemTime {
        self.0.clock.now()
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
