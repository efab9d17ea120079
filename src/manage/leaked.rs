//! Tokens that were found where they should not be, many at once.

use std::collections::BTreeSet;

use crate::{
    api_tokens::ApiTokens,
    token::{Reason, TokenId},
    verify::VerifyError,
};

/// The number of texts whose tokens are looked up in one query.
const LOOKED_UP: usize = 100;

impl ApiTokens {
    /// Revokes every token among texts that somebody has found, such as those that a scanner of public repositories
    /// reports. Each must be a secret of a token, as for [`revoke_presented`](Self::revoke_presented). All other texts are
    /// passed over, also a secret that a rotation has replaced and whose grace is over.
    ///
    /// It looks up at most 100 texts in a query, and one query after the other. It returns the tokens that are revoked,
    /// also those that were revoked before.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let issued = tokens.issue(NewToken::new(Owner::new("user:42").unwrap(), "ci")).await.unwrap();
    /// let found = [issued.plain.expose_secret(), "acme_not_a_token", "another text"];
    /// assert_eq!(tokens.revoke_leaked(found).await.unwrap(), [issued.record.id]);
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`VerifyError::Store`] if a token could not be looked up or revoked, [`VerifyError::UnknownKey`] if the pepper key of
    /// one is missing. All others are revoked. Call it again with the same texts.
    pub async fn revoke_leaked<T: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<TokenId>, VerifyError> {
        let texts: Vec<T> = texts.into_iter().collect();
        let texts: BTreeSet<&str> = texts.iter().map(AsRef::as_ref).collect();
        let presented: Vec<_> =
            texts.into_iter().filter_map(|text| self.format().parse(text).ok()).collect();
        let own = match Reason::new("found where it should not be") {
            Ok(reason) => self.operator().because(reason),
            Err(_) => self.operator(),
        };
        let (mut revoked, mut first_error) = (Vec::new(), None);
        for presented in presented.chunks(LOOKED_UP) {
            let (proven, error) = self.prove_each(presented).await;
            let ended = own.revoke_many(&proven).await.map_err(VerifyError::from);
            // One that can't be read must not keep the others alive.
            first_error = first_error.or(error).or(ended.err());
            revoked.extend(proven);
        }
        first_error.map_or(Ok(revoked), Err)
    }
}
