use crate::{
    issue::{IssueError, NewToken},
    store::TokenStore,
    token::IssuedToken,
};

use super::{owner_tokens::OwnerTokens, transaction::Pending, within::Manager};

impl OwnerTokens {
    /// Issues a token to the owner. The [actor](Self::by) becomes its creator, if one is set. Only this call returns the
    /// plain token.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{Actor, ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// let (project, member) = (Owner::new("project:7").unwrap(), Actor::new("user:42").unwrap());
    /// let new = NewToken::named("ci-deploy").abilities(["servers:read"]);
    /// let issued = tokens.owned_by(&project).by(member.clone()).issue(new).await.unwrap();
    /// assert_eq!(issued.record.created_by(), Some(&member));
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`ApiTokens::issue`](crate::ApiTokens::issue); [`IssueError::WrongOwner`] if `new` names another owner.
    pub async fn issue(&self, new: NewToken) -> Result<IssuedToken, IssueError> {
        let new = self.owned(new)?;
        match &self.manager {
            Some(Manager { token, ability }) => self.tokens.issue_child(token, ability, new).await,
            None => self.tokens.issue(new).await,
        }
    }

    /// Issues a token to the owner as [`issue`](Self::issue) does, in a transaction that the application holds: see
    /// [`ApiTokens::issue_within`](crate::ApiTokens::issue_within).
    ///
    /// # Errors
    /// As [`issue`](Self::issue); [`IssueError::DelegationNotAllowed`] if a [token](crate::ApiTokens::managed_by) issues it.
    pub async fn issue_within(
        &self,
        transaction: &dyn TokenStore,
        new: NewToken,
    ) -> Result<Pending<IssuedToken>, IssueError> {
        if self.manager.is_some() {
            return Err(IssueError::DelegationNotAllowed);
        }
        self.tokens.issue_within(transaction, self.owned(new)?).await
    }

    fn owned(&self, mut new: NewToken) -> Result<NewToken, IssueError> {
        if new.owner.get_or_insert_with(|| self.owner.clone()) != &self.owner {
            return Err(IssueError::WrongOwner);
        }
        new.created_by = new.created_by.or_else(|| self.by.clone());
        new.grantable.clone_from(&self.grantable);
        Ok(new)
    }
}
