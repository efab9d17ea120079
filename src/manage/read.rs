//! Reads what is stored, with the uses that this node has noted and not yet written.

use std::{slice, sync::Arc};

use crate::{
    api_tokens::ApiTokens,
    event::Event,
    store::{
        StoreError, TokenStore,
        contract::{Page, Patch, Query, SharedRecord, UpdateOutcome},
        find_one,
    },
    token::{TokenId, TokenRecord},
};

use super::list_tokens::Listed;

impl ApiTokens {
    /// A token, whosever it is.
    pub(crate) async fn read(
        &self,
        store: &dyn TokenStore,
        id: TokenId,
    ) -> Result<Option<TokenRecord>, StoreError> {
        let read = async || Ok(find_one(store, id).await?.map(SharedRecord::into_record));
        self.with_uses(&[id], read, Option::as_mut_slice).await
    }

    /// Tokens, whosever they are.
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(crate) async fn read_many(&self, ids: &[TokenId]) -> Result<Vec<TokenRecord>, StoreError> {
        let read = async || {
            let page = self.store().find(ids).await?;
            Ok(page.records.into_iter().map(SharedRecord::into_record).collect())
        };
        self.with_uses(ids, read, Vec::as_mut_slice).await
    }

    /// Patches a token.
    pub(crate) async fn patch(
        &self,
        store: &dyn TokenStore,
        id: TokenId,
        patch: &Patch,
    ) -> Result<UpdateOutcome, StoreError> {
        self.with_uses(&[id], || store.update(id, patch), updated).await
    }

    /// A page of a list. A store that answers tokens of somebody else, or in another order, is faulty.
    pub(crate) async fn read_page(&self, query: &Query) -> Result<Listed, StoreError> {
        let read = async || {
            let page = checked(self.store().list(query).await?, query)?;
            let Page { records, corrupt, end } = page;
            let tokens = records.into_iter().map(SharedRecord::into_record).collect();
            Ok(Listed { tokens, corrupt, end })
        };
        let page = self.with_uses(&[], read, |page: &mut Listed| &mut page.tokens).await?;
        for record in &page.corrupt {
            self.report(|| Event::Corrupt { record: record.clone() });
        }
        Ok(page)
    }

    /// Takes a step that reads records, and shows in each the latest use that is noted here and not yet written.
    ///
    /// A use may be written and forgotten while the step is under way: then it is neither in what was read nor noted
    /// any more. So of the tokens that are named, the uses count that were noted before. Where none is named, the step
    /// is taken again: what was written is in the store by now.
    async fn with_uses<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        named: &[TokenId],
        step: impl Fn() -> F,
        records: impl Fn(&mut T) -> &mut [TokenRecord],
    ) -> Result<T, StoreError> {
        let pending = self.usage().pending_uses(named.iter().copied());
        let mut read = self.report_error(step().await)?;
        let is_settled = self.usage().show_in(&pending, records(&mut read));
        if is_settled || !named.is_empty() {
            return Ok(read);
        }
        let pending = self.usage().pending_uses(records(&mut read).iter().map(|it| it.id));
        let mut read = self.report_error(step().await)?;
        self.usage().show_in(&pending, records(&mut read));
        Ok(read)
    }
}

fn updated(outcome: &mut UpdateOutcome) -> &mut [TokenRecord] {
    match outcome {
        UpdateOutcome::Updated(token) => slice::from_mut(Arc::make_mut(token)),
        UpdateOutcome::Refused(_) | UpdateOutcome::NotFound => &mut [],
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
