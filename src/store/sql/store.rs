/// Makes a store of a type whose `steps()` are [`Steps`](super::Steps).
macro_rules! token_store {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl TokenStore for $store {
            /// Nothing is in memory.
            fn peek(&self, _: TokenId) -> Peek {
                Peek::Ask
            }

            async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
                self.steps().find(ids).await
            }

            async fn insert(
                &self,
                record: &TokenRecord,
                rules: &InsertRules,
            ) -> Result<InsertOutcome, StoreError> {
                self.steps().insert(record, rules).await
            }

            async fn page(&self, query: &PageQuery) -> Result<Page, StoreError> {
                self.steps().page(query).await
            }

            async fn update(
                &self,
                id: TokenId,
                patch: &Patch,
            ) -> Result<UpdateOutcome, StoreError> {
                self.steps().update(id, patch).await
            }

            async fn revoke(
                &self,
                selection: &Selection,
                revocation: &Revocation,
                limit: u32,
            ) -> Result<Revoked, StoreError> {
                self.steps().revoke(selection, revocation, limit).await
            }

            async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
                self.steps().record_uses(uses).await
            }

            async fn expiring(
                &self,
                from: Timestamp,
                until: Timestamp,
                after: Option<&Position>,
                limit: u32,
            ) -> Result<Page, StoreError> {
                self.steps().expiring(from, until, after, limit).await
            }

            async fn unused(
                &self,
                since: Timestamp,
                after: Option<&Position>,
                limit: u32,
            ) -> Result<Page, StoreError> {
                self.steps().unused(since, after, limit).await
            }

            async fn count(&self, owner: &Owner) -> Result<OwnerCount, StoreError> {
                self.steps().count(owner).await
            }

            async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
                self.steps().count_by_key().await
            }

            async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
                self.steps().delete(deletion, limit).await
            }

            async fn key_fingerprint(
                &self,
                key: &KeyId,
                value: &[u8; 32],
            ) -> Result<[u8; 32], StoreError> {
                self.steps().key_fingerprint(key, value).await
            }
        }
    };
}
pub(crate) use token_store;
