//! A token that is pasted into a field where it does not belong is kept nowhere.

use keyfob::{
    ApiTokens, IssueError, IssuedToken, LastUsed, ListTokens, ManageError, NewToken, Owner,
    TokenChange,
    store::MemoryStore,
    token::{Actor, IdempotencyKey, KeyedChecksum, Pepper, PepperKey, Reason},
};
use serde_json::json;

use crate::support::{World, on_every_store, owner, wrong_field, wrong_fields};

on_every_store! {
    no_field_takes_a_text_with_a_token_in_it
    reasons_and_actors_are_kept_without_the_token
    an_ability_that_is_built_from_the_path_is_not_kept_with_a_token_in_it
}

/// All that is around the token where somebody pastes it, and the token without its prefix.
fn pasted(issued: &IssuedToken) -> Vec<String> {
    let token = issued.plain.expose_secret();
    let bare = token.strip_prefix("acme_").unwrap();
    let mut pasted: Vec<_> = ["", "Bearer ", "\"", "é", "=", "Zz9"]
        .iter()
        .flat_map(|before| [format!("{before}{token}"), format!("{before}{bare}")])
        .collect();
    pasted.extend([",", "\"", "é", "00", "_"].map(|after| format!("{token}{after}")));
    pasted.push(format!("{token} {token}"));
    pasted
}

/// As an ability: what may stand in one.
fn pasted_abilities(issued: &IssuedToken) -> Vec<String> {
    let token = issued.plain.expose_secret();
    let bare = token.strip_prefix("acme_").unwrap();
    [token, bare]
        .into_iter()
        .flat_map(|it| [it.to_owned(), format!("{it}:*"), format!("x:{it}"), format!("x.{it}:a")])
        .collect()
}

async fn no_field_takes_a_text_with_a_token_in_it(world: World) {
    let tokens = world.tokens();
    let (own, new) = (tokens.owned_by(&world.owner), |name: &str| world.new_token(name));
    let issued = tokens.issue(new("a")).await.unwrap();
    let id = issued.record.id;
    for text in pasted(&issued) {
        let named = tokens.issue(new(&text)).await;
        assert_eq!(wrong_fields(named), ["name"], "{text}");
        assert_eq!(wrong_field(own.rename(id, &text).await), "name");
        for metadata in
            [json!({ "k": text }), json!({ (text.as_str()): 1 }), json!({ "k": [[text]] })]
        {
            let described = tokens.issue(new("b").metadata(metadata.clone())).await;
            assert_eq!(wrong_fields(described), ["metadata"]);
            let change = TokenChange::new().metadata(metadata);
            assert_eq!(wrong_field(own.change(id, change).await), "metadata");
        }
        let key = IdempotencyKey::new(&text).unwrap();
        assert_eq!(
            wrong_fields(tokens.issue(new("b").idempotency_key(key)).await),
            ["idempotency_key"]
        );
        let by = Actor::new(&text).unwrap();
        assert_eq!(wrong_fields(tokens.issue(new("b").created_by(by)).await), ["created_by"]);
        let of_another = NewToken::new(owner(&text), "b");
        assert_eq!(wrong_fields(tokens.issue(of_another).await), ["owner"]);
    }
    for ability in pasted_abilities(&issued) {
        let able = tokens.issue(new("b").abilities([&ability])).await;
        assert_eq!(wrong_fields(able), ["abilities"], "{ability}");
        let change = TokenChange::new().abilities([&ability]);
        assert_eq!(wrong_field(own.change(id, change).await), "abilities");
    }
    assert_eq!(own.list(ListTokens::new()).await.unwrap().tokens.len(), 1);
    nothing_else_is_taken_for_a_token(&tokens, &world, &issued).await;
}

/// One character more or less, another one, another prefix's checksum.
async fn nothing_else_is_taken_for_a_token(
    tokens: &ApiTokens,
    world: &World,
    issued: &IssuedToken,
) {
    let token = issued.plain.expose_secret();
    let last = token.len() - 1;
    let other = if token.ends_with('0') { "1" } else { "0" };
    let (id, secret) = token.rsplit_once('_').unwrap();
    for text in
        [&token[..last], &format!("{}{other}", &token[..last]), &format!("{id}-{secret}"), secret]
    {
        assert!(!tokens.format().contains_token(text), "{text}");
        drop(tokens.issue(world.new_token(text)).await.unwrap());
    }
}

async fn reasons_and_actors_are_kept_without_the_token(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = issued.plain.expose_secret();
    let bare = token.strip_prefix("acme_").unwrap();
    world.events.take();
    for (text, kept) in [
        (format!("found {token}, on a wiki"), "found [token], on a wiki"),
        (format!("é{bare}é{token}"), "é[token]é[token]"),
        (token.to_owned(), "[token]"),
    ] {
        let own = tokens.owned_by(&world.owner).by(Actor::new(&text).unwrap());
        let own = own.because(Reason::new(&text).unwrap());
        let record = own.suspend(issued.record.id).await.unwrap();
        assert_eq!(record.suspension.unwrap().reason.unwrap().as_str(), kept);

        let other = tokens.issue(world.new_token("b")).await.unwrap().record.id;
        own.revoke(other).await.unwrap();
        let revocation = own.get(other).await.unwrap().revocation.unwrap();
        assert_eq!(revocation.by.unwrap().as_str(), kept);
        assert_eq!(revocation.reason.unwrap().as_str(), kept);

        let other = tokens.issue(world.new_token("c")).await.unwrap().record.id;
        let all = tokens.operator().by(Actor::new(&text).unwrap());
        all.because(Reason::new(&text).unwrap()).revoke_many(&[other]).await.unwrap();
        let revocation = own.get(other).await.unwrap().revocation.unwrap();
        assert_eq!(revocation.by.unwrap().as_str(), kept);
        assert_eq!(revocation.reason.unwrap().as_str(), kept);
    }
    let events = world.events.take().join("\n");
    assert!(events.contains("[token]") && !events.contains(bare), "{events}");
}

async fn an_ability_that_is_built_from_the_path_is_not_kept_with_a_token_in_it(world: World) {
    let tokens =
        world.builder().last_used(LastUsed::default().track_abilities(true)).build().unwrap();
    let issued = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    assert!(token.can(&format!("projects:{}:read", issued.plain.expose_secret())));
    assert!(token.can("projects:7:read"));
    tokens.flush().await.unwrap();
    let stored = world.stored(&issued).await;
    let used: Vec<_> = stored.used_abilities().map(ToString::to_string).collect();
    assert_eq!(used, ["projects:7:read"]);
}

/// Whichever checksum it has, and whether or not that is still accepted.
#[tokio::test]
async fn a_token_with_any_checksum_is_found() {
    let pepper = |policy| {
        Pepper::new(PepperKey::new("k", b"a key of thirty-two bytes, or so").unwrap())
            .accept_unpeppered()
            .keyed_checksum(policy)
    };
    let handle = |policy| {
        let builder = ApiTokens::builder(MemoryStore::new()).prefix("acme");
        builder.pepper(pepper(policy)).build().unwrap()
    };
    let handles = [KeyedChecksum::Off, KeyedChecksum::Prefer, KeyedChecksum::Require].map(handle);
    let owner = Owner::new("user:42").unwrap();
    for issues in &handles {
        let issued = issues.issue(NewToken::new(owner.clone(), "a")).await.unwrap();
        for finds in &handles[1..] {
            assert!(finds.format().contains_token(issued.plain.expose_secret()));
            let named =
                finds.issue(NewToken::new(owner.clone(), issued.plain.expose_secret())).await;
            assert!(matches!(named, Err(IssueError::Invalid(_))), "{named:?}");
        }
    }
    let own = handles[0].owned_by(&owner);
    assert!(matches!(
        own.rename(keyfob::TokenId::from_u128(1), "a").await,
        Err(ManageError::NotFound)
    ));
}
