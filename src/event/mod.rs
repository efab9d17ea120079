//! What happened, for audit logs, metrics and mail.

mod json;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod queue;
mod summary;
#[cfg(feature = "tracing")]
mod tracing;

use std::{error::Error, fmt, net::IpAddr, sync::Arc};

use serde::Serialize;
use smol_str::SmolStr;

pub use observer::Observer;
pub(crate) use observer::Observers;
pub(crate) use queue::Queue;

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsObserver;
#[cfg(feature = "tracing")]
pub use self::tracing::TracingObserver;

use crate::{
    store::{CorruptRecord, StoreError},
    token::{Actor, IssuedToken, KeyId, Owner, Revocation, TokenId, TokenName, TokenRecord},
};

/// How many bytes the owner, the actor, the name and the reason of an event take at most.
const SMALL_TEXTS: usize = 1_024;

/// Something that happened. It never carries a secret, and an id only where its holder has proven the token or the
/// application has named it; a token that can't be read is told by its id, whoever came with it.
///
/// It owns what it tells, so that it can be kept, sent elsewhere and told later.
///
/// It serializes as a map with its [code](Self::code) as `event`, and its fields. Of a token it shows id, owner, name,
/// generation and expiry:
///
/// ```
/// # futures_executor::block_on(async {
/// use keyfob::{ApiTokens, Event, NewToken, Owner, event::Observer, store::MemoryStore};
///
/// struct Log;
///
/// impl Observer for Log {
///     fn observe(&self, event: &Event) {
///         // {"event":"issued","id":"0Kz…","owner":"user:42","name":"ci","generation":0,"expires_at":null,…}
///         println!("{}", serde_json::to_string(event).unwrap());
///         assert_eq!((event.code(), event.owner().unwrap().as_str()), ("issued", "user:42"));
///     }
/// }
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").inline_observer(Log).build()?;
/// tokens.issue(NewToken::new(Owner::new("user:42")?, "ci")).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A token was issued.
    #[non_exhaustive]
    Issued {
        /// The token.
        #[serde(flatten, serialize_with = "json::issued")]
        token: Arc<TokenRecord>,
    },
    /// A token got a new secret.
    #[non_exhaustive]
    Rotated {
        /// The token as it is now.
        #[serde(flatten, serialize_with = "json::token")]
        token: Arc<TokenRecord>,
        /// Who did it, where that was said.
        by: Option<Actor>,
    },
    /// A token got another name.
    #[non_exhaustive]
    Renamed {
        /// The token as it is now.
        #[serde(flatten, serialize_with = "json::token")]
        token: Arc<TokenRecord>,
        /// Its name before.
        before: TokenName,
        /// Who did it, where that was said.
        by: Option<Actor>,
    },
    /// Something else of a token than its name was changed: its abilities, its expiry, its metadata, its limits.
    #[non_exhaustive]
    Changed {
        /// The token as it is now.
        #[serde(flatten, serialize_with = "json::token")]
        token: Arc<TokenRecord>,
        /// Who did it, where that was said.
        by: Option<Actor>,
    },
    /// A token was suspended.
    #[non_exhaustive]
    Suspended {
        /// The token as it is now, with until when and why.
        #[serde(flatten, serialize_with = "json::suspended")]
        token: Arc<TokenRecord>,
        /// Who did it, where that was said.
        by: Option<Actor>,
    },
    /// The suspension of a token was ended.
    #[non_exhaustive]
    Resumed {
        /// The token as it is now.
        #[serde(flatten, serialize_with = "json::token")]
        token: Arc<TokenRecord>,
        /// Who did it, where that was said.
        by: Option<Actor>,
    },
    /// Tokens were revoked: those among them that were not revoked before.
    #[non_exhaustive]
    Revoked {
        /// The tokens.
        #[serde(serialize_with = "json::ids")]
        ids: Arc<[TokenId]>,
        /// Whose, if the call names one owner.
        owner: Option<Owner>,
        /// When, by whom and why.
        #[serde(flatten, serialize_with = "json::revocation")]
        revocation: Arc<Revocation>,
    },
    /// What was done to tokens in a transaction of the application was dropped without word of its commit: as a rule it
    /// was rolled back. What is so, the store knows.
    #[non_exhaustive]
    Uncommitted {
        /// The tokens.
        #[serde(serialize_with = "json::ids")]
        ids: Arc<[TokenId]>,
    },
    /// Tokens of an owner were deleted, whatever their state.
    #[non_exhaustive]
    Erased {
        /// Whose.
        owner: Owner,
        /// How many.
        tokens: usize,
        /// Who did it, where that was said.
        by: Option<Actor>,
    },
    /// Tokens that had ended were deleted.
    #[non_exhaustive]
    Pruned {
        /// How many.
        tokens: u64,
    },
    /// One of so many verifications that succeeded; only where the application
    /// [asks for it](crate::ApiTokensBuilder::report_verified).
    #[non_exhaustive]
    Verified {
        /// The token.
        id: TokenId,
        /// Whose.
        owner: Owner,
        /// How many verifications this one stands for.
        of: u32,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
    },
    /// A presented token was refused.
    #[non_exhaustive]
    Refused {
        /// The token, if the secret was proven.
        id: Option<TokenId>,
        /// Whose, if the current secret was proven.
        owner: Option<Owner>,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
        /// Why, as [`VerifyError::code`](crate::VerifyError::code).
        reason: &'static str,
    },
    /// A secret was used for the first time: that of a new token, as far as this process knows, or the one that a
    /// rotation made, which is told at most once.
    #[non_exhaustive]
    FirstUse {
        /// The token.
        id: TokenId,
        /// Whose.
        owner: Owner,
        /// How often the secret had been rotated by then.
        generation: u32,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
    },
    /// A good token was used from an address that is not the last one known, and from which this process has not seen
    /// it used.
    #[non_exhaustive]
    NewAddress {
        /// The token.
        id: TokenId,
        /// Whose.
        owner: Owner,
        /// From where.
        from: IpAddr,
    },
    /// The secret from before a rotation was presented after its grace: a client that was forgotten, or somebody who
    /// should not have it.
    #[non_exhaustive]
    RetiredSecretUsed {
        /// The token.
        id: TokenId,
        /// Whose.
        owner: Owner,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
    },
    /// A good token, or a session, lacked an ability that a route requires.
    #[non_exhaustive]
    AbilityMissing {
        /// The token. `None` for a session.
        id: Option<TokenId>,
        /// Whose.
        owner: Owner,
        /// The actor of a session. `None` for a token.
        actor: Option<Actor>,
        /// What was required. An ability that is built from the path stands here as its template; where the token holds
        /// none at all, nothing in particular was required.
        #[serde(serialize_with = "json::abilities")]
        required: Vec<SmolStr>,
        /// Whether it was refused; an ability that is required in report-only mode lets it pass.
        enforced: bool,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
    },
    /// A good token, or a session, was refused because its rate limit is reached.
    #[non_exhaustive]
    RateLimited {
        /// The token. `None` for a session.
        id: Option<TokenId>,
        /// Whose.
        owner: Owner,
        /// The actor of a session. `None` for a token.
        actor: Option<Actor>,
        /// The name of the limit.
        limit: &'static str,
        /// In how many seconds it will be let through.
        retry_after: u32,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
    },
    /// The request of a session was refused, because it may come from a page of another site.
    #[non_exhaustive]
    CrossSiteRefused {
        /// The owner for whom the session acts.
        owner: Owner,
        /// The actor of the session.
        actor: Actor,
        /// From where, where the application tells addresses.
        from: Option<IpAddr>,
    },
    /// The application's function for sessions failed or did not answer in time. The request was answered with 503.
    #[non_exhaustive]
    SessionFailed {
        /// The application's error and its causes, as text. The error must not contain a cookie. A token in the text is
        /// replaced by `[token]`.
        error: String,
    },
    /// The limits that nodes share can't be reached: until [`LimitsBack`](Self::LimitsBack) each node counts for
    /// itself, or refuses what it can't count, as [`WhileAway`](crate::limit) says. Told once.
    #[non_exhaustive]
    LimitsAway {
        /// The error and its causes, for people.
        error: String,
    },
    /// The limits that nodes share can be reached again.
    LimitsBack,
    /// What is kept of a limit that nodes share can't be read; the request was refused.
    #[non_exhaustive]
    LimitCorrupt {
        /// The token. `None` for a session.
        id: Option<TokenId>,
        /// Whose.
        owner: Owner,
        /// The actor of a session. `None` for a token.
        actor: Option<Actor>,
        /// The name of the limit.
        limit: &'static str,
        /// The error and its causes, for people.
        error: String,
    },
    /// A token expires soon, and its owner has not been told yet: the notice was claimed.
    #[non_exhaustive]
    ExpiringSoon {
        /// The token.
        #[serde(flatten, serialize_with = "json::token")]
        token: Arc<TokenRecord>,
        /// For how many days before the expiry the notice is.
        days: u16,
    },
    /// The store failed while a token was verified, issued or managed.
    #[non_exhaustive]
    StoreFailed {
        /// What the store said.
        error: StoreFailure,
    },
    /// A token was presented whose digest was made by a pepper key that this process does not have. It can't be judged:
    /// the client is told that the service is unavailable.
    #[non_exhaustive]
    PepperKeyMissing {
        /// The name of the key.
        key: KeyId,
    },
    /// A token is kept that can't be read.
    #[non_exhaustive]
    Corrupt {
        /// Which, and what of it.
        record: CorruptRecord,
    },
    /// Uses could not be written; they are kept and tried again.
    #[non_exhaustive]
    UsesNotWritten {
        /// Why.
        error: StoreFailure,
        /// How many tokens' uses wait.
        waiting: usize,
    },
    /// Too many uses wait to be written; since the last such event this many were let go.
    #[non_exhaustive]
    UsesDropped {
        /// How many.
        uses: u64,
    },
    /// Uses wait for longer than the interval because nobody drives
    /// [`ApiTokens::background`](crate::ApiTokens::background). Said once.
    BackgroundNotDriven,
    /// The [signal](crate::cluster) that tells what other nodes have changed is not connected: until it is, that shows
    /// here once what is remembered is [too old](crate::Cache::for_up_to). It is told once, and tried
    /// again and again.
    #[non_exhaustive]
    SignalLost {
        /// The error and its causes, for people.
        error: String,
    },
    /// The signal is connected again, and nothing is remembered from before.
    SignalRestored,
    /// Other nodes could not be told what was changed here: there it shows once what they remember is too old.
    #[non_exhaustive]
    SignalNotSent {
        /// The error and its causes, for people.
        error: String,
    },
    /// This observer was too slow; since the last such event this many events were let go.
    #[non_exhaustive]
    EventsDropped {
        /// How many.
        events: u64,
    },
}

impl Event {
    /// About how many bytes the event takes in memory, at most.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Revoked { ids, .. } | Self::Uncommitted { ids } => size_of_val::<[_]>(ids),
                Self::AbilityMissing { required, .. } => {
                    required.iter().map(|it| size_of_val(it) + it.len()).sum()
                }
                Self::LimitsAway { error }
                | Self::SessionFailed { error }
                | Self::LimitCorrupt { error, .. }
                | Self::SignalLost { error }
                | Self::SignalNotSent { error } => error.len(),
                Self::StoreFailed { error } | Self::UsesNotWritten { error, .. } => {
                    error.message.len()
                }
                // Owners, actors and names take some hundred bytes at most.
                _ => self.token().map_or(0, TokenRecord::weight),
            }
            + SMALL_TEXTS
    }

    pub(crate) fn issued(issued: &IssuedToken) -> Self {
        Self::Issued { token: Arc::new(issued.record.clone()) }
    }

    pub(crate) fn rotated(rotated: &IssuedToken, by: Option<&Actor>) -> Self {
        Self::Rotated { token: Arc::new(rotated.record.clone()), by: by.cloned() }
    }

    pub(crate) fn revoked(ids: &[TokenId], owner: Option<&Owner>, revocation: Revocation) -> Self {
        Self::Revoked { ids: ids.into(), owner: owner.cloned(), revocation: Arc::new(revocation) }
    }
}

/// What a store failed at, as it can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreFailure {
    /// The situation, as [`StoreError::code`].
    pub code: &'static str,
    /// The error and its causes, for people.
    pub message: String,
}

impl From<&StoreError> for StoreFailure {
    fn from(error: &StoreError) -> Self {
        Self { code: error.code(), message: error_chain(error) }
    }
}

/// An error and its causes, for people; a cause that only passes on what another says is left out.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}
