//! What is done in the application's transaction happens with it, or not at all.

mod databases;

use keyfob::{
    Cache, IssueError, ManageError, NewToken, Policy, RotateError, TokenRotation, VerifyError,
    store::{StoreError, TokenStore},
};

use self::databases::{Database, on_every_database};
use crate::support::store_ext::StoreExt;
use crate::support::{owner, verdict};

on_every_database! {
    a_project_and_its_first_token_come_together
    neither_comes_where_the_transaction_is_rolled_back
    a_refusal_leaves_the_transaction_as_it_was
    a_token_is_good_until_its_revocation_is_committed
    all_tokens_of_an_owner_end_with_the_owner
    what_was_revoked_elsewhere_before_is_forgotten_here
    a_rotation_that_is_rolled_back_has_not_happened
    the_tokens_of_others_are_not_found
    what_is_pending_shows_no_secret
    what_is_dropped_is_told_and_forgotten_here
    the_limit_counts_what_a_transaction_has_issued
}

async fn a_project_and_its_first_token_come_together(database: impl Database) {
    let world = database.world();
    let tokens = world.tokens();
    let mut transaction = database.begin().await;
    transaction.add_project("blog").await;
    let new = NewToken::new(owner("project:blog"), "first");
    let pending = tokens.issue_within(&*transaction.store(), new).await.unwrap();
    let id = pending.record().id;
    assert!(world.events.take().is_empty(), "nobody hears of it before");
    transaction.commit().await;

    let issued = pending.committed().await;
    assert_eq!(issued.record.id, id);
    assert_eq!(world.events.kinds(), ["Issued"]);
    assert_eq!(database.projects().await, 1);
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn neither_comes_where_the_transaction_is_rolled_back(database: impl Database) {
    let world = database.world();
    let tokens = world.tokens();
    let mut transaction = database.begin().await;
    transaction.add_project("blog").await;
    let new = NewToken::new(owner("project:blog"), "first");
    let pending = tokens.issue_within(&*transaction.store(), new).await.unwrap();
    let id = pending.record().id;
    drop(transaction);
    drop(pending);

    assert_eq!(world.events.kinds(), ["Uncommitted"]);
    assert_eq!(database.projects().await, 0);
    assert!(world.store.one(id).await.unwrap().is_none());
}

async fn a_refusal_leaves_the_transaction_as_it_was(database: impl Database) {
    let world = database.world();
    let tokens = world.with(Policy::new().unique_names(true).limit_per_owner(2));
    let project = owner("project:blog");
    let _ = tokens.issue(NewToken::new(project.clone(), "first")).await.unwrap();

    let mut transaction = database.begin().await;
    let issue = async |store: &dyn TokenStore, name| {
        tokens.issue_within(store, NewToken::new(project.clone(), name)).await
    };
    let refused = issue(&*transaction.store(), "first").await;
    assert!(matches!(refused, Err(IssueError::NameTaken)), "{refused:?}");
    let second = issue(&*transaction.store(), "second").await.unwrap();
    let refused = issue(&*transaction.store(), "third").await;
    assert!(matches!(refused, Err(IssueError::LimitReached { limit: 2 })), "{refused:?}");
    transaction.add_project("blog").await;
    transaction.commit().await;

    let second = second.committed().await;
    assert_eq!(database.projects().await, 1);
    assert_eq!(verdict(&tokens, &second).await, "good");
}

async fn a_token_is_good_until_its_revocation_is_committed(database: impl Database) {
    let world = database.world();
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 2).await;
    let own = tokens.owned_by(&world.owner);

    let mut transaction = database.begin().await;
    let pending = own.revoke_within(&*transaction.store(), issued[0].record.id).await.unwrap();
    assert_eq!(verdict(&tokens, &issued[0]).await, "good");
    drop(transaction);
    drop(pending);
    assert_eq!(verdict(&tokens, &issued[0]).await, "good", "it was rolled back");

    let mut transaction = database.begin().await;
    let pending = own.revoke_within(&*transaction.store(), issued[0].record.id).await.unwrap();
    let again = own.revoke_within(&*transaction.store(), issued[0].record.id).await.unwrap();
    transaction.commit().await;
    pending.committed().await;
    again.committed().await;
    assert_eq!(world.events.count("Revoked"), 1, "nothing was changed by the second");
    assert_eq!(verdict(&tokens, &issued[0]).await, "revoked");
    assert_eq!(verdict(&tokens, &issued[1]).await, "good");
}

async fn all_tokens_of_an_owner_end_with_the_owner(database: impl Database) {
    let world = database.world();
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 3).await;
    let own = tokens.owned_by(&world.owner);

    let mut transaction = database.begin().await;
    let first = [issued[0].record.id];
    let one = own.revoke_many_within(&*transaction.store(), &first).await.unwrap();
    let all = own.revoke_all_within(&*transaction.store()).await.unwrap();
    transaction.commit().await;
    assert_eq!(one.committed().await, first);
    assert_eq!(all.committed().await.len(), 2, "one was revoked before");
    for issued in &issued {
        assert_eq!(verdict(&tokens, issued).await, "revoked");
    }
}

/// There was nothing left to change, and it is acknowledged here all the same.
async fn what_was_revoked_elsewhere_before_is_forgotten_here(database: impl Database) {
    let world = database.world();
    let elsewhere = world.tokens();
    let here = world.builder().cache(Cache::for_up_to(time::Duration::MINUTE)).build().unwrap();
    let own = here.owned_by(&world.owner);
    for is_of_all in [false, true] {
        let issued = world.issue_many(&elsewhere, 1).await.remove(0);
        assert_eq!(verdict(&here, &issued).await, "good");
        elsewhere.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
        assert_eq!(verdict(&here, &issued).await, "good", "nobody has told it");

        let mut transaction = database.begin().await;
        if is_of_all {
            let all = own.revoke_all_within(&*transaction.store()).await.unwrap();
            transaction.commit().await;
            assert_eq!(all.committed().await, []);
        } else {
            let id = issued.record.id;
            let one = own.revoke_within(&*transaction.store(), id).await.unwrap();
            transaction.commit().await;
            one.committed().await;
        }
        assert_eq!(verdict(&here, &issued).await, "revoked");
    }
}

async fn a_rotation_that_is_rolled_back_has_not_happened(database: impl Database) {
    let world = database.world();
    let tokens = world.tokens();
    let old = world.issue_many(&tokens, 1).await.remove(0);
    assert_eq!(verdict(&tokens, &old).await, "good");
    let own = tokens.owned_by(&world.owner);
    let rotation = || TokenRotation::new().grace(time::Duration::ZERO);

    let mut transaction = database.begin().await;
    let pending = own.rotate_within(&*transaction.store(), old.record.id, rotation()).await;
    let pending = pending.unwrap();
    drop(transaction);
    let lost = pending.committed().await;
    assert_eq!(verdict(&tokens, &lost).await, "wrong_secret", "who says so wrongly has no token");
    assert_eq!(verdict(&tokens, &old).await, "good");

    let mut transaction = database.begin().await;
    let pending = own.rotate_within(&*transaction.store(), old.record.id, rotation()).await;
    transaction.commit().await;
    let new = pending.unwrap().committed().await;
    assert_eq!(verdict(&tokens, &new).await, "good");
    assert_eq!(verdict(&tokens, &old).await, "retired_secret");
}

async fn the_tokens_of_others_are_not_found(database: impl Database) {
    let world = database.world();
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 1).await.remove(0);
    let stranger = tokens.owned_by(&world.stranger);

    let mut transaction = database.begin().await;
    let revoked = stranger.revoke_within(&*transaction.store(), issued.record.id).await;
    assert!(matches!(revoked, Err(ManageError::NotFound)), "{revoked:?}");
    let rotation = TokenRotation::new();
    let rotated = stranger.rotate_within(&*transaction.store(), issued.record.id, rotation).await;
    assert!(matches!(rotated, Err(RotateError::Manage(ManageError::NotFound))), "{rotated:?}");
    transaction.commit().await;
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn what_is_pending_shows_no_secret(database: impl Database) {
    let world = database.world();
    let mut transaction = database.begin().await;
    let pending =
        world.tokens().issue_within(&*transaction.store(), world.new_token("ci")).await.unwrap();
    let shown = format!("{pending:?}");
    transaction.commit().await;
    let issued = pending.committed().await;
    assert!(shown.contains(&format!("{:?}", issued.record.id)), "{shown}");
    assert!(!shown.contains(crate::support::secret_of(&issued)), "{shown}");
}

async fn what_is_dropped_is_told_and_forgotten_here(database: impl Database) {
    let world = database.world();
    let tokens = world.builder().cache(Cache::for_up_to(time::Duration::MINUTE)).build().unwrap();
    let issued = world.issue_many(&tokens, 1).await.remove(0);
    world.store.forget();
    for _ in 0..2 {
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
    world.events.take();
    let own = tokens.owned_by(&world.owner);
    let mut transaction = database.begin().await;
    let pending = own.revoke_within(&*transaction.store(), issued.record.id).await.unwrap();
    transaction.commit().await;
    // The request was cancelled right after the commit.
    drop(pending);
    let told = world.events.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("Uncommitted"), "{told:?}");
    assert!(told[0].contains(&format!("{:?}", issued.record.id)), "{told:?}");
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}

async fn the_limit_counts_what_a_transaction_has_issued(database: impl Database) {
    let world = database.world();
    let tokens = world.with(Policy::new().limit_per_owner(1));
    let mut transaction = database.begin().await;
    let pending =
        tokens.issue_within(&*transaction.store(), world.new_token("first")).await.unwrap();
    // The other one waits for the transaction, or is told that somebody is in the way.
    let other = tokio::spawn({
        let (tokens, new) = (tokens.clone(), world.new_token("second"));
        async move { tokens.issue(new).await }
    });
    tokio::task::yield_now().await;
    transaction.commit().await;
    let _ = pending.committed().await;
    let other = other.await.unwrap();
    let Err(IssueError::LimitReached { .. } | IssueError::Store(StoreError::Busy(_))) = other
    else {
        panic!("{other:?}");
    };
}

#[tokio::test]
async fn a_hanging_transaction_is_unavailable_within_the_deadline() {
    let world = crate::support::World::memory().await;
    let tokens = world.builder().deadline(time::Duration::MILLISECOND).build().unwrap();
    let issued = world.issue_many(&world.tokens(), 1).await.remove(0);
    for step in ["insert", "revoke", "rotate"] {
        world.store.hang(step);
    }
    let (store, id) = (&*world.store, issued.record.id);
    let own = tokens.owned_by(&world.owner);
    let inserted = tokens.issue_within(store, world.new_token("ci")).await.map(drop);
    assert!(matches!(inserted, Err(IssueError::Store(StoreError::Unavailable(_)))), "{inserted:?}");
    let revoked = own.revoke_within(store, id).await.map(drop);
    assert!(matches!(revoked, Err(ManageError::Store(StoreError::Unavailable(_)))), "{revoked:?}");
    let rotated = own.rotate_within(store, id, TokenRotation::new()).await.map(drop);
    assert!(
        matches!(rotated, Err(RotateError::Manage(ManageError::Store(StoreError::Unavailable(_))))),
        "{rotated:?}"
    );
    let verified: Result<_, VerifyError> = tokens.verify(issued.plain.expose_secret()).await;
    assert!(verified.is_ok());
}
