//! What becomes of the tokens that a token has issued when it is revoked, before, after and meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, IssueError, IssuedToken, ListTokens, ManageError, NewToken, TokenId, TokenState,
    store::{StoreError, contract::Selection},
    token::{Reason, Revocation},
};

use super::{assert_not_allowed, delegating, parent, verified};
use crate::support::store_ext::StoreExt;
use crate::support::{World, after, code_of, ids, on_every_store, once, owner, verdict};

on_every_store! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)] =>
    all_descendants_are_revoked_and_nobody_else
    somebody_elses_token_is_not_revoked_with_its_descendants
    a_parent_that_is_revoked_meanwhile_takes_the_child_along
    a_parent_that_is_erased_before_its_child_is_kept_ends_the_child
    where_nobody_knows_of_the_parent_the_child_is_not_good
    no_child_outlives_a_revocation_with_descendants
}

struct Family {
    top: IssuedToken,
    descendants: Vec<IssuedToken>,
}

async fn family(world: &World, tokens: &ApiTokens) -> Family {
    let top = tokens.issue(world.new_token("top").all_abilities()).await.unwrap();
    let mut descendants = Vec::new();
    let above = verified(tokens, &top).await;
    for _ in 0..2 {
        let new = world.new_token("child").all_abilities();
        let child = tokens.issue_on_behalf_of(&above, new).await.unwrap();
        let parent = verified(tokens, &child).await;
        descendants.push(child);
        let new = world.new_token("grandchild").all_abilities();
        descendants.push(tokens.issue_on_behalf_of(&parent, new).await.unwrap());
    }
    Family { top, descendants }
}

async fn all_descendants_are_revoked_and_nobody_else(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let own = tokens.owned_by(&world.owner).because(Reason::new("leaked").unwrap());
    for revoked_before in [None, Some(0), Some(1)] {
        let one = family(&world, &tokens).await;
        let other = family(&world, &tokens).await;
        let mut expected = vec![one.top.record.id];
        expected.extend(ids(&one.descendants));
        // The parent, or one in between, was revoked before and is gone through all the same.
        if let Some(place) = revoked_before {
            own.revoke(expected.remove(place)).await.unwrap();
        }
        world.events.take();
        let mut revoked = own.revoke_with_descendants(one.top.record.id).await.unwrap();
        let told = world.events.take().join("\n");
        assert!(expected.iter().all(|id| told.contains(&format!("{id:?}"))), "{told}");
        expected.sort_unstable();
        revoked.sort_unstable();
        assert_eq!(revoked, expected);
        for issued in one.descendants.iter().chain([&one.top]) {
            assert_eq!(verdict(&tokens, issued).await, "revoked");
            assert!(world.stored(issued).await.revocation.as_ref().unwrap().reason.is_some());
        }
        assert_eq!(own.revoke_with_descendants(one.top.record.id).await.unwrap(), []);

        // A child takes neither its parent nor its siblings along.
        let child = other.descendants[0].record.id;
        assert_eq!(own.revoke_with_descendants(child).await.unwrap().len(), 2);
        for issued in other.descendants[2..].iter().chain([&other.top]) {
            assert_eq!(verdict(&tokens, issued).await, "good");
        }
    }
}

async fn somebody_elses_token_is_not_revoked_with_its_descendants(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let Family { top, descendants } = family(&world, &tokens).await;
    world.events.take();
    world.store.take_calls();
    let theirs = tokens.owned_by(&world.stranger);
    for id in [top.record.id, descendants[0].record.id, TokenId::from_u128(7)] {
        let refused = theirs.revoke_with_descendants(id).await;
        assert!(matches!(refused, Err(ManageError::NotFound)), "{refused:?}");
    }
    assert_eq!(world.events.count("Revoked"), 0);
    for issued in descendants.iter().chain([&top]) {
        assert_eq!(verdict(&tokens, issued).await, "good");
    }
    // Where the parent was revoked before, its children are still not theirs.
    tokens.owned_by(&world.owner).revoke(top.record.id).await.unwrap();
    let refused = theirs.revoke_with_descendants(top.record.id).await;
    assert!(matches!(refused, Err(ManageError::NotFound)), "{refused:?}");
    assert_eq!(verdict(&tokens, &descendants[0]).await, "good");
}

/// The only token that is stored beside the parent.
async fn only_child(world: &World, tokens: &ApiTokens, parent: TokenId) -> TokenId {
    let any = ListTokens::new().any_state();
    let page = tokens.owned_by(&world.owner).list(any).await.unwrap();
    let others: Vec<_> = page.tokens.iter().map(|it| it.id).filter(|id| *id != parent).collect();
    assert_eq!(others.len(), 1);
    others[0]
}

async fn a_parent_that_is_revoked_meanwhile_takes_the_child_along(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let token = parent(&tokens, world.new_token("a").all_abilities()).await;
    let (own, id) = (tokens.owned_by(&world.owner), token.id());
    let revoking = own.clone();
    world.store.after("insert", move || {
        let own = revoking.clone();
        async move { own.revoke(id).await.unwrap() }.boxed()
    });
    assert_not_allowed(&tokens.issue_on_behalf_of(&token, world.new_token("b")).await);
    world.store.heal();
    let child = own.get(only_child(&world, &tokens, id).await).await.unwrap();
    assert_eq!(child.state_at(tokens.now()), TokenState::Revoked);

    // A parent that is gone altogether is as good as revoked.
    own.erase().await.unwrap();
    let token = parent(&tokens, world.new_token("a").all_abilities()).await;
    let erasing = world.store.inner();
    let id = token.id();
    world.store.before("find", move || {
        let store = erasing.clone();
        async move {
            let at = Selection::Tokens { ids: vec![id], owner: None };
            let revocation = Revocation::new(after(0));
            drop(store.end(&at, &revocation).await.unwrap());
        }
        .boxed()
    });
    assert_not_allowed(&tokens.issue_on_behalf_of(&token, world.new_token("b")).await);
    world.store.heal();
    assert_eq!(own.count().await.unwrap().not_revoked(), 0);
}

async fn a_parent_that_is_erased_before_its_child_is_kept_ends_the_child(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let other = tokens.issue(NewToken::new(owner("user:other"), "parent").all_abilities()).await;
    let other = tokens.verify(other.unwrap().plain.expose_secret()).await.unwrap();
    for step in ["insert", "find"] {
        let token = parent(&tokens, world.new_token("a").all_abilities()).await;
        let (erasing, gone) = (world.store.inner(), world.owner.clone());
        let erase = move || {
            let (store, owner) = (erasing.clone(), gone.clone());
            async move { drop(store.erase(&owner).await.unwrap()) }.boxed()
        };
        // The check before is past when the child is kept.
        if step == "insert" {
            world.store.before("insert", once(erase));
        } else {
            world.store.after("insert", once(erase));
        }
        assert_not_allowed(&tokens.issue_on_behalf_of(&token, world.new_token("b")).await);
        world.store.heal();
        let own = tokens.owned_by(&world.owner);
        assert_eq!(own.count().await.unwrap().not_revoked(), 0);
    }
    assert!(
        tokens.issue_on_behalf_of(&other, NewToken::new(owner("user:other"), "b")).await.is_ok()
    );
}

async fn where_nobody_knows_of_the_parent_the_child_is_not_good(world: World) {
    for (steps, revoked) in [(&["find"][..], true), (&["find", "revoke"], false)] {
        let tokens = delegating(&world).build().unwrap();
        let token = parent(&tokens, world.new_token("a").all_abilities()).await;
        let (store, id) = (world.store.clone(), token.id());
        world.store.after("insert", move || {
            let store = store.clone();
            async move { store.fail(steps) }.boxed()
        });
        let outcome = tokens.issue_on_behalf_of(&token, world.new_token("b")).await;
        assert!(
            matches!(outcome, Err(IssueError::Store(StoreError::Unavailable(_)))),
            "{outcome:?}"
        );
        world.store.heal();
        let own = tokens.owned_by(&world.owner);
        // Where it could not be revoked either, nobody has seen its secret.
        let child = own.get(only_child(&world, &tokens, id).await).await.unwrap();
        assert_eq!(child.revocation.is_some(), revoked);
        own.erase().await.unwrap();
    }
}

async fn no_child_outlives_a_revocation_with_descendants(world: World) {
    let tokens = delegating(&world).build().unwrap();
    for round in 0..40_u64 {
        let owner = owner(&format!("user:{round}"));
        let new = move |name: &str| NewToken::new(owner.clone(), name).all_abilities();
        let top = parent(&tokens, new("top")).await;
        let stop = Arc::new(AtomicBool::new(false));
        let issuers: Vec<_> = (0..3)
            .map(|_| {
                let (tokens, top, stop) = (tokens.clone(), top.clone(), stop.clone());
                let new = new.clone();
                tokio::spawn(async move {
                    let mut out = Vec::new();
                    let mut above = top.clone();
                    while !stop.load(SeqCst) && out.len() < 50 {
                        let Ok(child) = tokens.issue_on_behalf_of(&above, new("child")).await
                        else {
                            above = top.clone();
                            if code_of(&tokens.revalidate(&top).await) == "good" {
                                continue;
                            }
                            break;
                        };
                        // Every other one is a parent itself.
                        let verified = tokens.verify(child.plain.expose_secret()).await;
                        above = verified.ok().filter(|_| out.len() % 2 == 0).unwrap_or(top.clone());
                        out.push(child);
                        tokio::task::yield_now().await;
                    }
                    out
                })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let own = tokens.owned_by(top.owner());
        if round % 2 == 0 {
            own.revoke_with_descendants(top.id()).await.map(drop).unwrap();
        } else {
            own.revoke_all().await.map(drop).unwrap();
        }
        stop.store(true, SeqCst);
        for issuer in issuers {
            for child in issuer.await.unwrap() {
                assert_eq!(verdict(&tokens, &child).await, "revoked", "round {round}");
            }
        }
    }
}
