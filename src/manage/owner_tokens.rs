//! The tokens of one owner: what every verb that manages them begins with.

use std::sync::Arc;

use crate::{
    api_tokens::ApiTokens,
    store::{
        StoreError, TokenStore,
        contract::{Patch, PatchError, RuleError, UpdateOutcome},
    },
    token::{
        Abilities, Actor, InvalidFields, Owner, Reason, Timestamp, TokenId, TokenRecord, TokenState,
    },
};

use super::within::Manager;

/// Manages the tokens of one owner. A token of somebody else is not found here.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, ListTokens, NewToken, Owner, store::MemoryStore};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// # let owner = Owner::new("user:42").unwrap();
/// # let id = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap().record.id;
/// let own = tokens.owned_by(&owner);
/// own.rename(id, "ci-deploy").await.unwrap();
///
/// let page = own.list(ListTokens::new().per_page(20)).await.unwrap();
/// assert_eq!(page.tokens[0].name.as_str(), "ci-deploy");
///
/// own.revoke(id).await.unwrap();
/// assert!(own.list(ListTokens::new()).await.unwrap().tokens.is_empty());
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OwnerTokens {
    pub(crate) tokens: ApiTokens,
    pub(crate) owner: Owner,
    pub(crate) by: Option<Actor>,
    pub(crate) because: Option<Reason>,
    /// The abilities that the actor may grant, if not all.
    pub(super) grantable: Option<Abilities>,
    /// The token that manages the others.
    pub(super) manager: Option<Manager>,
}

/// Why a token could not be managed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The owner has no such token.
    #[error("the owner has no such token")]
    NotFound,
    /// Fields are wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidFields),
    /// The owner has another token of this name that is neither revoked nor expired.
    #[error("the owner has a token of this name already")]
    NameTaken,
    /// The owner has as many other tokens as the application allows, and the token would get a later expiry.
    ///
    /// Tokens that are revoked or expired don't count.
    #[error("the owner has {limit} tokens already")]
    LimitReached {
        /// The limit.
        limit: u32,
    },
    /// The token was changed since the version that [was named](crate::TokenChange::if_version).
    #[error("the token was changed meanwhile: its version is {version} now")]
    VersionMismatch {
        /// The version that it has.
        version: u32,
    },
    /// A token that is revoked or expired can't be changed.
    #[error("the token is {0} and can't be changed")]
    NotActive(TokenState),
    /// The token can do more than the [account](OwnerTokens::restricted_to) or the [token](ApiTokens::managed_by) that
    /// manages it may grant, or it is that token itself.
    #[error("the token can do more than its manager may grant")]
    BeyondAccount,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiTokens {
    /// Manages the tokens of one owner, who comes from the application's own login, never from the request.
    ///
    /// To pass a type of your own, implement `From<&YourType> for Owner`. Do so only if each of its ids makes a valid owner,
    /// and no two the same:
    ///
    /// ```
    /// # use keyfob::{ApiTokens, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// impl From<&User> for Owner {
    ///     fn from(user: &User) -> Self {
    ///         Owner::new(format!("user:{}", user.id)).expect("a number makes a valid owner")
    ///     }
    /// }
    ///
    /// let user = User { id: 42 };
    /// let own = tokens.owned_by(&user);
    /// ```
    pub fn owned_by(&self, owner: impl Into<Owner>) -> OwnerTokens {
        OwnerTokens {
            tokens: self.clone(),
            owner: owner.into(),
            by: None,
            because: None,
            grantable: None,
            manager: None,
        }
    }
}

impl OwnerTokens {
    /// Sets the actor, if that is not the owner. It is kept with a token that is issued or revoked, and observers get it.
    pub fn by(mut self, actor: Actor) -> Self {
        self.by = Some(actor.without_tokens(self.tokens.format()));
        self
    }

    /// Sets the reason of a revocation or a suspension. It is kept with the token, and observers get it.
    pub fn because(mut self, reason: Reason) -> Self {
        self.because = Some(reason.without_tokens(self.tokens.format()));
        self
    }

    /// The actor, if one is set.
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(crate) fn actor(&self) -> Option<&Actor> {
        self.by.as_ref()
    }

    /// One token, whatever its state, with every use that is known.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] where there is none, also where it is somebody else's; [`ManageError::Store`].
    pub async fn get(&self, id: TokenId) -> Result<TokenRecord, ManageError> {
        self.get_in(self.tokens.store(), id).await
    }

    pub(crate) async fn get_in(
        &self,
        store: &dyn TokenStore,
        id: TokenId,
    ) -> Result<TokenRecord, ManageError> {
        let found = self.tokens.read(store, id).await?;
        found.filter(|record| record.owner == self.owner).ok_or(ManageError::NotFound)
    }

    /// The token as it is now, if it can still be managed.
    pub(crate) async fn find_manageable(
        &self,
        id: TokenId,
    ) -> Result<(TokenRecord, Timestamp), ManageError> {
        let record = self.get(id).await?;
        let now = self.tokens.now();
        match record.state_at(now) {
            state @ (TokenState::Revoked | TokenState::Expired) => {
                Err(ManageError::NotActive(state))
            }
            _ => Ok((record, now)),
        }
    }

    /// Patches a token; `None` if it is no longer as expected: then the caller judges it again.
    pub(crate) async fn update(
        &self,
        store: &dyn TokenStore,
        id: TokenId,
        patch: &Patch,
    ) -> Result<Option<Arc<TokenRecord>>, ManageError> {
        Ok(match self.tokens.patch(store, id, patch).await? {
            UpdateOutcome::Updated(token) => Some(token),
            UpdateOutcome::Refused(PatchError::Outdated) => None,
            UpdateOutcome::NotFound => return Err(ManageError::NotFound),
            UpdateOutcome::Refused(PatchError::Revoked) => {
                return Err(ManageError::NotActive(TokenState::Revoked));
            }
            UpdateOutcome::Refused(PatchError::Expired) => {
                return Err(ManageError::NotActive(TokenState::Expired));
            }
            UpdateOutcome::Refused(PatchError::Rules(RuleError::NameTaken)) => {
                return Err(ManageError::NameTaken);
            }
            UpdateOutcome::Refused(PatchError::Rules(RuleError::LimitReached)) => {
                let limit = patch.rules().and_then(|it| it.limit_per_owner).unwrap_or_default();
                return Err(ManageError::LimitReached { limit });
            }
        })
    }
}
