//! A look-up that hangs does not hold up the others for long.

use super::*;

/// What a look-up may take before another is sent beside it.
const PATIENCE: Duration = Duration::milliseconds(250);

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

#[tokio::test]
async fn at_most_four_lookups_are_under_way() {
    let (world, tokens, issued) = hanging(7).await;
    let mut all = Vec::new();
    for one in issued.chunks(1) {
        all.append(&mut all_verifying(&tokens, one));
        world.clock.advance(PATIENCE + Duration::MILLISECOND);
    }
    assert_eq!(queries(&world, &issued), [[0], [1], [2], [3]]);

    world.store.heal();
    let waiting = all.split_off(4);
    drop(all.remove(0));
    all_are_good(waiting).await;
    assert_eq!(queries(&world, &issued), [[4, 5, 6]], "one that ends makes room");
    assert!(all.iter_mut().all(|it| poll(it).is_pending()));
}

#[tokio::test]
async fn lookups_that_nobody_goes_on_with_count_no_more_after_the_deadline() {
    let (world, tokens, issued) = hanging(6).await;
    let mut forgotten = Vec::new();
    for one in issued[..4].chunks(1) {
        forgotten.append(&mut all_verifying(&tokens, one));
        world.clock.advance(PATIENCE + Duration::MILLISECOND);
    }
    world.store.heal();
    let waiting = all_verifying(&tokens, &issued[4..5]);
    world.clock.advance(Duration::MINUTE);
    let late = verifying(&tokens, &issued[5]);
    all_are_good(waiting.into_iter().chain([late]).collect()).await;
    assert_eq!(queries(&world, &issued), [vec![0], vec![1], vec![2], vec![3], vec![4, 5]]);
}
