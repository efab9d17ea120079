//! Pepper keys: what a copy of the store, or a hand in it, is worth without them.

mod check;
mod keys;
mod rekey;

use keyfob::{
    ApiTokens, IssuedToken, NewToken, TokenId, TokenRecord, TokenRotation, VerifyError,
    store::{
        MemoryStore, TokenStore,
        contract::{InsertOutcome, InsertRules, StoredRow},
    },
    token::{KeyId, Pepper, PepperKey, PreviousSecret, TokenDigest},
    web::{Problem, Realm},
};
use sha2::{Digest, Sha256};
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{Fixed, World, after, checked, code_of, complete, on_every_store, secret_of};

on_every_store! {
    a_digest_is_the_hmac_of_id_and_secret
    a_row_that_was_put_in_with_a_plain_digest_is_refused
    a_digest_that_was_copied_to_another_token_is_refused
    a_digest_under_the_name_of_another_key_is_refused
    a_copy_of_the_store_is_worth_nothing_with_another_key
    a_token_under_an_accepted_key_is_good
    a_key_that_is_not_here_is_our_fault
    a_key_that_is_not_here_may_be_that_of_the_secret_in_grace
    what_has_no_digest_of_a_key_is_let_in_only_where_that_is_said
    an_unknown_token_and_a_wrong_secret_cost_the_same_calls
    a_rotation_is_under_the_current_key
    a_revoked_token_whose_key_is_lost_is_refused_as_wrong
    the_whole_life_of_a_token_goes_on_with_a_pepper
}

/// A key of this name; the same one for the same seed.
fn key(name: &str, seed: u8) -> PepperKey {
    PepperKey::new(name, bytes(seed)).unwrap()
}

fn bytes(seed: u8) -> Vec<u8> {
    (0..40).map(|place| place * 5 + seed).collect()
}

fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

/// HMAC-SHA-256, by RFC 2104 and nothing of this crate.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|it| it ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|it| it ^ 0x5C));
    outer.chain_update(inner.finalize()).finalize().into()
}

fn hmac_of(seed: u8, issued: &IssuedToken) -> [u8; 32] {
    let id = issued.record.id.as_u128().to_be_bytes();
    hmac(&bytes(seed), &[&id[..], secret_of(issued).as_bytes()].concat())
}

fn with(world: &World, pepper: Pepper) -> ApiTokens {
    world.builder().pepper(pepper).build().unwrap()
}

/// One that has only this key.
fn peppered(world: &World, name: &str, seed: u8) -> ApiTokens {
    with(world, Pepper::new(key(name, seed)))
}

async fn issue(world: &World, tokens: &ApiTokens) -> IssuedToken {
    tokens.issue(world.new_token("a")).await.unwrap()
}

/// Whether a secret is `good`, or the code of the refusal.
async fn tried(tokens: &ApiTokens, issued: &IssuedToken) -> &'static str {
    let verified = tokens.verify(issued.plain.expose_secret()).await;
    verified.map_or_else(|refused| refused.code(), |_| "good")
}

/// Whose key made the digest that is kept, and that of the secret from before a rotation.
async fn kept(world: &World, issued: &IssuedToken) -> (Option<String>, Option<String>) {
    let stored = world.stored(issued).await;
    let name = |digest: &TokenDigest| digest.key().map(ToString::to_string);
    (name(&stored.digest), stored.previous.as_ref().and_then(|it| name(&it.digest)))
}

/// Writes a row as somebody would who can write to the database: it takes the place of the token's.
async fn tamper(world: &World, issued: &IssuedToken, alter: impl FnOnce(&mut TokenRecord)) {
    let mut record = (*world.stored(issued).await).clone();
    alter(&mut record);
    complete(&mut record);
    world.store.erase(&world.owner).await.unwrap();
    let inserted = world.store.insert(&record, &InsertRules::none()).await.unwrap();
    assert_eq!(inserted, InsertOutcome::Inserted);
}

async fn a_digest_is_the_hmac_of_id_and_secret(world: World) {
    let tokens = peppered(&world, "k1", 1);
    for _ in 0..8 {
        let issued = issue(&world, &tokens).await;
        let digest = &world.stored(&issued).await.digest;
        assert_eq!(digest.key(), Some(&id("k1")));
        assert_eq!(digest.as_bytes(), &hmac_of(1, &issued));
        assert_ne!(digest.as_bytes(), &<[u8; 32]>::from(Sha256::digest(secret_of(&issued))));
        assert_eq!(tried(&tokens, &issued).await, "good");
    }
    let unpeppered = issue(&world, &world.tokens()).await;
    let plain = <[u8; 32]>::from(Sha256::digest(secret_of(&unpeppered)));
    assert_eq!(unpeppered.record.digest, TokenDigest::from_bytes(plain, None));
}

async fn a_row_that_was_put_in_with_a_plain_digest_is_refused(world: World) {
    let tokens = peppered(&world, "k1", 1);
    let planted = world.plant(|_| ()).await;
    let secret = secret_of(&planted);
    assert_eq!(tried(&tokens, &planted).await, "unpeppered");
    let realm = Realm::new("r").unwrap();
    let refused = tokens.verify(planted.plain.expose_secret()).await.unwrap_err();
    assert_eq!(refused.proven_id(), None);
    let problem = Problem::refused(&realm, &refused);
    assert_eq!(problem, Problem::refused(&realm, &VerifyError::WrongSecret));

    let plain = <[u8; 32]>::from(Sha256::digest(secret));
    let keyless =
        hmac(&[], &[&planted.record.id.as_u128().to_be_bytes()[..], secret.as_bytes()].concat());
    let swapped =
        hmac(&bytes(1), &[secret.as_bytes(), &planted.record.id.as_u128().to_be_bytes()].concat());
    let without_id = hmac(&bytes(1), secret.as_bytes());
    for (forged, expected) in [
        (TokenDigest::from_bytes(plain, Some(id("k1"))), "wrong_secret"),
        (TokenDigest::from_bytes(keyless, Some(id("k1"))), "wrong_secret"),
        (TokenDigest::from_bytes(swapped, Some(id("k1"))), "wrong_secret"),
        (TokenDigest::from_bytes(without_id, Some(id("k1"))), "wrong_secret"),
        (TokenDigest::from_bytes([0; 32], Some(id("k1"))), "wrong_secret"),
        (TokenDigest::from_bytes(hmac_of(1, &planted), None), "unpeppered"),
        (TokenDigest::from_bytes(plain, Some(id("k2"))), "unknown_key"),
    ] {
        tamper(&world, &planted, |it| it.digest = forged.clone()).await;
        assert_eq!(tried(&tokens, &planted).await, expected);
        tamper(&world, &planted, |it| {
            it.digest = TokenDigest::from_bytes([7; 32], Some(id("k1")));
            it.previous = Some(Box::new(PreviousSecret::until(forged, after(100))));
        })
        .await;
        assert_ne!(tried(&tokens, &planted).await, "good", "nor as the secret from before");
        tamper(&world, &planted, |it| {
            it.previous = None;
            (it.generation, it.rotated_at, it.first_used_at) = (0, None, None);
        })
        .await;
    }
}

async fn a_digest_that_was_copied_to_another_token_is_refused(world: World) {
    let tokens = peppered(&world, "k1", 1);
    let mine = tokens.issue(NewToken::new(world.stranger.clone(), "mine")).await.unwrap();
    let theirs = issue(&world, &tokens).await;
    tamper(&world, &theirs, |it| it.digest = mine.record.digest.clone()).await;
    let text = checked(&format!("acme_{}_{}", theirs.record.id, secret_of(&mine)));
    assert_eq!(tokens.verify(&text).await.unwrap_err().code(), "wrong_secret");
    assert_eq!(tried(&tokens, &mine).await, "good");
    tamper(&world, &theirs, |it| {
        it.previous = Some(Box::new(PreviousSecret::until(mine.record.digest.clone(), after(9))));
    })
    .await;
    assert_eq!(tokens.verify(&text).await.unwrap_err().code(), "wrong_secret");
}

async fn a_digest_under_the_name_of_another_key_is_refused(world: World) {
    let both = with(&world, Pepper::new(key("k2", 2)).accept(key("k1", 1)));
    let issued = issue(&world, &peppered(&world, "k1", 1)).await;
    let renamed = TokenDigest::from_bytes(*issued.record.digest.as_bytes(), Some(id("k2")));
    tamper(&world, &issued, |it| it.digest = renamed).await;
    assert_eq!(tried(&both, &issued).await, "wrong_secret");
    // Somebody who knows a key that was dropped knows nothing of the one that is used.
    let forged = TokenDigest::from_bytes(hmac_of(1, &issued), Some(id("k2")));
    tamper(&world, &issued, |it| it.digest = forged).await;
    assert_eq!(tried(&both, &issued).await, "wrong_secret");
    let own = TokenDigest::from_bytes(hmac_of(2, &issued), Some(id("k2")));
    tamper(&world, &issued, |it| it.digest = own).await;
    assert_eq!(tried(&both, &issued).await, "good", "the test forges as the crate makes");
}

async fn a_copy_of_the_store_is_worth_nothing_with_another_key(world: World) {
    let issued = issue(&world, &peppered(&world, "k1", 1)).await;
    for other in [peppered(&world, "k1", 2), peppered(&world, "k1", 3)] {
        assert_eq!(tried(&other, &issued).await, "wrong_secret");
    }
    assert_eq!(tried(&world.tokens(), &issued).await, "unknown_key");
    let row = serde_json::to_string(&StoredRow::from(&issued.record)).unwrap();
    assert!(!row.contains(secret_of(&issued)) && !row.contains(&hex::encode(bytes(1))));
}

async fn a_token_under_an_accepted_key_is_good(world: World) {
    let [first, second] = [peppered(&world, "k1", 1), peppered(&world, "k2", 2)];
    let [one, two] = [issue(&world, &first).await, issue(&world, &second).await];
    let many = Pepper::new(key("k3", 3)).accept(key("k2", 2)).accept(key("k1", 1));
    let many = with(&world, many);
    let three = issue(&world, &many).await;
    for issued in [&one, &two, &three] {
        assert_eq!(tried(&many, issued).await, "good");
    }
    assert_eq!(kept(&world, &three).await.0.as_deref(), Some("k3"), "new ones are under the first");
    assert_eq!(tried(&first, &two).await, "unknown_key");
}

async fn a_revoked_token_whose_key_is_lost_is_refused_as_wrong(world: World) {
    let there = peppered(&world, "k1", 1);
    let issued = issue(&world, &there).await;
    there.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    let realm = Realm::new("r").unwrap();
    for other in [world.tokens(), peppered(&world, "k2", 2)] {
        let refused = other.verify(issued.plain.expose_secret()).await;
        assert_eq!(code_of(&refused), "wrong_secret");
        assert_eq!(Problem::refused(&realm, &refused.unwrap_err()).status(), 401);
    }
}

async fn a_key_that_is_not_here_is_our_fault(world: World) {
    let issued = issue(&world, &peppered(&world, "k1", 1)).await;
    let realm = Realm::new("r").unwrap();
    for other in [world.tokens(), peppered(&world, "k2", 2)] {
        for with_wrong_secret in [false, true] {
            let mut text = issued.plain.expose_secret().to_owned();
            if with_wrong_secret {
                let secret: String = secret_of(&issued).chars().rev().collect();
                let secret = format!("0{}", &secret[1..]);
                text = checked(&format!("acme_{}_{secret}", issued.record.id));
            }
            world.events.take();
            let refused = other.verify(&text).await.unwrap_err();
            assert!(matches!(&refused, VerifyError::UnknownKey(it) if *it == id("k1")));
            assert_eq!(refused.proven_id(), None);
            assert_eq!(Problem::refused(&realm, &refused).status(), 503);
            let events = world.events.take();
            assert!(
                events.iter().any(|it| it.starts_with("PepperKeyMissing { key: KeyId(\"k1\")"))
            );
            assert_eq!(events.len(), 2, "{events:?}");
        }
    }
    assert_eq!(tried(&peppered(&world, "k1", 1), &issued).await, "good");
}

async fn a_key_that_is_not_here_may_be_that_of_the_secret_in_grace(world: World) {
    let old = issue(&world, &peppered(&world, "k1", 1)).await;
    let tokens = peppered(&world, "k2", 2);
    let own = tokens.owned_by(&world.owner);
    let grace = TokenRotation::new().grace(Duration::seconds(100));
    let new = own.rotate(old.record.id, grace).await.unwrap();
    world.events.take();
    assert_eq!(tried(&tokens, &old).await, "unknown_key");
    assert_eq!(world.events.count("PepperKeyMissing { key: KeyId(\"k1\")"), 1);
    assert_eq!(tried(&tokens, &new).await, "good");
    world.clock.set(after(100).datetime());
    assert_eq!(tried(&tokens, &old).await, "wrong_secret", "its grace is over in any case");

    // The other way round: the old secret is known, the new one is not.
    let both = with(&world, Pepper::new(key("k1", 1)).accept(key("k2", 2)));
    let next =
        both.owned_by(&world.owner).rotate(old.record.id, TokenRotation::new()).await.unwrap();
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &next).await, "unknown_key");
    assert_eq!(tried(&both, &next).await, "good");
}

async fn what_has_no_digest_of_a_key_is_let_in_only_where_that_is_said(world: World) {
    let strict = peppered(&world, "k1", 1);
    let open = with(&world, Pepper::new(key("k1", 1)).accept_unpeppered());
    let old = issue(&world, &world.tokens()).await;
    let other = issue(&world, &world.tokens()).await;
    for _ in 0..2 {
        assert_eq!(tried(&strict, &old).await, "unpeppered");
        assert_eq!(tried(&open, &old).await, "good");
    }
    let wrong = checked(&format!("acme_{}_{}", old.record.id, secret_of(&other)));
    assert_eq!(open.verify(&wrong).await.unwrap_err().code(), "wrong_secret");
    assert_eq!(strict.verify(&wrong).await.unwrap_err().code(), "unpeppered");
    open.flush().await.unwrap();
    assert_eq!(tried(&strict, &old).await, "good", "a use has brought it under the key");
    assert_eq!(tried(&strict, &other).await, "unpeppered");

    let grace = TokenRotation::new().grace(Duration::seconds(100));
    let new = open.owned_by(&world.owner).rotate(other.record.id, grace).await.unwrap();
    assert_eq!(tried(&strict, &new).await, "good");
    assert_ne!(tried(&strict, &other).await, "good", "in its grace it is no better");
    assert_eq!(tried(&open, &other).await, "good");
}

async fn an_unknown_token_and_a_wrong_secret_cost_the_same_calls(world: World) {
    let many = Pepper::new(key("k3", 3)).accept(key("k1", 1)).accept_unpeppered();
    let tokens = with(&world, many);
    let issued = [
        issue(&world, &tokens).await,
        issue(&world, &peppered(&world, "k1", 1)).await,
        issue(&world, &world.tokens()).await,
    ];
    let other = issue(&world, &tokens).await;
    world.store.take_calls();
    let unknown = checked(&format!("acme_{}_{}", TokenId::from_u128(7), secret_of(&other)));
    assert_eq!(tokens.verify(&unknown).await.unwrap_err().code(), "unknown");
    let calls = world.store.take_calls();
    for issued in &issued {
        let wrong = checked(&format!("acme_{}_{}", issued.record.id, secret_of(&other)));
        assert_eq!(tokens.verify(&wrong).await.unwrap_err().code(), "wrong_secret");
        assert_eq!(world.store.take_calls(), calls);
    }
    assert!(calls.len() <= 2, "{calls:?}");
}

async fn a_rotation_is_under_the_current_key(world: World) {
    let old = issue(&world, &peppered(&world, "k1", 1)).await;
    let tokens = with(&world, Pepper::new(key("k2", 2)).accept(key("k1", 1)));
    let own = tokens.owned_by(&world.owner);
    let new = own.rotate(old.record.id, TokenRotation::new()).await.unwrap();
    assert_eq!(new.record.digest.as_bytes(), &hmac_of(2, &new));
    assert_eq!(kept(&world, &new).await, (Some("k2".into()), Some("k1".into())));
    assert_eq!(tried(&tokens, &old).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
}

async fn the_whole_life_of_a_token_goes_on_with_a_pepper(world: World) {
    let tokens = peppered(&world, "k1", 1);
    let own = tokens.owned_by(&world.owner);
    let old = issue(&world, &tokens).await;
    let open = tokens.verify(old.plain.expose_secret()).await.unwrap();
    let new = own.rotate(old.record.id, TokenRotation::new()).await.unwrap();
    assert!(tokens.revalidate(&open).await.is_ok());
    assert_eq!(tried(&tokens, &new).await, "good");
    world.clock.set(after(86_400).datetime());
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert_eq!(tokens.revalidate(&open).await.unwrap_err().code(), "retired_secret");
    assert_eq!(tokens.revoke_presented(new.plain.expose_secret()).await.unwrap(), old.record.id);
    assert_eq!(tried(&tokens, &new).await, "revoked");
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
}

/// Digests like this one are in databases: they must be made just so for ever. A test that fails here is right.
#[tokio::test]
async fn digests_of_every_release_are_made_as_they_were() {
    let world = World::memory().await;
    let key =
        PepperKey::new("2026", "correct horse battery staple, correct horse battery").unwrap();
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").clock(world.clock.clone());
    let tokens =
        tokens.entropy(Fixed::of(|place| place + 1)).pepper(Pepper::new(key)).build().unwrap();
    let issued = issue(&world, &tokens).await;
    assert_eq!(
        issued.plain.expose_secret(),
        "acme_032JkYGUWrhjPhs0gEK9ak_2cPkOWUkrUb4EZzajfasC13e5zNIwyMtKOLBq78h99G1fwqpR",
        "without keyed checksums the text is what it is without a pepper"
    );
    assert_eq!(
        hex::encode(issued.record.digest.as_bytes()),
        "2a65a48131c0d269e02ff3838244f5b178879256135f5c369446152e787679f7"
    );
}
