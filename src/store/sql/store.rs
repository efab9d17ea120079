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

            async fn list(&self, query: &Query) -> Result<Page, StoreError> {
                self.steps().list(query).await
            }

            async fn count(&self, filter: &Filter) -> Result<Counts, StoreError> {
                self.steps().count(filter).await
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
