//! What happened, for audit logs, metrics and mail.

#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use self::tracing::TracingObserver;

use crate::{
    store::{CorruptRecord, StoreError},
    token::{Actor, Owner, Revocation, TokenId, TokenRecord},
};

/// Something that happened. It never carries a secret, and an id only where its holder has proven the token or the
/// application has named it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A token was issued.
    #[non_exhaustive]
    Issued {
        /// The token.
        token: &'a TokenRecord,
    },
    /// A token's name, abilities, expiry or metadata were changed.
    #[non_exhaustive]
    Changed {
        /// The token as it is now.
        token: &'a TokenRecord,
        /// Who did it, where that was said.
        by: Option<&'a Actor>,
    },
    /// Tokens were revoked: those among them that were not revoked before.
    #[non_exhaustive]
    Revoked {
        /// The tokens.
        ids: &'a [TokenId],
        /// When, by whom and why.
        revocation: &'a Revocation,
    },
    /// Tokens of an owner were deleted, whatever their state.
    #[non_exhaustive]
    Erased {
        /// Whose.
        owner: &'a Owner,
        /// How many.
        tokens: usize,
        /// Who did it, where that was said.
        by: Option<&'a Actor>,
    },
    /// Tokens that had ended were deleted.
    #[non_exhaustive]
    Pruned {
        /// How many.
        tokens: u64,
    },
    /// A presented token was refused.
    #[non_exhaustive]
    Refused {
        /// The token, if the secret was proven.
        id: Option<TokenId>,
        /// Why, as [`VerifyError::code`](crate::VerifyError::code).
        reason: &'static str,
    },
    /// A good token lacked what a route requires.
    #[non_exhaustive]
    AbilityMissing {
        /// The token.
        id: TokenId,
        /// Whose.
        owner: &'a Owner,
        /// What was required. An ability that is built from the path stands here as its template; where the token holds
        /// none at all, nothing in particular was required.
        required: &'a [&'a str],
        /// Whether it was refused; an ability that is required in report-only mode lets it pass.
        enforced: bool,
    },
    /// A good token was refused because its rate limit is reached.
    #[non_exhaustive]
    RateLimited {
        /// The token.
        id: TokenId,
        /// The name of the limit.
        limit: &'static str,
        /// In how many seconds it will be let through.
        retry_after: u32,
    },
    /// The store failed while a token was verified, issued or managed.
    #[non_exhaustive]
    StoreFailed {
        /// What the store said.
        error: &'a StoreError,
    },
    /// A token is kept that can't be read.
    #[non_exhaustive]
    Corrupt {
        /// Which, and what of it.
        record: &'a CorruptRecord,
    },
    /// Uses could not be written; they are kept and tried again.
    #[non_exhaustive]
    UsesNotWritten {
        /// Why.
        error: &'a StoreError,
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
}

/// Is told what happens. It must not block: it runs where the thing happened, on the path of a request.
///
/// ```
/// use keyfob::{Event, Observer};
///
/// struct Audit;
///
/// impl Observer for Audit {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::Revoked { ids, .. } = event {
///             println!("{} tokens revoked", ids.len());
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an event.
    fn observe(&self, event: &Event<'_>);
}
