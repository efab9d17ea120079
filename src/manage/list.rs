//! Lists of tokens, of one owner and of all, with every use that is known.

use crate::{
    api_tokens::ApiTokens,
    store::{
        StoreError,
        contract::{Counts, Filter, Query},
    },
    token::{TokenId, TokenRecord},
};

use super::{
    list_tokens::{ListTokens, TokenPage},
    operator::OperatorTokens,
    owner_tokens::{ManageError, OwnerTokens},
};

impl OwnerTokens {
    /// A page of tokens, with every use that is known.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, ListTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # for name in ["first", "second", "third"] {
    /// #     let _ = tokens.issue(NewToken::new(owner.clone(), name)).await.unwrap();
    /// # }
    /// let own = tokens.owned_by(&owner);
    /// let page = own.list(ListTokens::new().per_page(2)).await.unwrap();
    /// assert_eq!(page.tokens[0].name.as_str(), "third");
    ///
    /// let next = page.next_cursor.unwrap();
    /// let page = own.list(ListTokens::new().per_page(2).cursor(next)).await.unwrap();
    /// assert_eq!(page.tokens[0].name.as_str(), "first");
    /// assert!(page.next_cursor.is_none());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for a page size outside 1 to 200, for a cursor of another list or owner, and for a filter
    /// that can't be; [`ManageError::Store`].
    pub async fn list(&self, list: ListTokens) -> Result<TokenPage, ManageError> {
        let listing = list.listing(Some(&self.owner));
        let query = list.query(Some(&self.owner), self.tokens.now())?;
        Ok(self.tokens.page_of(&query, listing).await?)
    }

    /// How many tokens the owner has in each state.
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn count(&self) -> Result<Counts, ManageError> {
        let filter = Filter::new(Some(self.owner.clone()), self.tokens.now());
        Ok(self.tokens.report_error(self.tokens.store().count(&filter).await)?)
    }

    /// How many tokens a list holds, in each state, on all of its pages.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, ListTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # for name in ["ci", "ci-deploy", "laptop"] {
    /// #     let _ = tokens.issue(NewToken::new(owner.clone(), name)).await.unwrap();
    /// # }
    /// let counts = tokens.owned_by(&owner).count_of(ListTokens::new().name_contains("ci")).await.unwrap();
    /// assert_eq!(counts.total(), 2);
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn count_of(&self, list: ListTokens) -> Result<Counts, ManageError> {
        let query = list.query(Some(&self.owner), self.tokens.now())?;
        Ok(self.tokens.report_error(self.tokens.store().count(&query.filter).await)?)
    }

    /// Those of these tokens that the owner has and that can be read.
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(crate) async fn get_many(&self, ids: &[TokenId]) -> Result<Vec<TokenRecord>, StoreError> {
        let mut records = self.tokens.read_many(ids).await?;
        records.retain(|it| it.owner == self.owner);
        Ok(records)
    }
}

impl OperatorTokens {
    /// A page of tokens of all owners, with every use that is known.
    ///
    /// A page may hold fewer tokens than were asked for, even none, and have a next one: of very many tokens only some
    /// are read at a time. Another order than by creation, or by expiry among those that
    /// [expire soon](ListTokens::expiring_within), reads all tokens.
    ///
    /// # Errors
    /// As [`OwnerTokens::list`].
    pub async fn list(&self, list: ListTokens) -> Result<TokenPage, ManageError> {
        let listing = list.listing(None);
        let query = list.query(None, self.tokens.now())?;
        Ok(self.tokens.page_of(&query, listing).await?)
    }

    /// How many tokens of all owners there are in each state. It reads all tokens.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count(&self) -> Result<Counts, StoreError> {
        let filter = Filter::new(None, self.tokens.now());
        self.tokens.report_error(self.tokens.store().count(&filter).await)
    }

    /// The token with an id, whosever it is and whatever its state: what an operator asks who has the
    /// [public part](TokenRecord::public_part) of a token.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let issued = tokens.issue(NewToken::new(owner, "ci")).await.unwrap();
    /// let reported = issued.record.public_part(); // such as "acme_0Kz…"
    /// let (_, id) = reported.rsplit_once('_').unwrap();
    /// let found = tokens.operator().find(id.parse().unwrap()).await.unwrap().unwrap();
    /// assert_eq!(found.owner.as_str(), "user:42");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn find(&self, id: TokenId) -> Result<Option<TokenRecord>, StoreError> {
        self.tokens.read(self.tokens.store(), id).await
    }
}

impl ApiTokens {
    async fn page_of(&self, query: &Query, listing: u64) -> Result<TokenPage, StoreError> {
        self.flush_if_abandoned().await;
        Ok(TokenPage::new(self.read_page(query).await?, listing))
    }
}
