//! Lists of tokens, of one owner and of all, with every use that is known.

use crate::{
    all_tokens::AllTokens,
    api_tokens::ApiTokens,
    event::Event,
    listing::{ListTokens, TokenPage},
    owner_tokens::{ManageError, OwnerTokens, apply},
    store::{Counts, Filter, Page, Query, StoreError},
    token::{TokenId, TokenRecord},
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
        Ok(self.tokens.watch(self.tokens.store().count(&filter).await)?)
    }
}

impl AllTokens {
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
        self.tokens.watch(self.tokens.store().count(&filter).await)
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
    /// let found = tokens.all_owners().find(id.parse().unwrap()).await.unwrap().unwrap();
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
        let (page, settled) = self.read_page(query, listing).await?;
        if settled {
            return Ok(page);
        }
        // Uses were written between the reading of the page and of the log. They are in the store by now, and what is
        // noted now is known before the page is read again.
        let known = self.usage().latest_of(page.tokens.iter().map(|it| it.id));
        let (mut page, _) = self.read_page(query, listing).await?;
        for record in &mut page.tokens {
            apply(&known, record);
        }
        Ok(page)
    }

    async fn read_page(
        &self,
        query: &Query,
        listing: u64,
    ) -> Result<(TokenPage, bool), StoreError> {
        let mark = self.usage().mark();
        let mut page = TokenPage::new(self.list_stored(query).await?, listing);
        let settled = self.usage().show_in(mark, &mut page.tokens);
        Ok((page, settled))
    }

    /// A page as it is stored. A store that answers tokens of somebody else, or in another order, is faulty.
    pub(crate) async fn list_stored(&self, query: &Query) -> Result<Page, StoreError> {
        let page = self.store().list(query).await.and_then(|page| checked(page, query));
        let page = self.watch(page)?;
        for record in &page.corrupt {
            self.report(|| Event::Corrupt { record: record.clone() });
        }
        Ok(page)
    }
}

fn checked(page: Page, query: &Query) -> Result<Page, StoreError> {
    let faulty = |cause: &'static str| Err(StoreError::Faulty(cause.into()));
    let owner = query.filter.owner.as_ref();
    if page.records.iter().any(|it| owner.is_some_and(|owner| it.owner != *owner)) {
        return faulty("it listed a token of another owner");
    }
    if page.records.len() + page.corrupt.len() > query.limit as usize {
        return faulty("it listed more tokens than were asked for");
    }
    let positions = page.records.iter().map(|it| query.order.position(it));
    let all: Vec<_> = query.after.iter().cloned().chain(positions).collect();
    let follows = |one, other| if query.order.descending { one > other } else { one < other };
    if !all.is_sorted_by(follows) {
        return faulty("it listed tokens in another order than the one that was asked for");
    }
    Ok(page)
}
