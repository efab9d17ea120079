//! Tokens that were really issued, and used before.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::future::join_all;
use keyfob::{ApiTokens, Cache, NewToken, Owner, TokenId, store::TokenStore};
use time::Duration;

use crate::engine::Engine;

const TOKENS: usize = 10_000;

/// A handle and tokens of it, in an order that no cache foresees.
#[derive(Clone)]
pub struct Issued {
    handle: ApiTokens,
    tokens: Arc<[(TokenId, String)]>,
}

impl Issued {
    pub async fn new(store: impl TokenStore + 'static, writers: usize) -> Self {
        let handle = ApiTokens::builder(store).prefix("acme").build().unwrap();
        let next = AtomicUsize::new(0);
        let issue = async || {
            let mut tokens = Vec::new();
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= TOKENS {
                    return tokens;
                }
                let new = NewToken::new(Owner::new(format!("user:{number}")).unwrap(), "ci-deploy")
                    .abilities(["servers:create", "servers:read", "sites:*"])
                    .expires_in(Duration::days(365));
                let issued = handle.issue(new).await.unwrap();
                tokens.push((issued.record.id, issued.plain.expose_secret().to_owned()));
            }
        };
        let mut tokens = join_all((0..writers).map(|_| issue())).await.concat();
        fastrand::shuffle(&mut tokens);
        let issued = Self { handle, tokens: tokens.into() };
        issued.verify_all().await;
        issued
    }

    /// As the application has it that lets it be remembered what was read.
    fn remembered_in(&self, store: impl TokenStore + 'static) -> Self {
        let handle =
            ApiTokens::builder(store).prefix("acme").cache(Cache::for_up_to(Duration::seconds(5)));
        Self { handle: handle.build().unwrap(), tokens: self.tokens.clone() }
    }

    /// From here on no use of them is the first.
    pub async fn verify_all(&self) {
        for call in 0..TOKENS {
            self.verify(call).await;
        }
    }

    pub async fn verify(&self, call: usize) {
        let (_, text) = &self.tokens[call % TOKENS];
        assert!(self.handle.verify(text).await.unwrap().can("servers:read"));
    }
}

/// The same tokens with and without a cache, and by hand.
pub struct Fixture<E> {
    pub engine: E,
    pub plain: Issued,
    pub remembered: Issued,
}

impl<E: Engine> Fixture<E> {
    pub async fn new(engine: E) -> Arc<Self> {
        let plain = Issued::new(engine.store(), E::WRITERS).await;
        let remembered = plain.remembered_in(engine.store());
        remembered.verify_all().await;
        Arc::new(Self { engine, plain, remembered })
    }

    pub fn id(&self, call: usize) -> TokenId {
        self.plain.tokens[call % TOKENS].0
    }
}
