//! Nobody is judged by what was read before he came, and nobody asks for what is known by now.

use keyfob::{Cache, ManageError, RotateError, TokenRotation, TokenState};

use super::*;

/// Answers of the store are read at once, and arrive only when asked for again.
fn slow_answers(world: &World) {
    for step in ["find", "find_many"] {
        world.store.after(step, || tokio::task::yield_now().boxed());
    }
}

#[tokio::test]
async fn nobody_takes_the_answer_of_a_lookup_that_was_sent_before_he_came() {
    let (world, tokens, issued) = cold(3).await;
    slow_answers(&world);
    let elsewhere = world.tokens();
    let own = elsewhere.owned_by(&world.owner);

    let mut all = all_verifying(&tokens, &issued);
    own.revoke(issued[0].record.id).await.unwrap();
    let mut late = all_verifying(&tokens, &issued[..1]);
    assert!(matches!(poll(&mut all[0]), Poll::Ready(Ok(_))), "he came before the revocation");

    assert!(poll(&mut all[1]).is_pending());
    assert_eq!(queries(&world, &issued), [vec![0], vec![0, 1, 2]], "the batch has been read");
    own.revoke(issued[2].record.id).await.unwrap();
    late.append(&mut all_verifying(&tokens, &issued[2..]));
    assert!(matches!(poll(&mut all[1]), Poll::Ready(Ok(_))));
    assert!(matches!(poll(&mut all[2]), Poll::Ready(Ok(_))), "he came before the revocation too");

    for verdict in join_all(late).await {
        assert!(matches!(verdict, Err(VerifyError::Revoked(_))), "{verdict:?}");
    }
    assert_eq!(queries(&world, &issued), [[2]]);
}

#[tokio::test]
async fn who_waits_is_answered_by_what_was_remembered_meanwhile() {
    let (world, _, issued) = cold(2).await;
    let tokens =
        world.builder().deadline(Duration::MINUTE).cache(Cache::for_up_to(Duration::seconds(5)));
    let tokens = tokens.build().unwrap();
    let mut all = all_verifying(&tokens, &issued[..1]);
    for one in [0, 0, 1, 0] {
        all.append(&mut all_verifying(&tokens, &issued[one..=one]));
    }
    all_are_good(all).await;
    assert_eq!(queries(&world, &issued), [[0], [1]]);
}

/// What is written because of a token is never written because of what memory says of it.
#[tokio::test]
async fn who_needs_the_store_asks_it_beside_others_who_are_answered_from_memory() {
    let (world, _, issued) = cold(1).await;
    let tokens =
        world.builder().deadline(Duration::MINUTE).cache(Cache::for_up_to(Duration::seconds(5)));
    let tokens = tokens.build().unwrap();
    let token = tokens.verify(text_of(&issued[0])).await.unwrap();
    world.clock.advance(Duration::seconds(5));
    world.store.take_lookups();

    let mut first = all_verifying(&tokens, &issued);
    let beside = all_verifying(&tokens, &issued);
    let mut rotating = tokens.rotate_presented(&token, TokenRotation::new()).boxed();
    assert!(poll(&mut rotating).is_pending());
    assert!(matches!(poll(&mut first[0]), Poll::Ready(Ok(_))), "it is remembered from now on");
    let elsewhere = ApiTokens::builder_on(world.store.inner()).prefix("acme").build().unwrap();
    elsewhere.owned_by(&world.owner).suspend(issued[0].record.id).await.unwrap();

    let (verdicts, rotated) = futures_util::future::join(join_all(beside), rotating).await;
    assert!(
        matches!(rotated, Err(RotateError::Manage(ManageError::NotActive(TokenState::Suspended)))),
        "{:?}",
        rotated.map(drop)
    );
    assert_eq!(verdicts.len(), 1);
    assert_eq!(queries(&world, &issued), [[0], [0]]);
}
