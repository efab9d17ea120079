/// Implements [`TokenStore`](super::TokenStore) for a type whose method `steps` gives all steps: those of the store that
/// it is around, or its own. This is the one table of them.
///
/// `$around` is done for each step: `$step` takes the step, and may be called again.
macro_rules! token_store {
    ($store:ty) => {
        $crate::store::steps::token_store! { $store, |this, step| step() }
    };
    ($store:ty, |$this:ident, $step:ident| $around:expr) => {
        $crate::store::steps::token_store! { $store, |$this, $step| $around;
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
        const _: () = {
            use $crate::{
                store::{
                    KeyCount, StoreError, TokenStore,
                    contract::{
                        Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, Page, Patch,
                        Peek, Query, Revoked, Selection, UpdateOutcome, Use,
                    },
                },
                token::{KeyId, Revocation, TokenId, TokenRecord},
            };

            #[async_trait::async_trait]
            impl TokenStore for $store {
                #[inline]
                fn peek(&self, id: TokenId) -> Peek {
                    self.steps().peek(id)
                }

                $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                    let $this = self;
                    let $step = async || $this.steps().$name($($argument),*).await;
                    $around.await
                })+
            }
        };
    };
}

pub(super) use token_store;
