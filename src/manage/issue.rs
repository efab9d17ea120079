use crate::{
    issue::{IssueError, NewToken},
    token::{Fields, IssuedToken},
};

use super::owner_tokens::OwnerTokens;

impl OwnerTokens {
    /// Issues a token to the owner, by the [actor](Self::by) if there is one. The plain token is returned this once.
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
    /// As [`ApiTokens::issue`](crate::ApiTokens::issue); [`IssueError::Invalid`] if `new` names another owner.
    pub async fn issue(&self, mut new: NewToken) -> Result<IssuedToken, IssueError> {
        if new.owner.get_or_insert_with(|| self.owner.clone()) != &self.owner {
            let mut fields = Fields::default();
            fields.refuse("owner", "must be the one whose tokens are managed");
            return Err(fields.into_error().into());
        }
        new.created_by = new.created_by.or_else(|| self.by.clone());
        self.tokens.issue(new).await
    }
}
