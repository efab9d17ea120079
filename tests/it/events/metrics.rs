//! Counters: what the table of `MetricsObserver` names, and nothing of a token or its owner.

use std::{collections::BTreeMap, num::NonZeroU32};

use axum::{Router, body::Body, http::Request, routing::get};
use keyfob::{
    ApiTokens, Event, LastUsed, ListTokens, TokenChange, TokenRotation,
    event::{MetricsObserver, Observer},
    limit::{RateLimiter, RedisLimits, WhileAway},
    token::{KeyId, RateLimit, TokenDigest},
    web::{Allowed, Authenticator, Realm, axum::TokenLayer},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use time::Duration;
use tower::ServiceExt;

use crate::support::{World, after, secret_of};

keyfob::abilities! {
    enum PanelAbility {
        ServersRead = "servers:read", "See servers";
    }
}

/// What every counter counts, by its name and labels.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let counters = snapshotter.snapshot().into_vec();
    let counters = counters.into_iter().map(|(key, unit, description, value)| {
        assert!(unit.is_some() && description.is_some(), "{key:?} is described");
        let labels = key.key().labels().map(|it| format!(" {}={}", it.key(), it.value()));
        let name = format!("{}{}", key.key().name(), labels.collect::<String>());
        let DebugValue::Counter(count) = value else { panic!("{name} is no counter") };
        (name, count)
    });
    counters.collect()
}

async fn request(tokens: &ApiTokens, authenticator: Authenticator, token: &str) -> u16 {
    let handler = async |_: Allowed<ServersRead>| "hello";
    let layer = TokenLayer::new(authenticator);
    let router = Router::new().route("/", get(handler)).layer(layer).with_state(tokens.clone());
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_counter_counts_what_the_table_says() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::memory().await;
    let builder = world
        .builder()
        .inline_observer(MetricsObserver::new())
        .last_used(LastUsed::default().capacity(2));
    let builder = builder.report_verified(NonZeroU32::new(2).unwrap());
    let tokens = builder.build().unwrap();
    let own = tokens.owned_by(&world.owner);

    let new = world.new_token("a").expires_in(Duration::days(2));
    let first = tokens.issue(new).await.unwrap();
    let id = first.record.id;
    for last in [1, 1, 2] {
        let from = Some([192, 0, 2, last].into());
        tokens.verify_from(first.plain.expose_secret(), from).await.unwrap();
    }
    own.change(id, TokenChange::new().name("b").abilities(["x"])).await.unwrap();
    let second = own.rotate(id, TokenRotation::new().grace(Duration::ZERO)).await.unwrap();
    tokens.verify(first.plain.expose_secret()).await.unwrap_err();
    let realm = || Realm::new("Acme API").unwrap();
    let limit = RateLimit::new(1, Duration::MINUTE).unwrap();
    let authenticator = Authenticator::require(tokens.clone(), realm()).rate_limit(limit);
    for status in [403, 429] {
        let text = second.plain.expose_secret();
        assert_eq!(request(&tokens, authenticator.clone(), text).await, status);
    }
    let nowhere = RedisLimits::open("redis://127.0.0.1:1/").unwrap();
    let limiter = RateLimiter::redis(nowhere.while_away(WhileAway::Refuse));
    let authenticator = authenticator.limiter(limiter);
    let text = second.plain.expose_secret();
    assert_eq!(request(&tokens, authenticator, text).await, 503);
    own.suspend(id).await.unwrap();
    tokens.verify(second.plain.expose_secret()).await.unwrap_err();
    own.resume(id).await.unwrap();
    let mut soon = tokens.operator().expiring_within(Duration::days(7));
    while soon.next_page().await.unwrap().is_some() {}

    let many = world.issue_many(&tokens, 2).await;
    for issued in &many {
        tokens.verify(issued.plain.expose_secret()).await.unwrap();
    }
    world.clock.advance(Duration::HOUR);
    world.store.fail(&["record_uses", "find"]);
    own.list(ListTokens::new()).await.unwrap();
    own.get(id).await.unwrap_err();
    world.store.heal();
    let key = Some(KeyId::new("2026-11").unwrap());
    let digest = |it: &TokenDigest| TokenDigest::from_bytes(*it.as_bytes(), key);
    let planted = world.plant(|it| it.digest = digest(&it.digest)).await;
    tokens.verify(planted.plain.expose_secret()).await.unwrap_err();

    own.revoke_many(&[many[0].record.id, many[1].record.id]).await.unwrap();
    world.clock.advance(Duration::HOUR);
    tokens.prune(after(7_200)).await.unwrap();
    own.erase().await.unwrap();

    // What only servers that come back bring about.
    for event in [Event::SignalRestored, Event::LimitsBack] {
        MetricsObserver::new().observe(&event);
    }

    let counted = counted(&snapshotter);
    let expected = [
        ("keyfob_tokens_total change=issued", 3),
        ("keyfob_tokens_total change=renamed", 1),
        ("keyfob_tokens_total change=changed", 1),
        ("keyfob_tokens_total change=rotated", 1),
        ("keyfob_tokens_total change=suspended", 1),
        ("keyfob_tokens_total change=resumed", 1),
        ("keyfob_tokens_total change=revoked", 2),
        ("keyfob_tokens_total change=pruned", 2),
        ("keyfob_tokens_total change=erased", 2),
        // Of the eight that succeeded, each second one stands for two.
        ("keyfob_verified_total", 8),
        ("keyfob_refused_total reason=retired_secret", 1),
        ("keyfob_refused_total reason=suspended", 1),
        ("keyfob_refused_total reason=unknown_key", 1),
        ("keyfob_ability_missing_total enforced=true", 1),
        ("keyfob_rate_limited_total limit=default", 1),
        ("keyfob_signs_total sign=first_use", 3),
        ("keyfob_signs_total sign=new_address", 1),
        ("keyfob_signs_total sign=retired_secret_used", 1),
        ("keyfob_signs_total sign=expiring_soon", 1),
        ("keyfob_store_failed_total situation=unavailable", 1),
        ("keyfob_trouble_total trouble=background_not_driven", 1),
        ("keyfob_signal_restored_total", 1),
        ("keyfob_limits_back_total", 1),
        ("keyfob_trouble_total trouble=limits_away", 1),
        ("keyfob_trouble_total trouble=uses_not_written", 1),
        ("keyfob_trouble_total trouble=pepper_key_missing", 1),
        ("keyfob_uses_dropped_total", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count)).into();
    assert_eq!(counted, expected);

    let names: String = counted.into_keys().collect();
    for issued in [&first, &second, &many[0], &many[1], &planted] {
        for part in [secret_of(issued), &issued.record.id.to_string(), world.owner.as_str()] {
            assert!(!names.contains(part), "{names}");
        }
    }
}
