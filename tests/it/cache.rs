//! What is remembered of tokens: what it spares, and that it lets nobody in whom the store would refuse.

mod age;
mod changes;
mod lost;
mod races;
mod room;

use keyfob::{ApiTokens, ApiTokensBuilder, Cache, IssuedToken, TokenId};
use time::Duration;

use crate::support::{World, cached::Cached, verdict};

const STALENESS: Duration = Duration::seconds(5);

/// Builds a node that remembers what it reads. Its store has nothing in memory.
fn building(world: &World) -> ApiTokensBuilder {
    world.store.forget();
    world.builder().cache(Cache::for_up_to(STALENESS))
}

/// A store with the cache of a node. The store itself has nothing in memory.
fn cache(world: &World, room: usize) -> Cached {
    world.store.forget();
    Cached::new(world.store.clone(), STALENESS, room, Some(&world.clock))
}

fn node(world: &World) -> ApiTokens {
    building(world).build().unwrap()
}

/// A token that the node remembers.
async fn warm(world: &World, tokens: &ApiTokens) -> IssuedToken {
    let issued = tokens.issue(world.new_token("warm")).await.unwrap();
    assert_eq!(verdict(tokens, &issued).await, "good");
    assert_eq!(remembered(world, tokens, &issued).await, "good");
    issued
}

/// The verdict on a token, for which the store is not asked.
async fn remembered(world: &World, tokens: &ApiTokens, issued: &IssuedToken) -> &'static str {
    world.store.take_lookups();
    let verdict = verdict(tokens, issued).await;
    assert_eq!(world.store.take_lookups(), Vec::<Vec<_>>::new(), "it was remembered");
    verdict
}

/// A node of which no other hears.
fn elsewhere(world: &World) -> ApiTokens {
    let elsewhere = ApiTokens::builder_on(world.store.inner()).prefix("acme");
    elsewhere.clock(world.clock.clone()).build().unwrap()
}

/// Revokes a token where no node hears of it.
async fn revoke_elsewhere(world: &World, id: TokenId) {
    elsewhere(world).owned_by(&world.owner).revoke(id).await.unwrap();
}
