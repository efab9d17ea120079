//! Whoever drives a query may go at any time: those who wait for it get through.

use super::*;

#[tokio::test]
async fn a_lone_caller_who_goes_lets_the_others_on() {
    let (world, tokens, issued) = cold(3).await;
    let mut all = all_verifying(&tokens, &issued);
    drop(all.remove(0));
    all_are_good(all).await;
    assert_eq!(queries(&world, &issued), [vec![0], vec![1, 2]]);
}

#[tokio::test]
async fn a_query_goes_on_in_other_hands_wherever_it_was_left() {
    const WAITS: usize = 3;
    for polls in 0..=WAITS {
        let (world, tokens, issued) = cold(4).await;
        world.store.before("find_many", || {
            async {
                for _ in 0..WAITS {
                    tokio::task::yield_now().await;
                }
            }
            .boxed()
        });
        let mut all = all_verifying(&tokens, &issued);
        assert!(poll(&mut all[0]).is_ready());
        assert!((0..polls).all(|_| poll(&mut all[1]).is_pending()));
        let left = all.split_off(2);
        drop(all);
        all_are_good(left).await;
        let batch = if polls == 0 { vec![2, 3] } else { vec![1, 2, 3] };
        assert_eq!(queries(&world, &issued), [vec![0], batch], "after {polls} polls");
    }
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_any_more_ends() {
    let (world, tokens, issued) = cold(4).await;
    let mut all = all_verifying(&tokens, &issued[..3]);
    assert!(poll(&mut all[0]).is_ready());
    assert!(poll(&mut all[1]).is_pending());
    drop(all);
    all_are_good(vec![verifying(&tokens, &issued[3])]).await;
    assert_eq!(
        queries(&world, &issued),
        [vec![0], vec![1, 2], vec![3]],
        "and nobody goes on with it"
    );
}
