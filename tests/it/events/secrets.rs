//! A whole life, and nothing in its events that opens anything.

use std::num::NonZeroU32;

use keyfob::{
    Ability, NewToken, Policy, TokenChange, TokenRotation,
    token::{KeyedChecksum, Pepper, PepperKey},
};
use time::Duration;

use super::{Kept, actor, address, reason};
use crate::support::{World, on_every_store, secret_of};

on_every_store! {
    no_event_of_a_whole_life_shows_a_secret
}

async fn no_event_of_a_whole_life_shows_a_secret(world: World) {
    let kept = Kept::default();
    let pepper = Pepper::new(PepperKey::new("2026", [1, 2].repeat(16)).unwrap());
    let delegation = Ability::new("issue").unwrap();
    let builder = world
        .builder()
        .pepper(pepper.keyed_checksum(KeyedChecksum::Require))
        .policy(Policy::new().delegation(delegation).suspend_on_retired_secret(true))
        .report_verified(NonZeroU32::MIN);
    let tokens = builder.inline_observer(kept.clone()).build().unwrap();
    let new = world.new_token("a").abilities(["issue", "x:*"]);
    let first = tokens.issue(new.expires_in(Duration::days(2))).await.unwrap();
    let own = tokens.owned_by(&world.owner).by(actor()).because(reason());
    let id = first.record.id;
    let token = tokens.verify_from(first.plain.expose_secret(), Some(address(1))).await.unwrap();
    let child = NewToken::new(world.owner.clone(), "b").abilities(["x:read"]);
    let child = tokens.issue_on_behalf_of(&token, child).await.unwrap();
    let second = own.rotate(id, TokenRotation::new().grace(Duration::MINUTE)).await.unwrap();
    tokens.verify_from(second.plain.expose_secret(), Some(address(2))).await.unwrap();
    own.change(id, TokenChange::new().name("c").abilities(["x:*"])).await.unwrap();
    while tokens.operator().expiring_within(Duration::days(7)).next_page().await.unwrap().is_some()
    {
    }
    world.clock.advance(Duration::HOUR);
    tokens.verify(first.plain.expose_secret()).await.unwrap_err();
    own.resume(id).await.unwrap();
    own.suspend(id).await.unwrap();
    tokens.revoke_presented(second.plain.expose_secret()).await.unwrap();
    tokens.verify(second.plain.expose_secret()).await.unwrap_err();
    world.store.fail(&["record_uses"]);
    tokens.flush().await.unwrap_err();
    own.erase().await.unwrap();

    let told = kept.take();
    let json: Vec<_> = told.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
    let text = format!("{told:?}{told:#?}{json:?}");
    for kind in [
        "Issued",
        "Verified",
        "FirstUse",
        "NewAddress",
        "Rotated",
        "Renamed",
        "Changed",
        "ExpiringSoon",
        "RetiredSecretUsed",
        "Suspended",
        "Resumed",
        "Revoked",
        "Refused",
        "UsesNotWritten",
        "Erased",
    ] {
        assert!(told.iter().any(|it| format!("{it:?}").starts_with(kind)), "{kind}: {told:#?}");
    }
    for issued in [&first, &second, &child] {
        let plain = issued.plain.expose_secret();
        for part in [plain, secret_of(issued), &plain[plain.len() - 6..]] {
            assert!(!text.contains(part), "{text}");
        }
        assert!(!text.contains(&format!("{:?}", issued.record.digest.as_bytes())));
    }
}
