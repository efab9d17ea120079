//! What holds whatever runs at the same time. Each scenario is random in its order, and certain in its outcome.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use keyfob::{
    ApiTokens, ApiTokensBuilder, IssueError, IssuedToken, ListTokens, NewToken, Policy, VerifyError,
};
use time::Duration;
use tokio::task::JoinHandle;

use crate::support::{Random, World, after, on_every_store, owner};

on_every_store! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 8)] =>
    of_64_issues_at_once_as_many_get_through_as_the_limit_says
    of_many_issues_of_one_name_at_once_one_gets_through
    of_many_issues_for_one_request_one_gets_through
    after_a_revocation_no_verification_passes
    issuing_while_all_are_revoked_leaves_no_token_in_between
    pruning_takes_no_token_from_under_a_verification
    a_flush_revives_and_undoes_nothing
    no_use_is_lost_between_threads
}

/// With all the time that a busy machine needs.
fn patient(world: &World) -> ApiTokensBuilder {
    world.builder().deadline(Duration::MINUTE)
}

async fn used(tokens: &ApiTokens, issued: &IssuedToken) {
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
}

/// Issues so many tokens at once, from handles that share nothing but the store, and tells what came of each.
async fn issue_at_once(
    handles: &[ApiTokens],
    count: usize,
    new: impl Fn(usize) -> NewToken,
) -> Vec<Result<IssuedToken, IssueError>> {
    let issues: Vec<_> = (0..count)
        .map(|number| {
            let (tokens, new) = (handles[number % handles.len()].clone(), new(number));
            tokio::spawn(async move { tokens.issue(new).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for issue in issues {
        outcomes.push(issue.await.unwrap());
    }
    outcomes
}

async fn of_64_issues_at_once_as_many_get_through_as_the_limit_says(world: World) {
    let handle = || patient(&world).policy(Policy::new().limit_per_owner(10)).build().unwrap();
    let handles = [handle(), handle(), handle()];
    for round in 0..8 {
        let owner = owner(&format!("user:{round}"));
        let new = |number| NewToken::new(owner.clone(), format!("token {number}"));
        let outcomes = issue_at_once(&handles, 64, new).await;
        let issued: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(issued.len(), 10);
        let refused =
            outcomes.iter().filter(|it| matches!(it, Err(IssueError::LimitReached { .. })));
        assert_eq!(refused.count(), 54);
        for issued in issued {
            used(&handles[0], issued).await;
        }
        assert_eq!(handles[0].owned_by(&owner).count().await.unwrap().not_revoked(), 10);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn two_services_on_one_file_keep_one_limit() {
    let world = World::sqlite().await;
    let path = world.directory.as_ref().unwrap().path().join("tokens.db");
    let other = keyfob::store::SqliteStore::open(path).await.unwrap();
    let other = ApiTokens::builder(other).prefix("acme").clock(world.clock.clone());
    let other = other.deadline(Duration::MINUTE);
    two_services_keep_one_limit([patient(&world), other]).await;
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod engines {
    use keyfob::ApiTokens;

    use crate::support::engine::{Engine, Place, on_every_engine};

    on_every_engine! {
        two_services_on_one_database_keep_one_limit
    }

    async fn two_services_on_one_database_keep_one_limit<E: Engine>() {
        let place = Place::<E>::new().await;
        let builder = async || {
            let pool = place.pool(&place.address(), 10).await;
            ApiTokens::builder(place.store(pool).await).prefix("acme").deadline(PATIENCE)
        };
        super::two_services_keep_one_limit([builder().await, builder().await]).await;
    }

    /// All issue to one owner, one after the other, while other tests use the machine.
    const PATIENCE: time::Duration = time::Duration::seconds(30);
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
async fn two_services_keep_one_limit(services: [ApiTokensBuilder; 2]) {
    let handles = services
        .map(|it| it.policy(Policy::new().limit_per_owner(10).unique_names(true)).build().unwrap());
    for round in 0..6 {
        let owner = owner(&format!("user:{round}"));
        let new = |number| NewToken::new(owner.clone(), format!("token {}", number / 2));
        let outcomes = issue_at_once(&handles, 64, new).await;
        assert_eq!(outcomes.iter().flatten().count(), 10);
        let listed = handles[1].owned_by(&owner).list(ListTokens::new()).await.unwrap().tokens;
        let names: std::collections::BTreeSet<_> =
            listed.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((listed.len(), names.len()), (10, 10), "no name is there twice");
        for issued in outcomes.iter().flatten() {
            handles[1].owned_by(&owner).revoke(issued.record.id).await.unwrap();
            let refused = handles[0].verify(issued.plain.expose_secret()).await;
            assert!(matches!(refused, Err(VerifyError::Revoked(_))));
        }
    }
}

async fn of_many_issues_of_one_name_at_once_one_gets_through(world: World) {
    let handle = || patient(&world).policy(Policy::new().unique_names(true)).build().unwrap();
    let handles = [handle(), handle()];
    for round in 0..8 {
        let owner = owner(&format!("user:{round}"));
        let outcomes = issue_at_once(&handles, 32, |_| NewToken::new(owner.clone(), "ci")).await;
        assert_eq!(outcomes.iter().flatten().count(), 1);
        let taken = outcomes.iter().filter(|it| matches!(it, Err(IssueError::NameTaken)));
        assert_eq!(taken.count(), 31);
    }
}

async fn of_many_issues_for_one_request_one_gets_through(world: World) {
    let handles = [patient(&world).build().unwrap(), patient(&world).build().unwrap()];
    for round in 0..8 {
        let key = keyfob::token::IdempotencyKey::new(format!("request {round}")).unwrap();
        let new = |_| world.new_token("a").idempotency_key(key.clone());
        let outcomes = issue_at_once(&handles, 16, new).await;
        let issued: Vec<_> = outcomes.iter().flatten().map(|it| it.record.id).collect();
        assert_eq!(issued.len(), 1);
        for outcome in outcomes.iter().filter_map(|it| it.as_ref().err()) {
            assert!(matches!(outcome, IssueError::AlreadyIssued(id) if *id == issued[0]));
        }
    }
}

/// Verifies the token at least once and until it is told to stop, and tells how often it was refused.
fn hammer(
    tokens: &ApiTokens,
    issued: &Arc<IssuedToken>,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<u32> {
    let (tokens, issued, stop) = (tokens.clone(), issued.clone(), stop.clone());
    tokio::spawn(async move {
        let mut refused = 0;
        loop {
            refused += u32::from(tokens.verify(issued.plain.expose_secret()).await.is_err());
            if stop.load(SeqCst) {
                return refused;
            }
            tokio::task::yield_now().await;
        }
    })
}

async fn after_a_revocation_no_verification_passes(world: World) {
    let tokens = patient(&world).build().unwrap();
    for round in 0..20 {
        let issued = Arc::new(tokens.issue(world.new_token("a")).await.unwrap());
        let revoked = Arc::new(AtomicBool::new(false));
        let watchers: Vec<_> = (0..6)
            .map(|_| {
                let (tokens, issued, revoked) = (tokens.clone(), issued.clone(), revoked.clone());
                tokio::spawn(async move {
                    loop {
                        let too_late = revoked.load(SeqCst);
                        let verified = tokens.verify(issued.plain.expose_secret()).await;
                        assert!(!(too_late && verified.is_ok()), "a revoked token has passed");
                        if too_late {
                            break;
                        }
                        tokens.flush().await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
        revoked.store(true, SeqCst);
        for watcher in watchers {
            watcher.await.unwrap();
        }
        tokens.flush().await.unwrap();
        assert!(tokens.verify(issued.plain.expose_secret()).await.is_err());
    }
}

async fn issuing_while_all_are_revoked_leaves_no_token_in_between(world: World) {
    let tokens = patient(&world).build().unwrap();
    for round in 0..10 {
        let owner = owner(&format!("user:{round}"));
        let own = tokens.owned_by(&owner);
        let before = tokens.issue(NewToken::new(owner.clone(), "before")).await.unwrap();
        let revoking = tokio::spawn({
            let own = own.clone();
            async move { own.revoke_all().await.unwrap() }
        });
        let new = |_| NewToken::new(owner.clone(), "during");
        let outcomes = issue_at_once(std::slice::from_ref(&tokens), 8, new).await;
        let revoked = revoking.await.unwrap();
        assert!(revoked.contains(&before.record.id));
        for issued in outcomes.into_iter().map(Result::unwrap) {
            let verified = tokens.verify(issued.plain.expose_secret()).await.is_ok();
            assert_eq!(verified, !revoked.contains(&issued.record.id), "what was told is what is");
        }
        own.revoke_all().await.unwrap();
        assert_eq!(own.count().await.unwrap().not_revoked(), 0);
    }
}

async fn pruning_takes_no_token_from_under_a_verification(world: World) {
    let tokens = patient(&world).build().unwrap();
    let lasting = Arc::new(tokens.issue(world.new_token("lasting")).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let hammers: Vec<_> = (0..4).map(|_| hammer(&tokens, &lasting, &stop)).collect();
    for _ in 0..20 {
        let new = world.new_token("short").expires_in(Duration::SECOND);
        let short = tokens.issue(new).await.unwrap();
        used(&tokens, &short).await;
        world.clock.advance(Duration::seconds(2));
        let (pruned, flushed) = tokio::join!(tokens.prune(tokens.now()), tokens.flush());
        flushed.unwrap();
        assert_eq!(pruned.unwrap(), 1);
        used(&tokens, &lasting).await;
        let gone = tokens.verify(short.plain.expose_secret()).await;
        assert!(matches!(gone, Err(VerifyError::Unknown)), "{gone:?}");
    }
    stop.store(true, SeqCst);
    for hammer in hammers {
        assert_eq!(hammer.await.unwrap(), 0);
    }
}

async fn a_flush_revives_and_undoes_nothing(world: World) {
    let tokens = patient(&world).build().unwrap();
    let own = tokens.owned_by(&world.owner);
    for round in 0..20 {
        let issued = Arc::new(tokens.issue(world.new_token("a")).await.unwrap());
        let id = issued.record.id;
        let stop = Arc::new(AtomicBool::new(false));
        let hammers: Vec<_> = (0..3).map(|_| hammer(&tokens, &issued, &stop)).collect();
        let flushes = tokio::spawn({
            let (tokens, stop, clock) = (tokens.clone(), stop.clone(), world.clock.clone());
            async move {
                while !stop.load(SeqCst) {
                    clock.advance(Duration::SECOND);
                    tokens.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let name = format!("renamed {round}");
        own.rename(id, &name).await.map(drop).unwrap();
        own.revoke(id).await.unwrap();
        let revoked = own.get(id).await.unwrap().revocation;
        for _ in 0..round * 5 {
            tokio::task::yield_now().await;
        }
        stop.store(true, SeqCst);
        flushes.await.unwrap();
        for hammer in hammers {
            hammer.await.unwrap();
        }
        tokens.flush().await.unwrap();
        let stored = world.stored(&issued).await;
        assert_eq!((stored.name.as_str(), &stored.revocation), (name.as_str(), &revoked));
        assert!(revoked.is_some());
    }
    let any = own.list(ListTokens::new().any_state().per_page(200)).await.unwrap();
    assert_eq!(any.tokens.len(), 20);
}

async fn no_use_is_lost_between_threads(world: World) {
    let tokens = patient(&world).build().unwrap();
    let issued = Arc::new(world.issue_many(&tokens, 3).await);
    let workers: Vec<_> = (0..8_u64)
        .map(|seed| {
            let (tokens, issued, clock) = (tokens.clone(), issued.clone(), world.clock.clone());
            tokio::spawn(async move {
                let mut random = Random(seed);
                let mut latest = [after(0); 3];
                for _ in 0..200 {
                    let place = random.below(3);
                    latest[place] = tokens.now();
                    used(&tokens, &issued[place]).await;
                    match random.below(10) {
                        0 => tokens.flush().await.unwrap(),
                        1 | 2 => clock.advance(Duration::SECOND),
                        _ => tokio::task::yield_now().await,
                    }
                }
                latest
            })
        })
        .collect();
    let mut latest = [after(0); 3];
    for worker in workers {
        let theirs = worker.await.unwrap();
        latest = std::array::from_fn(|place| latest[place].max(theirs[place]));
    }
    tokens.flush().await.unwrap();
    for (issued, latest) in issued.iter().zip(latest) {
        let written = world.stored(issued).await.last_used_at.unwrap();
        assert!(latest <= written && written <= tokens.now(), "{written} is not {latest}");
    }
}
