//! Idle: a token ends that is not used for long enough, and never one that was used in time.

use keyfob::{
    ApiTokens, IssuedToken, LastUsed, ManageError, Policy, RotateError, TokenChange, TokenRotation,
    TokenState, store::StoreError, token::Rule,
};
use time::Duration;

use crate::support::{
    Random, World, after, code_of, on_every_store, verdict, wrong_field, wrong_fields,
};

on_every_store! {
    a_period_ends_at_its_second
    each_use_begins_the_period_anew
    a_period_is_at_least_a_second_and_fits_its_column
    the_default_period_is_for_tokens_without_a_word_about_it
    a_use_is_written_before_the_answer_once_a_slack
    a_use_that_cannot_be_written_is_no_reason_to_refuse
    a_write_that_hangs_is_no_reason_to_refuse
    a_period_that_is_shorter_than_the_interval_ends_no_token_in_use
    a_token_without_a_period_is_not_written
    what_a_node_that_crashed_let_in_is_awake_for_the_others
    idleness_is_refused_only_as_the_store_says
    an_idle_token_that_is_suspended_and_resumed_is_awake
    the_end_of_a_suspension_begins_the_period
    another_period_makes_an_idle_token_good
    an_idle_token_is_managed_and_not_rotated
    the_first_use_after_a_rotation_is_a_use
    the_mark_of_a_first_use_is_a_use_though_the_use_is_lost
    a_use_before_a_second_rotation_is_not_forgotten
    a_connection_that_is_kept_open_uses_its_token
    no_token_ends_that_was_used_in_time
}

fn seconds(seconds: i64) -> Duration {
    Duration::seconds(seconds)
}

fn node(world: &World, interval: i64) -> ApiTokens {
    world.builder().last_used(LastUsed::every(seconds(interval))).build().unwrap()
}

async fn issue(world: &World, tokens: &ApiTokens, period: i64) -> IssuedToken {
    tokens.issue(world.new_token("a").idle_period(seconds(period))).await.unwrap()
}

async fn a_period_ends_at_its_second(world: World) {
    let tokens = world.tokens();
    let mut issued = Vec::new();
    for _ in 0..5 {
        issued.push(issue(&world, &tokens, 100).await);
    }
    let expected = [(98, "good"), (99, "good"), (100, "idle"), (101, "idle"), (1_000, "idle")];
    for (issued, (seconds, expected)) in issued.iter().zip(expected) {
        world.at(seconds);
        assert_eq!(verdict(&tokens, issued).await, expected, "{seconds}");
        assert_eq!(verdict(&world.tokens(), issued).await, expected, "{seconds}");
    }
    let id = issued[4].record.id;
    let of = format!("id: Some({id:?}), owner: Some({:?}), from: None", world.owner);
    assert_eq!(world.events.count(&format!("Refused {{ {of}, reason: \"idle\"")), 2);
}

async fn each_use_begins_the_period_anew(world: World) {
    let tokens = world.tokens();
    let issued = issue(&world, &tokens, 100).await;
    for step in 1..=20 {
        world.at(99 * step);
        assert_eq!(verdict(&tokens, &issued).await, "good", "{step}");
        if step % 3 == 0 {
            tokens.flush().await.unwrap();
        }
    }
    world.at(99 * 20 + 100);
    assert_eq!(verdict(&tokens, &issued).await, "idle");
    assert_eq!(verdict(&tokens, &issued).await, "idle", "a refusal is no use");
}

async fn a_period_is_at_least_a_second_and_fits_its_column(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let id = tokens.issue(world.new_token("a")).await.unwrap().record.id;
    let wrong = [
        Duration::ZERO,
        Duration::milliseconds(999),
        seconds(-1),
        Duration::MIN,
        seconds(i64::from(u32::MAX) + 1),
        Duration::MAX,
    ];
    for period in wrong {
        let refused = tokens.issue(world.new_token("b").idle_period(period)).await;
        assert_eq!(wrong_fields(refused), ["idle_seconds"], "{period}");
        let refused = own.change(id, TokenChange::new().idle_period(period)).await;
        assert_eq!(wrong_field(refused), "idle_seconds", "{period}");
        let built = world.builder().policy(Policy::new().default_idle_period(period)).build();
        let error = built.map(drop).unwrap_err();
        assert_eq!((error.name, error.rule), ("default_idle_period", Rule::IdlePeriod), "{period}");
    }
    for period in [1, u32::MAX] {
        let issued = issue(&world, &tokens, period.into()).await;
        assert_eq!(world.stored(&issued).await.idle_seconds.unwrap().get(), period);
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
}

async fn the_default_period_is_for_tokens_without_a_word_about_it(world: World) {
    let tokens = world.with(Policy::new().default_idle_period(seconds(100)));
    let usual = tokens.issue(world.new_token("a")).await.unwrap();
    let own = issue(&world, &tokens, 200).await;
    let never = tokens.issue(world.new_token("c").idle_period(None)).await.unwrap();
    let periods = [&usual, &own, &never].map(|it| it.record.idle_seconds.map(u32::from));
    assert_eq!(periods, [Some(100), Some(200), None]);
    world.at(100);
    assert_eq!(verdict(&tokens, &usual).await, "idle");
    assert_eq!(verdict(&tokens, &own).await, "good");
    world.at(1_000_000_000);
    assert_eq!(verdict(&tokens, &never).await, "good");
}

async fn a_use_is_written_before_the_answer_once_a_slack(world: World) {
    // The interval, or a hundredth of the period: whichever is longer.
    for (period, interval, slack) in [(1_000, 20, 20), (10_000, 20, 100), (50_000, 1, 500)] {
        let tokens = node(&world, interval);
        let start = tokens.now().since(after(0)).whole_seconds();
        let issued = issue(&world, &tokens, period).await;
        world.store.take_batches();
        for second in 1..=slack * 3 + 10 {
            world.at(start + second);
            assert_eq!(verdict(&tokens, &issued).await, "good");
            let record = world.stored(&issued).await;
            let awake = record.last_used_at.unwrap_or(record.created_at);
            assert!(tokens.now().since(awake) <= seconds(slack), "{second}");
        }
        let batches = world.store.take_batches();
        assert!((2..=3).contains(&batches.len()), "{period} {interval}: {batches:?}");
    }
}

async fn a_use_that_cannot_be_written_is_no_reason_to_refuse(world: World) {
    let tokens = node(&world, 10);
    let issued = issue(&world, &tokens, 1_000).await;
    world.store.fail_with(&["record_uses"], || StoreError::Busy("locked".into()));
    for second in [11, 500, 999, 1_900, 2_899] {
        world.at(second);
        assert_eq!(verdict(&tokens, &issued).await, "good", "{second}");
    }
    assert_eq!(world.stored(&issued).await.last_used_at, None);
    world.store.heal();
    world.at(3_000);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(world.stored(&issued).await.last_used_at, Some(after(3_000)));
}

async fn a_write_that_hangs_is_no_reason_to_refuse(world: World) {
    let tokens = world.builder().last_used(LastUsed::every(seconds(10)));
    let tokens = tokens.build().unwrap();
    let issued = issue(&world, &tokens, 1_000).await;
    world.store.hang("record_uses");
    world.at(500);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(world.events.count("StoreFailed"), 1);
    world.store.heal();
    tokens.flush().await.unwrap();
    assert_eq!(world.stored(&issued).await.last_used_at, Some(after(500)));
}

async fn a_period_that_is_shorter_than_the_interval_ends_no_token_in_use(world: World) {
    let mut now = 0;
    for (period, gap) in [(60, 20), (60, 29), (59, 29), (10, 4), (3, 1)] {
        for (interval, uses) in [60, 3_600].into_iter().flat_map(|it| (1..8).map(move |n| (it, n)))
        {
            let (first, second) = (node(&world, interval), node(&world, interval));
            let issued = issue(&world, &first, period).await;
            for _ in 0..uses {
                now += gap;
                world.at(now);
                assert_eq!(verdict(&first, &issued).await, "good", "{period} {gap} {uses}");
            }
            // The other has seen none of the uses.
            now += gap;
            world.at(now);
            assert_eq!(verdict(&second, &issued).await, "good", "{period} {gap} {uses}");
            now += period;
            world.at(now);
            assert_eq!(verdict(&first, &issued).await, "idle", "{period} {gap} {uses}");
        }
    }
    for period in 1..=3 {
        let (first, second) = (node(&world, 60), node(&world, 60));
        let issued = issue(&world, &first, period).await;
        now += period - 1;
        world.at(now);
        assert_eq!(verdict(&first, &issued).await, "good");
        now += period;
        world.at(now);
        assert_eq!(verdict(&first, &issued).await, "idle");
        assert_eq!(verdict(&second, &issued).await, "idle");
    }
}

async fn a_token_without_a_period_is_not_written(world: World) {
    let tokens = node(&world, 1);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for second in 1..10 {
        world.at(second * 1_000_000);
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
    assert!(world.store.take_batches().is_empty());
}

async fn what_a_node_that_crashed_let_in_is_awake_for_the_others(world: World) {
    let (first, second) = (node(&world, 10), node(&world, 10));
    let issued = issue(&world, &first, 1_000).await;
    world.at(600);
    assert_eq!(verdict(&first, &issued).await, "good");
    world.at(610);
    // Not older than the slack: this one is lost with the node.
    assert_eq!(verdict(&first, &issued).await, "good");
    drop(first);
    world.at(610 + 989);
    assert_eq!(verdict(&second, &issued).await, "good");
}

async fn idleness_is_refused_only_as_the_store_says(world: World) {
    let (tokens, other) = (node(&world, 10), node(&world, 10));
    let issued = issue(&world, &tokens, 100).await;
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    let old = world.stored(&issued).await;
    world.at(90);
    assert_eq!(verdict(&other, &issued).await, "good");
    other.flush().await.unwrap();
    drop(other);
    // The memory of this node does not know of that.
    world.store.invent(&old);
    for second in [110, 189] {
        world.at(second);
        world.store.take_calls();
        assert_eq!(code_of(&tokens.revalidate(&token).await), "good", "{second}");
        assert_eq!(verdict(&tokens, &issued).await, "good", "{second}");
        assert!(world.store.take_calls().contains(&"find"));
    }
    world.at(289);
    assert_eq!(verdict(&tokens, &issued).await, "idle");
    assert_eq!(code_of(&tokens.revalidate(&token).await), "idle");
}

async fn an_idle_token_that_is_suspended_and_resumed_is_awake(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = issue(&world, &tokens, 100).await;
    world.at(500);
    assert_eq!(verdict(&tokens, &issued).await, "idle");
    own.resume(issued.record.id).await.map(drop).unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "idle", "it was not suspended");
    own.suspend(issued.record.id).await.map(drop).unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "suspended");
    own.resume(issued.record.id).await.map(drop).unwrap();
    for node in [&tokens, &world.tokens()] {
        world.at(599);
        assert_eq!(
            node.owned_by(&world.owner).get(issued.record.id).await.unwrap().state_at(after(599)),
            TokenState::Active
        );
    }
    assert_eq!(verdict(&world.tokens(), &issued).await, "good");
    world.at(800);
    assert_eq!(verdict(&tokens, &issued).await, "idle");
}

async fn the_end_of_a_suspension_begins_the_period(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = [issue(&world, &tokens, 100).await, issue(&world, &tokens, 100).await];
    for issued in &issued {
        own.suspend_until(issued.record.id, after(1_000)).await.map(drop).unwrap();
    }
    world.at(999);
    assert_eq!(verdict(&tokens, &issued[0]).await, "suspended");
    world.at(1_099);
    assert_eq!(verdict(&tokens, &issued[0]).await, "good");
    world.at(1_100);
    assert_eq!(verdict(&tokens, &issued[1]).await, "idle");
}

async fn another_period_makes_an_idle_token_good(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = [issue(&world, &tokens, 100).await, issue(&world, &tokens, 100).await];
    world.at(150);
    for issued in &issued {
        assert_eq!(verdict(&tokens, issued).await, "idle");
    }
    let longer = TokenChange::new().idle_period(seconds(151));
    own.change(issued[0].record.id, longer).await.map(drop).unwrap();
    own.change(issued[1].record.id, TokenChange::new().idle_period(None)).await.map(drop).unwrap();
    for issued in &issued {
        assert_eq!(verdict(&tokens, issued).await, "good");
    }
    world.at(1_000);
    assert_eq!(verdict(&tokens, &issued[0]).await, "idle");
    assert_eq!(verdict(&tokens, &issued[1]).await, "good");
}

async fn an_idle_token_is_managed_and_not_rotated(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = issue(&world, &tokens, 100).await;
    let id = issued.record.id;
    world.at(100);
    let refused = own.rotate(id, TokenRotation::new()).await;
    assert!(
        matches!(refused, Err(RotateError::Manage(ManageError::NotActive(TokenState::Idle)))),
        "{refused:?}"
    );
    let renamed: Result<_, ManageError> = own.rename(id, "renamed").await;
    assert_eq!(renamed.unwrap().state_at(tokens.now()), TokenState::Idle);
    assert_eq!(verdict(&tokens, &issued).await, "idle");
    own.revoke(id).await.unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}

async fn the_first_use_after_a_rotation_is_a_use(world: World) {
    let (first, second) = (node(&world, 10), node(&world, 10));
    let issued = issue(&world, &first, 1_000).await;
    world.at(900);
    let own = first.owned_by(&world.owner);
    let rotated = own.rotate(issued.record.id, TokenRotation::new()).await.unwrap();
    world.at(999);
    assert_eq!(verdict(&first, &rotated).await, "good");
    drop((own, first));
    world.at(1_998);
    assert_eq!(verdict(&second, &rotated).await, "good");
    world.at(2_998);
    assert_eq!(verdict(&second, &rotated).await, "idle");
}

/// The node that has seen the use dies before it can write it.
async fn the_mark_of_a_first_use_is_a_use_though_the_use_is_lost(world: World) {
    let (first, second) = (node(&world, 10), node(&world, 10));
    let issued = issue(&world, &first, 1_000).await;
    world.at(900);
    let own = second.owned_by(&world.owner);
    let rotated = own.rotate(issued.record.id, TokenRotation::new()).await.unwrap();
    world.at(999);
    world.store.fail(&["record_uses"]);
    assert_eq!(verdict(&first, &rotated).await, "good");
    drop(first);
    world.store.heal();
    assert_eq!(world.stored(&rotated).await.last_used_at, None);
    world.at(1_998);
    assert_eq!(verdict(&second, &rotated).await, "good");
}

async fn a_use_before_a_second_rotation_is_not_forgotten(world: World) {
    let (first, second) = (node(&world, 10), node(&world, 10));
    let issued = issue(&world, &first, 1_000).await;
    world.at(900);
    let rotation = || TokenRotation::new().grace(Duration::ZERO);
    let id = issued.record.id;
    let own = second.owned_by(&world.owner);
    let rotated = own.rotate(id, rotation()).await.unwrap();
    world.at(995);
    assert_eq!(verdict(&first, &rotated).await, "good");
    drop(first);
    let rotated = own.rotate(id, rotation()).await.unwrap();
    world.at(1_500);
    assert_eq!(verdict(&second, &rotated).await, "good", "it was used 505 seconds ago");
}

async fn a_connection_that_is_kept_open_uses_its_token(world: World) {
    let (first, second) = (node(&world, 10), node(&world, 10));
    let issued = issue(&world, &first, 1_000).await;
    let mut token = first.verify(issued.plain.expose_secret()).await.unwrap();
    for step in 1..=5 {
        world.at(step * 990);
        token = first.revalidate(&token).await.unwrap();
        assert_eq!(world.stored(&issued).await.last_used_at, Some(after(step * 990)));
    }
    drop(first);
    world.at(5 * 990 + 989);
    assert_eq!(code_of(&second.revalidate(&token).await), "good");
    world.at(10_000);
    assert_eq!(code_of(&second.revalidate(&token).await), "idle");
}

/// A token that two nodes see, which crash, flush, rotate, suspend and resume as it comes.
async fn no_token_ends_that_was_used_in_time(world: World) {
    let mut now = 0;
    for seed in 0..40 {
        let mut random = Random(seed);
        let (period, interval) = (random.pick(&[60, 300, 5_000]), random.pick(&[1, 7, 60]));
        let slack_in_hundredths = (interval * 100).max(period).min(period * 50);
        let mut nodes = [node(&world, interval), node(&world, interval)];
        let mut issued = issue(&world, &nodes[0], period).await;
        let mut awake = now;
        for step in 0..40 {
            let most = random.pick(&[2, interval + 1, period / 3, period + 1]);
            now += i64::try_from(random.below(usize::try_from(most).unwrap() + 1)).unwrap();
            world.at(now);
            let place = random.below(2);
            let (own, id) = (nodes[place].owned_by(&world.owner), issued.record.id);
            match random.below(8) {
                0 => nodes[place] = node(&world, interval),
                1 => nodes[place].flush().await.unwrap(),
                2 => {
                    let rotation = TokenRotation::new().grace(Duration::ZERO);
                    if let Ok(rotated) = own.rotate(id, rotation).await {
                        issued = rotated;
                    }
                }
                3 if random.below(4) == 0 => {
                    own.suspend(id).await.map(drop).unwrap();
                    own.resume(id).await.map(drop).unwrap();
                    awake = now;
                }
                _ => {}
            }
            let asleep = now - awake;
            let verdict = verdict(&nodes[random.below(2)], &issued).await;
            let context = format!("seed {seed}, step {step}: {asleep} of {period}, {interval}");
            assert!(verdict == "good" || verdict == "idle", "{context}: {verdict}");
            if asleep * 100 < period * 100 - slack_in_hundredths {
                assert_eq!(verdict, "good", "{context}");
            }
            if asleep >= period {
                assert_eq!(verdict, "idle", "{context}");
            }
            if verdict == "idle" {
                break;
            }
            awake = now;
        }
        now += 1;
    }
}
