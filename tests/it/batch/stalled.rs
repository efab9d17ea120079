//! A look-up that hangs does not hold up the others for long.

use futures_util::{StreamExt, stream};

use super::*;

/// What a look-up may take before another is sent beside it.
const PATIENCE: Duration = Duration::milliseconds(250);
/// A look-up that does not hang.
const SLOW: std::time::Duration = std::time::Duration::from_millis(10);

/// As [`cold`], with a store that never answers.
async fn hanging(count: usize) -> (World, ApiTokens, Vec<IssuedToken>) {
    let cold = cold(count).await;
    for step in ["find", "find_many"] {
        cold.0.store.hang(step);
    }
    cold
}

#[tokio::test]
async fn a_lookup_that_hangs_is_overtaken_after_a_quarter_of_a_second() {
    let (world, tokens, issued) = hanging(4).await;
    let mut all = all_verifying(&tokens, &issued[..2]);
    world.clock.advance(PATIENCE);
    all.append(&mut all_verifying(&tokens, &issued[2..3]));
    assert_eq!(queries(&world, &issued), [[0]], "until then, everybody waits");

    world.clock.advance(Duration::MILLISECOND);
    world.store.heal();
    all.push(verifying(&tokens, &issued[3]));
    let mut hangs = all.remove(0);
    all_are_good(all).await;
    assert_eq!(queries(&world, &issued), [[1, 2, 3]], "and then all who wait go out together");
    assert!(poll(&mut hangs).is_pending());
}

/// The one that hangs is polled no more, and neither does anybody come who would see it.
#[tokio::test]
async fn a_lookup_that_hangs_is_overtaken_by_those_who_wait_already() {
    let (world, tokens, issued) = hanging(3).await;
    let mut all = all_verifying(&tokens, &issued);
    world.clock.advance(PATIENCE + Duration::MILLISECOND);
    world.store.heal();
    let hangs = all.remove(0);
    all_are_good(all).await;
    assert_eq!(queries(&world, &issued), [vec![0], vec![1, 2]]);
    drop(hangs);
}

/// One token, and two crowds: three look-ups, as many as are under way that don't hang.
const COME_AT_ONCE: usize = 1 + 9 + 9;

/// As [`hanging`], with the deadline that is the default.
async fn hanging_for_two_seconds(count: usize) -> (World, ApiTokens, Vec<IssuedToken>) {
    let (world, _, issued) = hanging(count).await;
    let tokens = world.builder().deadline(Duration::seconds(2)).build().unwrap();
    (world, tokens, issued)
}

/// Callers come in crowds, each a stall after the one before, and are polled no more.
fn come_and_hang<'a>(
    world: &World,
    tokens: &'a ApiTokens,
    issued: &'a [IssuedToken],
) -> Vec<Verifying<'a>> {
    let mut all = Vec::new();
    for crowd in issued.chunks(COME_AT_ONCE) {
        all.append(&mut all_verifying(tokens, crowd));
        world.clock.advance(PATIENCE + Duration::MILLISECOND);
    }
    all
}

/// How many tokens each query so far has asked for.
fn sizes(world: &World) -> Vec<usize> {
    world.store.take_lookups().iter().map(Vec::len).collect()
}

#[tokio::test]
async fn at_most_four_lookups_are_under_way_and_one_more_for_each_stall_until_the_deadline() {
    let (world, tokens, issued) = hanging_for_two_seconds(5 * COME_AT_ONCE).await;
    let mut all = come_and_hang(&world, &tokens, &issued);
    assert_eq!(sizes(&world), [1, 9, 9].repeat(4), "the last ones wait");

    world.store.heal();
    let waiting = all.split_off(4 * COME_AT_ONCE);
    drop(all.remove(0));
    all_are_good(waiting).await;
    assert_eq!(sizes(&world), [COME_AT_ONCE], "one that ends makes room");
    assert!(all.iter_mut().all(|it| poll(it).is_pending()));
}

#[tokio::test]
async fn lookups_that_nobody_goes_on_with_count_no_more_after_the_deadline() {
    let (world, tokens, issued) = hanging_for_two_seconds(4 * COME_AT_ONCE + 2).await;
    let (forgotten, others) = issued.split_at(4 * COME_AT_ONCE);
    let forgotten = come_and_hang(&world, &tokens, forgotten);
    let waiting = all_verifying(&tokens, &others[..1]);
    assert_eq!(sizes(&world), [1, 9, 9].repeat(4));

    world.store.heal();
    world.clock.advance(Duration::seconds(2));
    let late = verifying(&tokens, &others[1]);
    all_are_good(waiting.into_iter().chain([late]).collect()).await;
    assert_eq!(sizes(&world), [2]);
    drop(forgotten);
}

/// A stream of verifications that is not polled while its consumer does something slow.
#[tokio::test]
async fn nobody_depends_on_another_caller_being_polled() {
    let (world, tokens, issued) = cold(4).await;
    for step in ["find", "find_many"] {
        world.store.before(step, || tokio::time::sleep(SLOW).boxed());
    }
    let (buffered, other) = issued.split_at(3);
    let verifying_all = stream::iter(buffered).map(|it| tokens.verify(text_of(it))).buffered(3);
    let mut verifying_all = std::pin::pin!(verifying_all);
    assert!(verifying_all.next().await.unwrap().is_ok());

    world.clock.advance(PATIENCE + Duration::MILLISECOND);
    all_are_good(vec![verifying(&tokens, &other[0])]).await;
    assert_eq!(verifying_all.count().await, 2);
}

/// Four callers whose look-ups are under way, and who are polled no more.
#[tokio::test]
async fn lookups_that_nobody_goes_on_with_are_in_nobodys_way() {
    let (world, tokens, issued) = hanging(5).await;
    let mut forgotten = Vec::new();
    for one in issued[..4].chunks(1) {
        forgotten.append(&mut all_verifying(&tokens, one));
        world.clock.advance(PATIENCE + Duration::MILLISECOND);
    }
    world.store.heal();
    all_are_good(vec![verifying(&tokens, &issued[4])]).await;
    drop(forgotten);
}
