//! Which abilities tokens use: told where that is wanted, and written off the path of requests.

use keyfob::{Abilities, ApiTokens, IssuedToken, LastUsed, TokenChange};

use crate::support::{World, on_every_store, once};

on_every_store! {
    abilities_are_tracked_where_that_is_wanted
    what_a_token_used_is_written_once_and_not_lost
    what_is_used_while_the_store_is_down_is_written_when_it_is_back
    of_two_flushes_at_once_none_takes_away_what_the_other_has_not_written
    an_ability_that_is_written_before_its_use_keeps_the_address
    a_token_that_may_do_everything_tells_what_it_did
}

fn tracking(world: &World) -> ApiTokens {
    world.builder().last_used(LastUsed::default().track_abilities(true)).build().unwrap()
}

/// How often uses of abilities went to the store since the last time.
fn writes(world: &World) -> usize {
    world.store.take_calls().iter().filter(|step| **step == "record_uses").count()
}

async fn unused(world: &World, issued: &IssuedToken) -> Vec<String> {
    world.stored(issued).await.unused_abilities().iter().map(ToString::to_string).collect()
}

async fn abilities_are_tracked_where_that_is_wanted(world: World) {
    let held = ["servers:*", "sites:read", "sites:create", "dns:*"];
    for tracked in [false, true] {
        let tokens = world
            .builder()
            .last_used(LastUsed::default().track_abilities(tracked))
            .build()
            .unwrap();
        let issued = tokens.issue(world.new_token("a").abilities(held)).await.unwrap();
        let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
        assert!(token.can("servers:42:restart") && token.require("sites:read").is_ok());
        assert!(!token.can("sites:delete") && token.require("a b").is_err());
        assert!(!token.can("servers:*") && !token.can("dns"), "what is required is no pattern");
        world.store.take_batches();
        tokens.flush().await.unwrap();
        let uses = world.store.take_batches().concat();
        assert_eq!(uses.iter().any(|it| !it.abilities.is_empty()), tracked, "{uses:?}");
        let expected = if tracked { &["sites:create", "dns:*"][..] } else { &held };
        assert_eq!(unused(&world, &issued).await, expected);
    }
}

async fn what_a_token_used_is_written_once_and_not_lost(world: World) {
    let tokens = tracking(&world);
    let new = world.new_token("a").abilities(["a:*", "b", "c"]);
    let issued = tokens.issue(new).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    world.store.fail(&["record_uses"]);
    assert!(token.can("a:x") && token.clone().can("a:y") && token.can("b"));
    tokens.flush().await.unwrap_err();
    assert_eq!(unused(&world, &issued).await, ["a:*", "b", "c"]);
    world.store.heal();
    assert!(tokens.revalidate(&token).await.unwrap().can("b"));
    tokens.flush().await.unwrap();
    assert_eq!(unused(&world, &issued).await, ["c"]);
    world.store.take_calls();
    assert!(token.can("a:z") && token.can("b"));
    tokens.flush().await.unwrap();
    assert!(!world.store.take_calls().contains(&"record_uses"), "it is there already");
}

async fn what_is_used_while_the_store_is_down_is_written_when_it_is_back(world: World) {
    let tokens = tracking(&world);
    let held = ["a", "b", "c", "d"];
    let issued = tokens.issue(world.new_token("a").abilities(held)).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    world.store.fail(&["record_uses"]);
    for ability in ["a", "b", "c"] {
        assert!(token.can(ability) && token.can(ability));
        tokens.flush().await.unwrap_err();
    }
    assert_eq!(unused(&world, &issued).await, held);
    world.store.heal();
    world.store.take_calls();
    tokens.flush().await.unwrap();
    assert_eq!(writes(&world), 1, "all in one");
    assert_eq!(unused(&world, &issued).await, ["d"]);
    assert!(["a", "b", "c"].iter().all(|ability| token.can(ability)));
    tokens.flush().await.unwrap();
    assert_eq!(writes(&world), 0, "each once");
}

async fn of_two_flushes_at_once_none_takes_away_what_the_other_has_not_written(world: World) {
    for is_before in [true, false] {
        let tokens = tracking(&world);
        let new = world.new_token("a").abilities(["a", "b", "c"]);
        let issued = tokens.issue(new).await.unwrap();
        let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
        assert!(token.can("a"));
        let (flushing, using) = (tokens.clone(), token.clone());
        let meanwhile = once(move || {
            Box::pin(async move {
                flushing.flush().await.unwrap();
                assert!(using.can("b"));
            })
        });
        if is_before {
            world.store.before("record_uses", meanwhile);
        } else {
            world.store.after("record_uses", meanwhile);
        }
        tokens.flush().await.unwrap();
        assert_eq!(unused(&world, &issued).await, ["c"], "{is_before}");
        world.store.heal();
    }
}

/// A flush that is under way takes the ability along, and the use waits for the next one.
async fn an_ability_that_is_written_before_its_use_keeps_the_address(world: World) {
    let tokens = tracking(&world);
    let [first, late] =
        [world.new_token("a").abilities(["a"]), world.new_token("b").abilities(["b"])];
    let (first, late) = (tokens.issue(first).await.unwrap(), tokens.issue(late).await.unwrap());
    let from = Some([192, 0, 2, 7].into());
    tokens.verify(first.plain.expose_secret()).await.unwrap();
    let (using, text) = (tokens.clone(), late.plain.expose_secret().to_owned());
    world.store.before(
        "record_uses",
        once(move || {
            Box::pin(async move {
                let token = using.verify_from(&text, from).await.unwrap();
                assert!(token.can("b"));
            })
        }),
    );
    for _ in 0..2 {
        tokens.flush().await.unwrap();
    }
    let stored = world.stored(&late).await;
    assert_eq!((stored.last_used_at, stored.last_used_from), (Some(tokens.now()), from));
    assert_eq!(unused(&world, &late).await, [""; 0]);
}

async fn a_token_that_may_do_everything_tells_what_it_did(world: World) {
    let tokens = tracking(&world);
    let issued = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    assert!(token.can("servers:read") && token.can("sites:read") && !token.can("servers:*"));
    tokens.flush().await.unwrap();
    assert_eq!(unused(&world, &issued).await, [""; 0]);
    let stored = world.stored(&issued).await;
    assert_eq!(stored.abilities, Abilities::all());
    let used = stored.used_abilities().map(ToString::to_string);
    assert_eq!(used.collect::<Vec<_>>(), ["servers:read", "sites:read"]);
    let fewer = TokenChange::new().abilities(["servers:*", "dns:*", "sites:create"]);
    tokens.owned_by(&world.owner).change(token.id(), fewer).await.map(drop).unwrap();
    assert_eq!(unused(&world, &issued).await, ["dns:*", "sites:create"]);
}
