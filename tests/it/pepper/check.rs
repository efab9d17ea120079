//! The start-up check: a wrong key is found before the first user is refused.

use keyfob::{
    CheckError,
    store::{StoreError, TokenStore},
    token::{KeyedChecksum, Pepper, PepperKey},
};

use super::{hmac, id, issue, key, peppered, tried, with};
use crate::support::{TROUBLES, WRITES, World, on_every_store};

on_every_store! {
    a_fresh_store_keeps_what_tells_a_key
    another_key_of_the_same_name_is_found_out
    a_key_is_told_by_its_name_and_not_by_its_use
    a_wrong_key_is_kept_nowhere
    tokens_without_a_digest_of_a_key_are_counted
    a_store_that_fails_is_not_a_wrong_key
    a_store_that_can_only_be_read_passes_once_the_keys_are_known
    digests_whose_key_is_not_there_are_counted
    each_key_is_asked_for_once
}
mod at_once {
    use super::two_nodes_with_two_keys_of_one_name;
    use crate::support::on_every_store;

    on_every_store! {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)] =>
        two_nodes_with_two_keys_of_one_name
    }
}

const FINGERPRINT: &[u8] = b"keyfob pepper canary 1";

fn fingerprint(seed: u8) -> [u8; 32] {
    hmac(&super::bytes(seed), FINGERPRINT)
}

async fn wrong_key(world: &World, pepper: Pepper) -> String {
    match with(world, pepper).check().await {
        Err(CheckError::WrongPepperKey(key)) => key.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn a_fresh_store_keeps_what_tells_a_key(world: World) {
    let all = || {
        let pepper =
            Pepper::new(key("a", 1)).accept(key("b", 2)).keyed_checksum(KeyedChecksum::Prefer);
        pepper.accept_checksums_of(key("c", 3))
    };
    with(&world, all()).check().await.unwrap();
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        let kept = world.store.key_fingerprint(&id(name), &[0; 32]).await.unwrap();
        assert_eq!(kept, fingerprint(seed), "{name}");
    }
    with(&world, all()).check().await.unwrap();
    peppered(&world, "c", 3).check().await.unwrap();
}

async fn another_key_of_the_same_name_is_found_out(world: World) {
    peppered(&world, "a", 1).check().await.unwrap();
    assert_eq!(wrong_key(&world, Pepper::new(key("a", 2))).await, "a");
    let new = || Pepper::new(key("new", 9));
    assert_eq!(wrong_key(&world, new().accept(key("a", 2))).await, "a");
    assert_eq!(wrong_key(&world, new().accept_checksums_of(key("a", 2))).await, "a");
    let keyed = new().keyed_checksum(KeyedChecksum::Require).accept_checksums_of(key("a", 2));
    assert_eq!(wrong_key(&world, keyed).await, "a");
    let longer = [super::bytes(1), vec![0]].concat();
    let unlike = PepperKey::new("a", longer).unwrap();
    // Zeros at the end are the same key to HMAC, in less than a block: no secret is lost by it.
    with(&world, Pepper::new(unlike)).check().await.unwrap();
    peppered(&world, "a", 1).check().await.unwrap();
}

async fn a_key_is_told_by_its_name_and_not_by_its_use(world: World) {
    with(&world, Pepper::new(key("a", 1)).accept_checksums_of(key("b", 2))).check().await.unwrap();
    with(&world, Pepper::new(key("b", 2)).accept(key("a", 1))).check().await.unwrap();
    assert_eq!(wrong_key(&world, Pepper::new(key("b", 1)).accept(key("a", 2))).await, "b");
    let error = with(&world, Pepper::new(key("b", 1))).check().await.unwrap_err();
    assert_eq!(error.to_string(), "the pepper key b is not the one that it was");
}

async fn a_wrong_key_is_kept_nowhere(world: World) {
    peppered(&world, "a", 1).check().await.unwrap();
    for _ in 0..3 {
        assert_eq!(wrong_key(&world, Pepper::new(key("a", 2))).await, "a");
    }
    let kept = world.store.key_fingerprint(&id("a"), &[0; 32]).await.unwrap();
    assert_eq!(kept, fingerprint(1));
}

async fn tokens_without_a_digest_of_a_key_are_counted(world: World) {
    let tokens = peppered(&world, "a", 1);
    tokens.check().await.unwrap();
    let open = || Pepper::new(key("a", 1)).accept_unpeppered();
    let mut old = Vec::new();
    for count in 1..=3 {
        old.push(issue(&world, &world.tokens()).await);
        let error = tokens.check().await.unwrap_err();
        assert!(matches!(error, CheckError::Unpeppered { tokens } if tokens == count), "{error}");
        with(&world, open()).check().await.unwrap();
    }
    let _ = issue(&world, &tokens).await;
    tokens.owned_by(&world.owner).revoke(old[0].record.id).await.unwrap();
    let error = tokens.check().await.unwrap_err();
    assert!(matches!(error, CheckError::Unpeppered { tokens: 2 }), "{error}");
    let moving = with(&world, open());
    for old in &old[1..] {
        assert_eq!(tried(&moving, old).await, "good");
    }
    moving.flush().await.unwrap();
    tokens.check().await.unwrap();

    // A key with which nothing can begin is not kept as the right one of its name.
    let _ = issue(&world, &world.tokens()).await;
    let error = with(&world, Pepper::new(key("b", 2)).accept(key("a", 1))).check().await;
    assert!(matches!(error, Err(CheckError::Unpeppered { tokens: 1 })), "{error:?}");
    assert_eq!(
        world.store.key_fingerprint(&id("b"), &fingerprint(3)).await.unwrap(),
        fingerprint(3)
    );
}

async fn a_store_that_fails_is_not_a_wrong_key(world: World) {
    let tokens = peppered(&world, "a", 1);
    tokens.check().await.unwrap();
    for step in ["find", "key_fingerprint", "count_by_key"] {
        for trouble in TROUBLES {
            world.store.fail_with(&[step], trouble);
            world.events.take();
            let error = tokens.check().await.unwrap_err();
            let CheckError::Store(error) = error else { panic!("{error:?}") };
            assert_eq!(error.to_string(), trouble().to_string());
            assert_eq!(world.events.take().len(), 1);
        }
        world.store.heal();
    }
    world.store.fail(&["key_fingerprint"]);
    let error = peppered(&world, "a", 2).check().await.unwrap_err();
    assert!(matches!(error, CheckError::Store(StoreError::Unavailable(_))), "{error:?}");
    world.store.heal();
    tokens.check().await.unwrap();
}

async fn a_store_that_can_only_be_read_passes_once_the_keys_are_known(world: World) {
    let tokens = with(&world, Pepper::new(key("a", 1)).accept(key("b", 2)));
    tokens.check().await.unwrap();
    let writes: Vec<_> = WRITES.iter().copied().filter(|step| *step != "key_fingerprint").collect();
    world.store.fail(&writes);
    tokens.check().await.unwrap();

    // Where somebody else writes for ever, whoever tried to write would wait and fail.
    #[cfg(feature = "sqlite")]
    if let Some(directory) = &world.directory {
        use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

        let options = SqliteConnectOptions::new().filename(directory.path().join("tokens.db"));
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        tokens.check().await.unwrap();
        assert_eq!(wrong_key(&world, Pepper::new(key("a", 2))).await, "a");
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    }
}

async fn each_key_is_asked_for_once(world: World) {
    world.store.take_calls();
    world.tokens().check().await.unwrap();
    assert_eq!(world.store.take_calls(), ["find", "count_by_key"]);
    with(&world, Pepper::new(key("a", 1)).accept_unpeppered()).check().await.unwrap();
    assert_eq!(world.store.take_calls(), ["find", "count_by_key", "key_fingerprint"]);
}

/// A pepper that was forgotten, or a key that was taken away too early.
async fn digests_whose_key_is_not_there_are_counted(world: World) {
    let (a, b) = (peppered(&world, "a", 1), peppered(&world, "b", 2));
    let issued = issue(&world, &a).await;
    let _ = issue(&world, &a).await;
    let _ = issue(&world, &b).await;
    let missing = async |pepper: Option<Pepper>| {
        let tokens = pepper.map_or_else(|| world.tokens(), |pepper| with(&world, pepper));
        match tokens.check().await {
            Ok(()) => None,
            Err(CheckError::MissingPepperKey { key, tokens }) => Some((key.to_string(), tokens)),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(missing(None).await, Some(("a".to_owned(), 2)));
    let b = || Pepper::new(key("b", 2));
    assert_eq!(missing(Some(b())).await, Some(("a".to_owned(), 2)));
    let for_checksums = b().accept_checksums_of(key("a", 1));
    assert_eq!(missing(Some(for_checksums)).await, Some(("a".to_owned(), 2)));
    assert_eq!(missing(Some(b().accept(key("a", 1)))).await, None);
    assert_eq!(missing(Some(b().accept_next(key("a", 1)))).await, None);
    a.owned_by(&issued.record.owner).revoke_all().await.unwrap();
    assert_eq!(missing(None).await, None, "what is revoked needs no key");
}

async fn two_nodes_with_two_keys_of_one_name(world: World) {
    for round in 0..20 {
        let name = format!("k{round}");
        let checks: Vec<_> = (0..4)
            .map(|node| {
                let tokens = peppered(&world, &name, node % 2);
                tokio::spawn(async move { tokens.check().await })
            })
            .collect();
        let mut passed = Vec::new();
        for (node, check) in checks.into_iter().enumerate() {
            match check.await.unwrap() {
                Ok(()) => passed.push(node % 2),
                Err(CheckError::WrongPepperKey(key)) => assert_eq!(key, id(&name)),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(passed.len(), 2, "one of the two keys, on both of its nodes");
        assert_eq!(passed[0], passed[1]);
    }
}
