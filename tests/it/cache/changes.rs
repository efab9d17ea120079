//! What this node changes shows on it at once.

use keyfob::{
    Ability, ApiTokens, IssueError, IssuedToken, ManageError, Policy, RotateError, TokenChange,
    TokenRotation, TokenState,
};
use time::Duration;

use super::{STALENESS, building, elsewhere, node, remembered, revoke_elsewhere, warm};
use crate::support::{World, after, ids, on_every_store, owner, verdict};

on_every_store! {
    what_is_revoked_here_is_refused_at_once
    who_descends_from_a_revoked_token_is_refused_at_once
    what_is_suspended_here_is_refused_until_it_is_resumed
    a_new_secret_is_good_at_once_and_the_old_one_is_not
    what_is_changed_here_shows_at_once
    what_is_erased_here_is_unknown_at_once
    who_names_tokens_of_others_makes_none_be_forgotten
    a_use_that_is_written_makes_nothing_be_forgotten
    only_the_revocation_of_a_revoked_token_is_final
    a_token_that_was_suspended_elsewhere_issues_and_rotates_nothing_here
    a_descendant_that_was_revoked_elsewhere_is_refused_once_all_were_ended_here
}

async fn what_is_revoked_here_is_refused_at_once(world: World) {
    let tokens = node(&world);
    let own = tokens.owned_by(&world.owner);
    let mut issued = Vec::new();
    for _ in 0..5 {
        issued.push(warm(&world, &tokens).await);
    }
    own.revoke(issued[0].record.id).await.unwrap();
    own.revoke_many(&ids(&issued[1..2])).await.unwrap();
    tokens.operator().revoke_many(&ids(&issued[2..3])).await.unwrap();
    for (it, expected) in issued.iter().zip(["revoked", "revoked", "revoked", "good", "good"]) {
        assert_eq!(verdict(&tokens, it).await, expected);
    }
    own.revoke_all().await.unwrap();
    for it in &issued {
        assert_eq!(verdict(&tokens, it).await, "revoked");
    }
}

/// A token, its child and its grandchild.
async fn family(world: &World, tokens: &ApiTokens) -> Vec<IssuedToken> {
    let mut family = vec![tokens.issue(world.new_token("a").all_abilities()).await.unwrap()];
    for name in ["b", "c"] {
        let last = family.last().unwrap().plain.expose_secret();
        let parent = tokens.verify(last).await.unwrap();
        let new = world.new_token(name).all_abilities();
        family.push(tokens.issue_on_behalf_of(&parent, new).await.unwrap());
    }
    family
}

async fn who_descends_from_a_revoked_token_is_refused_at_once(world: World) {
    let tokens = building(&world)
        .policy(Policy::new().delegation(Ability::new("tokens:issue").unwrap()))
        .build()
        .unwrap();
    let family = family(&world, &tokens).await;
    for it in &family {
        assert_eq!(verdict(&tokens, it).await, "good");
    }
    tokens.owned_by(&world.owner).revoke_with_descendants(family[0].record.id).await.unwrap();
    for it in &family {
        assert_eq!(verdict(&tokens, it).await, "revoked");
    }
}

async fn what_is_suspended_here_is_refused_until_it_is_resumed(world: World) {
    let tokens = node(&world);
    let own = tokens.owned_by(&world.owner);
    let issued = warm(&world, &tokens).await;
    for _ in 0..3 {
        own.suspend(issued.record.id).await.unwrap();
        assert_eq!(verdict(&tokens, &issued).await, "suspended");
        assert_eq!(remembered(&world, &tokens, &issued).await, "suspended");
        own.resume(issued.record.id).await.unwrap();
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
}

async fn a_new_secret_is_good_at_once_and_the_old_one_is_not(world: World) {
    let [here, there] = [node(&world), node(&world)];
    let old = warm(&world, &here).await;
    assert_eq!(verdict(&there, &old).await, "good");
    let rotation = TokenRotation::new().grace(Duration::ZERO);
    let new = here.owned_by(&world.owner).rotate(old.record.id, rotation).await.unwrap();
    assert_eq!(verdict(&here, &old).await, "retired_secret");
    assert_eq!(verdict(&here, &new).await, "good");
    // Another node asks before it refuses a secret that it does not know.
    assert_eq!(remembered(&world, &there, &old).await, "good");
    assert_eq!(verdict(&there, &new).await, "good");
    assert_eq!(verdict(&there, &old).await, "retired_secret");
}

async fn what_is_changed_here_shows_at_once(world: World) {
    let tokens = node(&world);
    let issued = warm(&world, &tokens).await;
    let own = tokens.owned_by(&world.owner);
    for abilities in [&["a:read"][..], &["a:read", "b:read"], &[]] {
        let change = TokenChange::new().abilities(abilities.iter().copied());
        own.change(issued.record.id, change).await.unwrap();
        let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
        assert_eq!(token.can("b:read"), abilities.len() == 2);
        assert_eq!(token.can("a:read"), !abilities.is_empty());
    }
}

async fn what_is_erased_here_is_unknown_at_once(world: World) {
    let tokens = node(&world);
    let [good, revoked] = [warm(&world, &tokens).await, warm(&world, &tokens).await];
    tokens.owned_by(&world.owner).revoke(revoked.record.id).await.unwrap();
    tokens.owned_by(&world.owner).erase().await.unwrap();
    for it in [&good, &revoked] {
        assert_eq!(verdict(&tokens, it).await, "unknown");
    }
    assert_eq!(tokens.cache_stats().unwrap().entries, 0);
}

async fn who_names_tokens_of_others_makes_none_be_forgotten(world: World) {
    let tokens = node(&world);
    let issued = warm(&world, &tokens).await;
    let stranger = tokens.owned_by(owner("user:stranger"));
    stranger.revoke_many(&[issued.record.id]).await.unwrap();
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
}

async fn a_use_that_is_written_makes_nothing_be_forgotten(world: World) {
    let tokens = node(&world);
    let issued = warm(&world, &tokens).await;
    world.clock.advance(STALENESS / 2);
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
    tokens.flush().await.unwrap();
    assert_eq!(world.store.take_batches().len(), 1);
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
}

/// A token that was used elsewhere, renamed there and revoked here.
async fn only_the_revocation_of_a_revoked_token_is_final(world: World) {
    let tokens = node(&world);
    let elsewhere = world.tokens();
    let issued = warm(&world, &tokens).await;
    let id = issued.record.id;
    world.clock.advance(Duration::SECOND);
    assert_eq!(verdict(&elsewhere, &issued).await, "good");
    elsewhere.owned_by(&world.owner).rename(id, "renamed").await.unwrap();
    tokens.owned_by(&world.owner).revoke(id).await.unwrap();
    elsewhere.flush().await.unwrap();

    for node in [&tokens, &elsewhere] {
        let record = node.owned_by(&world.owner).get(id).await.unwrap();
        assert_eq!((record.name.as_str(), record.last_used_at), ("renamed", Some(after(1))));
        assert!(record.revocation.is_some());
        assert_eq!(verdict(node, &issued).await, "revoked");
    }
}

async fn a_token_that_was_suspended_elsewhere_issues_and_rotates_nothing_here(world: World) {
    let tokens = building(&world)
        .policy(Policy::new().delegation(Ability::new("tokens:issue").unwrap()))
        .build()
        .unwrap();
    let issued = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    let own = elsewhere(&world).owned_by(&world.owner);
    own.suspend(issued.record.id).await.unwrap();
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
    let child = tokens.issue_on_behalf_of(&token, world.new_token("b")).await;
    assert!(matches!(child, Err(IssueError::DelegationNotAllowed)), "{:?}", child.map(drop));

    let issued = tokens.issue(world.new_token("c").all_abilities()).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    own.suspend(issued.record.id).await.unwrap();
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
    let rotated = tokens.rotate_presented(&token, TokenRotation::new()).await;
    let refused = Err(RotateError::Manage(ManageError::NotActive(TokenState::Suspended)));
    assert_eq!(
        format!("{:?}", rotated.map(drop)),
        format!("{refused:?}", refused = refused as Result<(), _>)
    );
    assert_eq!(world.stored(&issued).await.generation, 0);
}

/// The ancestors between are not known to the node, and nothing is changed of the grandchild.
async fn a_descendant_that_was_revoked_elsewhere_is_refused_once_all_were_ended_here(world: World) {
    let tokens = building(&world)
        .policy(Policy::new().delegation(Ability::new("tokens:issue").unwrap()))
        .build()
        .unwrap();
    let family = family(&world, &tokens).await;
    assert_eq!(verdict(&tokens, &family[2]).await, "good");
    revoke_elsewhere(&world, family[2].record.id).await;
    assert_eq!(remembered(&world, &tokens, &family[2]).await, "good");
    tokens.owned_by(&world.owner).revoke_with_descendants(family[0].record.id).await.unwrap();
    assert_eq!(verdict(&tokens, &family[2]).await, "revoked");
}
