//! Keyed checksums: whoever has no key can't make the store work.

use std::collections::HashSet;

use futures_util::FutureExt;
use hmac::{Hmac, KeyInit, Mac};
use keyfob::{
    ApiTokens, IssuedToken, TokenId, TokenRotation, VerifyError,
    token::{KeyedChecksum, MalformedToken, Pepper, PepperKey},
};
use sha2::Sha256;
use time::Duration;

use crate::{
    parsing::mutate,
    support::{Fixed, Random, World, checked, checksum_digits, on_every_store, secret_of},
};

const POLICIES: [KeyedChecksum; 3] =
    [KeyedChecksum::Off, KeyedChecksum::Prefer, KeyedChecksum::Require];
const SECRET: &str = "correct horse battery staple, correct horse battery";
const INPUTS: usize = 100_000;

on_every_store! {
    tokens_of_each_policy_under_each_policy
    tokens_from_before_the_pepper_under_each_policy
    a_keyed_checksum_is_not_crc
    a_checksum_is_that_of_the_current_key
    an_older_key_lets_its_tokens_in
    a_key_for_checksums_reads_no_digest
    keyed_checksums_that_are_switched_off_end_no_token_where_its_key_is_accepted
    the_way_to_another_key_refuses_nobody
    what_was_made_up_never_reaches_the_store
    a_token_that_was_made_up_with_crc_can_do_nothing
    a_checksum_covers_all_of_the_token
    a_rotation_makes_checksums_of_the_current_kind
    a_token_that_is_pasted_as_a_name_is_still_found
    at_what_a_wrong_secret_costs_an_unknown_token_costs_too
}

fn key(name: &str) -> PepperKey {
    PepperKey::new(name, bytes(name)).unwrap()
}

fn bytes(name: &str) -> String {
    format!("{name} {SECRET}")
}

fn pepper(name: &str, keyed_checksum: KeyedChecksum) -> Pepper {
    Pepper::new(key(name)).keyed_checksum(keyed_checksum)
}

fn with(world: &World, pepper: Pepper) -> ApiTokens {
    world.builder().pepper(pepper).build().unwrap()
}

/// A text with the checksum behind it that this key makes.
fn keyed(name: &str, body: &str) -> String {
    keyed_by(bytes(name).as_bytes(), body)
}

fn keyed_by(key: &[u8], body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(body.as_bytes());
    let [a, b, c, d, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
    format!("{body}{}", checksum_digits(u32::from_be_bytes([a, b, c, d])))
}

fn body(issued: &IssuedToken) -> &str {
    let text = issued.plain.expose_secret();
    &text[..text.len() - 6]
}

async fn issue(world: &World, tokens: &ApiTokens) -> IssuedToken {
    tokens.issue(world.new_token("a")).await.unwrap()
}

/// Whether a text is `good`, or the code of the refusal. What is malformed is so by its checksum, and reaches no store.
async fn tried(world: &World, tokens: &ApiTokens, text: &str) -> &'static str {
    world.store.take_calls();
    let verified = tokens.verify(text).await;
    let calls = world.store.take_calls();
    match verified {
        Ok(_) => "good",
        Err(VerifyError::Malformed(malformed)) => {
            assert_eq!(malformed, MalformedToken::WrongChecksum);
            assert_eq!(calls, [""; 0]);
            assert!(tokens.format().parse(text).is_err());
            "malformed"
        }
        Err(refused) => refused.code(),
    }
}

async fn tokens_of_each_policy_under_each_policy(world: World) {
    for (made, expected) in [
        (KeyedChecksum::Off, ["good", "good", "malformed"]),
        (KeyedChecksum::Prefer, ["malformed", "good", "good"]),
        (KeyedChecksum::Require, ["malformed", "good", "good"]),
    ] {
        let issued = issue(&world, &with(&world, pepper("k", made))).await;
        let text = issued.plain.expose_secret();
        for (policy, expected) in POLICIES.into_iter().zip(expected) {
            let tokens = with(&world, pepper("k", policy));
            assert_eq!(tried(&world, &tokens, text).await, expected, "{made:?} under {policy:?}");
        }
        let is_crc = made == KeyedChecksum::Off;
        assert_eq!(checked(body(&issued)) == text, is_crc);
        assert_eq!(keyed("k", body(&issued)) == text, !is_crc);
    }
    assert_eq!(KeyedChecksum::default(), KeyedChecksum::Off);
    let issued = issue(&world, &with(&world, Pepper::new(key("k")))).await;
    assert_eq!(issued.plain.expose_secret(), checked(body(&issued)));
}

async fn tokens_from_before_the_pepper_under_each_policy(world: World) {
    let issued = issue(&world, &world.tokens()).await;
    for (policy, expected) in POLICIES.into_iter().zip(["good", "good", "malformed"]) {
        let tokens = with(&world, pepper("k", policy).accept_unpeppered());
        assert_eq!(tried(&world, &tokens, issued.plain.expose_secret()).await, expected);
    }
    let keyed = issue(&world, &with(&world, pepper("k", KeyedChecksum::Require))).await;
    assert_eq!(tried(&world, &world.tokens(), keyed.plain.expose_secret()).await, "malformed");
}

async fn a_keyed_checksum_is_not_crc(world: World) {
    let tokens = with(&world, pepper("k", KeyedChecksum::Prefer));
    for _ in 0..64 {
        let issued = issue(&world, &tokens).await;
        assert_ne!(issued.plain.expose_secret(), checked(body(&issued)));
        assert_eq!(
            tried(&world, &tokens, &checked(body(&issued))).await,
            "good",
            "both are let in"
        );
        let other = keyed("other", body(&issued));
        assert_eq!(tried(&world, &tokens, &other).await, "malformed");
    }
}

async fn a_checksum_is_that_of_the_current_key(world: World) {
    let many = pepper("b", KeyedChecksum::Require).accept(key("a")).accept_checksums_of(key("c"));
    let tokens = with(&world, many);
    let issued = issue(&world, &tokens).await;
    assert_eq!(issued.plain.expose_secret(), keyed("b", body(&issued)));
    for (name, expected) in [("a", "good"), ("b", "good"), ("c", "good"), ("d", "malformed")] {
        let text = keyed(name, body(&issued));
        assert_eq!(tried(&world, &tokens, &text).await, expected, "{name}");
    }
}

async fn an_older_key_lets_its_tokens_in(world: World) {
    for policy in [KeyedChecksum::Prefer, KeyedChecksum::Require] {
        let issued = issue(&world, &with(&world, pepper("a", policy))).await;
        let text = issued.plain.expose_secret();
        let accepting = with(&world, pepper("b", policy).accept(key("a")));
        let checksums = with(&world, pepper("b", policy).accept_checksums_of(key("a")));
        let missing = with(&world, pepper("b", policy));
        assert_eq!(tried(&world, &missing, text).await, "malformed");
        assert_eq!(tried(&world, &checksums, text).await, "unknown_key");
        assert_eq!(tried(&world, &accepting, text).await, "good");
        accepting.flush().await.unwrap();
        assert_eq!(
            tried(&world, &checksums, text).await,
            "good",
            "its digest is under the new key"
        );
        assert_eq!(tried(&world, &missing, text).await, "malformed", "its text is as it was");
    }
}

async fn a_key_for_checksums_reads_no_digest(world: World) {
    let tokens = with(&world, pepper("b", KeyedChecksum::Require).accept_checksums_of(key("a")));
    let issued = issue(&world, &with(&world, pepper("a", KeyedChecksum::Off))).await;
    let text = keyed("a", body(&issued));
    world.events.take();
    let refused = tokens.verify(&text).await.unwrap_err();
    assert!(matches!(&refused, VerifyError::UnknownKey(it) if it.as_str() == "a"), "{refused:?}");
    assert_eq!(world.events.count("PepperKeyMissing"), 1);
    tokens.flush().await.unwrap();
    assert_eq!(world.stored(&issued).await.digest, issued.record.digest);
}

async fn keyed_checksums_that_are_switched_off_end_no_token_where_its_key_is_accepted(
    world: World,
) {
    let off = |name| pepper(name, KeyedChecksum::Off);
    let down = with(&world, off("k"));
    let accepting = with(&world, off("k").accept_checksums_of(key("k")));
    let moved = with(&world, off("l").accept(key("k")).accept_checksums_of(key("k")));
    for policy in [KeyedChecksum::Prefer, KeyedChecksum::Require] {
        let issued = issue(&world, &with(&world, pepper("k", policy))).await;
        let text = issued.plain.expose_secret();
        assert_eq!(tried(&world, &down, text).await, "malformed");
        assert_eq!(tried(&world, &accepting, text).await, "good");
        for other in [keyed("l", body(&issued)), keyed_by(b"", body(&issued))] {
            assert_eq!(tried(&world, &accepting, &other).await, "malformed");
        }
        let grace = TokenRotation::new().grace(Duration::ZERO);
        let own = accepting.owned_by(&world.owner);
        let fresh = issue(&world, &accepting).await;
        let rotated = own.rotate(fresh.record.id, grace).await.unwrap();
        for fresh in [&fresh, &rotated, &issue(&world, &moved).await] {
            assert_eq!(fresh.plain.expose_secret(), checked(body(fresh)), "everybody's again");
        }
        for node in [&down, &accepting] {
            assert_eq!(tried(&world, node, rotated.plain.expose_secret()).await, "good");
        }
        assert_eq!(tried(&world, &moved, text).await, "good");
        moved.flush().await.unwrap();
        assert_eq!(tried(&world, &moved, text).await, "good", "its digest is under the new key");
    }
}

async fn the_way_to_another_key_refuses_nobody(world: World) {
    let require = |name| pepper(name, KeyedChecksum::Require);
    let steps = [
        require("a"),
        require("a").accept_next(key("b")),
        require("b").accept(key("a")),
        require("b").accept_checksums_of(key("a")),
    ];
    let nodes: Vec<_> = steps.into_iter().map(|pepper| with(&world, pepper)).collect();
    let mut issued = Vec::new();
    for pair in nodes.windows(2) {
        // While one step is rolled out, nodes of two steps take each other's tokens.
        for node in pair {
            issued.push(issue(&world, node).await);
            for issued in &issued {
                let text = issued.plain.expose_secret();
                for node in pair {
                    // By the last step, which can no longer read it, no digest is under the old key.
                    assert_eq!(tried(&world, node, text).await, "good");
                    node.flush().await.unwrap();
                }
            }
        }
    }
}

async fn what_was_made_up_never_reaches_the_store(world: World) {
    let tokens = with(&world, pepper("k", KeyedChecksum::Require));
    let issued = issue(&world, &tokens).await;
    let (id, other) = (issued.record.id, TokenId::from_u128(7));
    let secret = secret_of(&issued);
    for made_up in [
        format!("acme_{id}_{secret}"),
        format!("acme_{other}_{secret}"),
        format!("acme_{id}_{}", "0".repeat(43)),
    ] {
        assert_eq!(tried(&world, &tokens, &checked(&made_up)).await, "malformed");
        assert_eq!(tried(&world, &tokens, &keyed("l", &made_up)).await, "malformed");
        assert_eq!(tried(&world, &tokens, &keyed_by(b"", &made_up)).await, "malformed");
        for guess in 0..200 {
            let text = format!("{made_up}{}", checksum_digits(guess));
            assert_eq!(tried(&world, &tokens, &text).await, "malformed");
        }
        for past in ["zzzzzz", "4gfFC4"] {
            assert_eq!(tried(&world, &tokens, &format!("{made_up}{past}")).await, "malformed");
        }
    }
    assert_eq!(
        tried(&world, &tokens, &keyed("k", &format!("acme_{other}_{secret}"))).await,
        "unknown"
    );
    assert_eq!(tried(&world, &tokens, issued.plain.expose_secret()).await, "good");
}

async fn a_token_that_was_made_up_with_crc_can_do_nothing(world: World) {
    let tokens = with(&world, pepper("k", KeyedChecksum::Require));
    let issued = issue(&world, &tokens).await;
    world.store.take_calls();
    let made_up = checked(body(&issued));
    assert!(tokens.revoke_presented(&made_up).await.is_err());
    assert_eq!(world.store.take_calls(), [""; 0]);
    assert_eq!(tried(&world, &tokens, issued.plain.expose_secret()).await, "good");
}

async fn a_checksum_covers_all_of_the_token(world: World) {
    let tokens = world.builder().accept_prefix("old").pepper(pepper("k", KeyedChecksum::Require));
    let tokens = tokens.build().unwrap();
    let issued = issue(&world, &tokens).await;
    let text = issued.plain.expose_secret();
    for place in (5..text.len()).filter(|place| *place != 27) {
        let other = if &text[place..=place] == "0" { "1" } else { "0" };
        let text = format!("{}{other}{}", &text[..place], &text[place + 1..]);
        assert_eq!(tried(&world, &tokens, &text).await, "malformed", "{place}");
    }
    let renamed = text.replacen("acme", "old", 1);
    assert_eq!(tried(&world, &tokens, &renamed).await, "malformed");
    let renamed = keyed("k", &body(&issued).replacen("acme", "old", 1));
    assert_eq!(tried(&world, &tokens, &renamed).await, "wrong_prefix");
}

async fn a_rotation_makes_checksums_of_the_current_kind(world: World) {
    let old = issue(&world, &with(&world, pepper("k", KeyedChecksum::Off))).await;
    let prefer = with(&world, pepper("k", KeyedChecksum::Prefer));
    let grace = TokenRotation::new().grace(Duration::seconds(100));
    let new = prefer.owned_by(&world.owner).rotate(old.record.id, grace).await.unwrap();
    assert_eq!(new.plain.expose_secret(), keyed("k", body(&new)));
    for issued in [&old, &new] {
        assert_eq!(tried(&world, &prefer, issued.plain.expose_secret()).await, "good");
    }
    let require = with(&world, pepper("k", KeyedChecksum::Require));
    assert_eq!(tried(&world, &require, new.plain.expose_secret()).await, "good");
    assert_eq!(tried(&world, &require, old.plain.expose_secret()).await, "malformed");
}

async fn a_token_that_is_pasted_as_a_name_is_still_found(world: World) {
    for policy in POLICIES {
        let tokens = with(&world, pepper("k", policy));
        let issued = issue(&world, &tokens).await;
        let text = issued.plain.expose_secret();
        assert!(tokens.issue(world.new_token(text)).await.is_err());
        assert!(tokens.issue(world.new_token("a").abilities([text])).await.is_err());
    }
}

async fn at_what_a_wrong_secret_costs_an_unknown_token_costs_too(world: World) {
    let tokens = with(&world, pepper("k", KeyedChecksum::Require));
    let [one, other] = [issue(&world, &tokens).await, issue(&world, &tokens).await];
    let mut calls = Vec::new();
    for (id, expected) in [(one.record.id, "wrong_secret"), (TokenId::from_u128(7), "unknown")] {
        let text = keyed("k", &format!("acme_{id}_{}", secret_of(&other)));
        world.store.take_calls();
        assert_eq!(tokens.verify(&text).await.unwrap_err().code(), expected);
        calls.push(world.store.take_calls());
    }
    assert_eq!(calls[0], calls[1]);
}

#[tokio::test]
async fn of_many_inputs_none_but_real_tokens_reaches_the_store() {
    let world = World::memory().await;
    let builder = world.builder().accept_prefix("old").pepper(pepper("k", KeyedChecksum::Require));
    let tokens = builder.build().unwrap();
    let mut issued = Vec::new();
    for _ in 0..64 {
        issued.push(issue(&world, &tokens).await.plain.expose_secret().to_owned());
    }
    let known: HashSet<_> = issued.iter().cloned().collect();
    let (mut random, mut text, mut good) = (Random(20_260_131), String::new(), 0);
    world.store.take_calls();
    for number in 0..INPUTS {
        mutate(&mut random, &issued, &mut text);
        let outcome = tokens.verify(&text).now_or_never().unwrap();
        assert_eq!(outcome.is_ok(), known.contains(&text), "input {number}: {text:?} {outcome:?}");
        let is_malformed = matches!(outcome, Err(VerifyError::Malformed(_)));
        assert_eq!(outcome.is_ok(), !is_malformed, "input {number}: {text:?} {outcome:?}");
        good += usize::from(outcome.is_ok());
        if number % 10_000 == 0 {
            world.events.take();
        }
    }
    assert_eq!(world.store.take_calls().len(), good, "only real tokens are looked up");
    assert!(good > 100, "{good}");
}

/// Tokens like this one are in people's hands: they must be made, parse and verify just so for ever.
#[tokio::test]
async fn keyed_tokens_of_every_release_are_made_as_they_were() {
    let world = World::memory().await;
    for policy in [KeyedChecksum::Prefer, KeyedChecksum::Require] {
        let pepper = Pepper::new(PepperKey::new("2026", SECRET).unwrap()).keyed_checksum(policy);
        let tokens = ApiTokens::builder(keyfob::store::MemoryStore::new()).prefix("acme");
        let tokens =
            tokens.clock(world.clock.clone()).entropy(Fixed::of(|place| place + 1)).pepper(pepper);
        let tokens = tokens.build().unwrap();
        let issued = issue(&world, &tokens).await;
        let golden =
            "acme_032JkYGUWrhjPhs0gEK9ak_2cPkOWUkrUb4EZzajfasC13e5zNIwyMtKOLBq78h99G3QchVW";
        assert_eq!(issued.plain.expose_secret(), golden);
        assert_eq!(tokens.verify(golden).await.unwrap().id(), issued.record.id);
    }
}
