/// Implements [`TokenStore`](super::TokenStore) for a store around another one, from one table of the steps.
///
/// `inner` is a method that gives the steps of the other one. `$around` is done for each of them: `$step` takes the step,
/// and may be called again.
macro_rules! wrapper {
    ($store:ty, |$this:ident, $step:ident| $around:expr) => {
        wrapper! { $store, |$this, $step| $around;
            find(ids: &[TokenId]) -> Page;
            insert(record: &TokenRecord, rules: &InsertRules) -> InsertOutcome;
            update(id: TokenId, patch: &Patch) -> UpdateOutcome;
            revoke(selection: &Selection, revocation: &Revocation, limit: u32) -> Revoked;
            record_uses(uses: &[Use]) -> ();
            list(query: &Query) -> Page;
            count(filter: &Filter) -> Counts;
            count_by_key() -> Vec<KeyCount>;
            delete(deletion: &Deletion, limit: u32) -> Deleted;
            key_fingerprint(key: &KeyId, value: &[u8; 32]) -> [u8; 32];
        }
    };
    ($store:ty, |$this:ident, $step:ident| $around:expr;
        $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait::async_trait]
        impl crate::store::TokenStore for $store {
            #[inline]
            fn peek(&self, id: TokenId) -> Peek {
                self.inner().peek(id)
            }

            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let $this = self;
                let $step = async || $this.inner().$name($($argument),*).await;
                $around.await
            })+
        }
    };
}

pub(super) use wrapper;
