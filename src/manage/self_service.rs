//! What whoever bears a token can do with it: issue another on its behalf, rotate it, end it.

use crate::{
    api_tokens::ApiTokens,
    event::Event,
    issue::{IssueError, NewToken, Parent},
    store::{StoreError, find_one},
    token::{Ability, IssuedToken, Owner, Reason, TokenId, TokenState},
    verify::{VerifiedToken, VerifyError},
};

use super::{
    owner_tokens::{ManageError, OwnerTokens},
    rotate::{RotateError, TokenRotation},
};

impl ApiTokens {
    /// Issues a token on behalf of another one, which is then its parent. The application has to
    /// [allow it](crate::Policy::delegation), and the parent to hold the ability that this asks for.
    ///
    /// The new token does not go beyond its parent as that is now: not in abilities, expiry, idle period, rate limit,
    /// addresses or owner. What is changed of the parent later changes no child, and each child has a rate limit to
    /// itself. What is not asked for is as the parent has it, or the application's default where that is less; its
    /// abilities are the application's default. A rate limit of its own it can have only where the parent has one.
    ///
    /// A parent that is revoked [can take its children with it](crate::OwnerTokens::revoke_with_descendants); a
    /// revocation that comes while a child is issued ends the child. A secret that a rotation has replaced issues
    /// nothing, because its children would outlive its grace.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{Ability, ApiTokens, NewToken, Owner, Policy, store::MemoryStore};
    /// let policy = Policy::new().delegation(Ability::new("tokens:issue").unwrap());
    /// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").policy(policy).build().unwrap();
    /// let owner = Owner::new("user:42").unwrap();
    /// let ci = NewToken::new(&owner, "ci").abilities(["builds:*", "tokens:issue"]);
    /// let ci = tokens.issue(ci).await.unwrap();
    ///
    /// let ci = tokens.verify(ci.plain.expose_secret()).await.unwrap();
    /// let job = NewToken::named("job").abilities(["builds:42:write"]);
    /// assert_eq!(tokens.issue_on_behalf_of(&ci, job).await.unwrap().record.parent(), Some(ci.id()));
    ///
    /// let more = NewToken::named("more").abilities(["servers:delete"]);
    /// assert!(tokens.issue_on_behalf_of(&ci, more).await.is_err());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`IssueError::DelegationNotAllowed`]; [`IssueError::Invalid`] names each field in which the token would go
    /// beyond its parent; and as [`issue`](Self::issue).
    pub async fn issue_on_behalf_of(
        &self,
        parent: &VerifiedToken,
        new: NewToken,
    ) -> Result<IssuedToken, IssueError> {
        let ability = self.policy().delegation.as_ref();
        self.issue_child(parent, ability.ok_or(IssueError::DelegationNotAllowed)?, new).await
    }

    /// Issues a token on behalf of another one, if that has an ability.
    pub(super) async fn issue_child(
        &self,
        parent: &VerifiedToken,
        ability: &Ability,
        mut new: NewToken,
    ) -> Result<IssuedToken, IssueError> {
        let may_issue = |it: &VerifiedToken| {
            let may = it.is_current() && it.can(ability.as_str());
            if may { Ok(()) } else { Err(IssueError::DelegationNotAllowed) }
        };
        may_issue(parent)?;
        // What was true when it was verified need not be true any more.
        let parent = self.revalidate_stored(parent).await.map_err(not_good_any_more)?;
        may_issue(&parent)?;
        new.owner.get_or_insert_with(|| parent.owner().clone());
        new.parent = Some(Parent(parent.record().clone()));
        let issued = self.issue_in(self.store(), new).await?;
        self.report(|| Event::issued(&issued));
        match self.is_revoked(parent.id()).await {
            Ok(false) => Ok(issued),
            outcome => {
                // The child came after the others of its parent were revoked, or nobody knows. Nobody has seen it.
                let own = self.owned_by_because(parent.owner(), "its parent was revoked");
                let revoked = own.revoke_many(&[issued.record.id]).await;
                outcome?;
                revoked.map_err(|error| match error {
                    ManageError::Store(error) => IssueError::Store(error),
                    _ => IssueError::DelegationNotAllowed,
                })?;
                Err(IssueError::DelegationNotAllowed)
            }
        }
    }

    /// One owner's tokens, for what is done to them here without anybody's word.
    fn owned_by_because(&self, owner: &Owner, reason: &'static str) -> OwnerTokens {
        OwnerTokens { because: Reason::new(reason).ok(), ..self.owned_by(owner) }
    }

    async fn is_revoked(&self, id: TokenId) -> Result<bool, StoreError> {
        let found = self.report_error(find_one(self.store(), id).await)?;
        Ok(found.is_none_or(|record| record.state_at(self.now()) == TokenState::Revoked))
    }

    /// Rotates the token that somebody bears, as [`OwnerTokens::rotate`](crate::OwnerTokens::rotate) does for its
    /// owner, with less power: the token has to be good still, the expiry can't become later, and a secret that is in
    /// its grace can only ask once more for the new one that it has asked for itself, while that is not used: as
    /// somebody needs who lost the answer.
    ///
    /// # Errors
    /// [`RotateError`]
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, TokenRotation, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let issued = tokens.issue(NewToken::new(Owner::new("user:42").unwrap(), "ci")).await.unwrap();
    /// let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    /// let new = tokens.rotate_presented(&token, TokenRotation::new()).await.unwrap();
    /// assert_eq!(new.record.id, token.id());
    /// # });
    /// ```
    pub async fn rotate_presented(
        &self,
        token: &VerifiedToken,
        rotation: TokenRotation,
    ) -> Result<IssuedToken, RotateError> {
        let token = match self.revalidate_stored(token).await {
            Ok(token) => token,
            Err(VerifyError::Store(error)) => return Err(error.into()),
            Err(reason) => return Err(no_longer(&reason)),
        };
        let generation = token.record().generation;
        let rotation = rotation.by_bearer(generation, token.is_current())?;
        self.owned_by(token.owner()).rotate(token.id(), rotation).await
    }

    /// Revokes the token that is presented, for good: whoever holds a token can end it, also where it is suspended, has
    /// expired or must not be used from where he is. For tokens that were found where they should not be.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let issued = tokens.issue(NewToken::new(Owner::new("user:42").unwrap(), "ci")).await.unwrap();
    /// let found_in_a_public_repository = issued.plain.expose_secret();
    /// assert_eq!(tokens.revoke_presented(found_in_a_public_repository).await.unwrap(), issued.record.id);
    /// assert!(tokens.verify(found_in_a_public_repository).await.is_err());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`VerifyError`] where the text is no token, or its secret is not, or no longer, one of the token.
    pub async fn revoke_presented(&self, presented: &str) -> Result<TokenId, VerifyError> {
        let record = self.prove_presented(presented).await?;
        let own = self.owned_by_because(&record.owner, "presented to be revoked");
        match own.revoke(record.id).await {
            Ok(()) => Ok(record.id),
            Err(ManageError::Store(error)) => Err(error.into()),
            Err(_) => Err(VerifyError::Unknown),
        }
    }
}

fn no_longer(reason: &VerifyError) -> RotateError {
    match reason {
        VerifyError::Unknown => RotateError::Manage(ManageError::NotFound),
        VerifyError::RetiredSecret(_) => RotateError::Conflict,
        VerifyError::Revoked(_) => RotateError::Manage(ManageError::NotActive(TokenState::Revoked)),
        VerifyError::Expired(_) => RotateError::Manage(ManageError::NotActive(TokenState::Expired)),
        VerifyError::Suspended(_) => {
            RotateError::Manage(ManageError::NotActive(TokenState::Suspended))
        }
        VerifyError::Idle(_) => RotateError::Manage(ManageError::NotActive(TokenState::Idle)),
        VerifyError::NotYetValid(_) => {
            RotateError::Manage(ManageError::NotActive(TokenState::NotYetValid))
        }
        reason => RotateError::Refused { reason: reason.code() },
    }
}

fn not_good_any_more(reason: VerifyError) -> IssueError {
    match reason {
        VerifyError::Store(error) => IssueError::Store(error),
        _ => IssueError::DelegationNotAllowed,
    }
}
