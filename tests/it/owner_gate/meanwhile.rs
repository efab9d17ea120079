//! What happens between the question and the answer.

use futures_util::FutureExt;
use keyfob::{Cache, TokenRotation};
use time::Duration;

use super::{gated, kept_for};
use crate::support::{World, after, on_every_store, once, store_ext::StoreExt, verdict};

on_every_store! {
    a_verification_goes_by_its_own_answer
    of_a_token_that_was_changed_meanwhile_the_gate_is_asked_again
    what_is_revoked_while_the_gate_answers_is_not_let_in_by_what_is_in_memory
}

async fn a_verification_goes_by_its_own_answer(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 5).await;
    let other = tokens.issue(world.new_token("other")).await.unwrap();
    gate.disable(&world.owner);
    let (there, inside, stranger) = (tokens.clone(), gate.clone(), world.stranger.clone());
    gate.meanwhile(async move {
        inside.enable();
        assert_eq!(verdict(&there, &other).await, "good");
        // What is under way is not kept, and the answer that is there stays.
        there.owner_changed(&stranger);
    });
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled");
    assert_eq!(gate.asked(), 2);
}

async fn of_a_token_that_was_changed_meanwhile_the_gate_is_asked_again(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 0).await;
    let own = tokens.owned_by(&world.owner);
    let rotated = own.rotate(issued.record.id, TokenRotation::new()).await.unwrap();
    let (inner, inside, owner) = (world.store.inner(), gate.clone(), world.owner.clone());
    let (id, digest) = (rotated.record.id, rotated.record.digest.clone());
    let meanwhile = async move {
        let _ = inner.mark_first_use(id, &digest, after(0)).await.unwrap();
        inside.disable(&owner);
    };
    world.store.before("first_use", once(move || meanwhile.boxed()));
    assert_eq!(verdict(&tokens, &rotated).await, "owner_disabled");
    assert_eq!(gate.asked(), 2);
}

async fn what_is_revoked_while_the_gate_answers_is_not_let_in_by_what_is_in_memory(world: World) {
    let (builder, gate) = gated(&world);
    world.store.forget();
    let tokens = builder.cache(Cache::for_up_to(Duration::seconds(5))).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "good");
    let (own, id) = (tokens.owned_by(&world.owner), issued.record.id);
    gate.meanwhile(async move { own.revoke(id).await.unwrap() });
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}
