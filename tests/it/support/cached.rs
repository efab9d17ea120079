//! A store as a handle uses it, with the cache around it.

use std::{ops::Deref, sync::Arc};

use keyfob::{
    ApiTokens, Cache, TokenId,
    cluster::Changed,
    store::TokenStore,
    testing::{self},
    time::ManualClock,
};
use time::Duration;

/// For so many tokens there is room unless said otherwise.
pub const ROOM: usize = 100_000;

/// A handle that remembers what it reads, and its store.
pub struct Cached {
    pub tokens: ApiTokens,
    store: Box<dyn TokenStore>,
}

impl Cached {
    pub fn new(
        store: Arc<dyn TokenStore>,
        staleness: Duration,
        room: usize,
        clock: Option<&ManualClock>,
    ) -> Self {
        let mut builder = ApiTokens::builder_on(store).prefix("acme").deadline(Duration::HOUR);
        if let Some(clock) = clock {
            builder = builder.clock(clock.clone());
        }
        let tokens = builder.cache(Cache::for_up_to(staleness).capacity(room)).build().unwrap();
        Self { store: Box::new(testing::store_of(&tokens)), tokens }
    }

    /// As when a signal tells that a token was changed elsewhere.
    pub fn evict(&self, id: TokenId) {
        testing::evict(&self.tokens, &Changed::Tokens(vec![id]));
    }

    /// As when what a signal tells can't be read.
    pub fn clear(&self) {
        testing::evict(&self.tokens, &Changed::All);
    }
}

impl Deref for Cached {
    type Target = dyn TokenStore;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// The store by itself, of which what was read is good for a minute.
pub fn cached(store: impl TokenStore + 'static, room: usize) -> impl TokenStore {
    testing::store_of(&Cached::new(Arc::new(store), Duration::MINUTE, room, None).tokens)
}
