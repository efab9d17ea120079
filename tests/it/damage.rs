//! A row that no step writes is damage, and is read as none: else a column that is lost could let somebody in.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, IssuedToken, TokenChange, TokenId, TokenRecord, TokenRotation,
    store::contract::StoredRow,
    testing::rare_of,
    token::{
        Actor, AllowedAddresses, IdempotencyKey, KeyId, Metadata, PreviousSecret, Reason,
        Revocation, Suspension, TokenDigest,
    },
};
use serde_json::{Value, json};
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{Random, World, after};

/// A column, a value that may be there, and what stands for none.
type Column = (&'static str, fn() -> Value, fn() -> Value);

/// Columns that depend on each other.
const HISTORY: &[Column] = &[
    ("generation", || json!(1), || json!(0)),
    ("rotated_at", || json!(1_000), none),
    ("first_used_at", || json!(1_000), none),
    ("previous_digest", || json!("07".repeat(32)), none),
    ("previous_ends_at", || json!(1_000), none),
    ("previous_ends_on_first_use", || json!(true), || json!(false)),
    ("previous_may_ask_again", || json!(true), || json!(false)),
    ("expires_at", || json!(9_000), none),
    ("notices", || json!("7"), || json!("")),
];
const SUSPENSION: &[Column] = &[
    ("suspended_since", || json!(1_000), none),
    ("suspended_until", || json!(1_000), none),
    ("suspended_reason", || json!("unpaid"), none),
];
const REVOCATION: &[Column] = &[
    ("revoked_at", || json!(1_000), none),
    ("revoked_by", || json!("user:42"), none),
    ("revoked_reason", || json!("stolen"), none),
];
const USE: &[Column] =
    &[("last_used_at", || json!(1_000), none), ("last_used_from", || json!("192.0.2.7"), none)];
const LIMIT: &[Column] =
    &[("rate_limit_requests", || json!(1), none), ("rate_limit_seconds", || json!(1), none)];

fn none() -> Value {
    Value::Null
}

/// Everything that a step can do to a token.
async fn act(world: &World, tokens: &ApiTokens, token: &mut Vec<IssuedToken>, random: &mut Random) {
    let own = tokens.owned_by(&world.owner).by(Actor::new("user:42").unwrap());
    let because = own.clone().because(Reason::new("unpaid").unwrap());
    let id = token[0].record.id;
    let grace = |seconds| TokenRotation::new().grace(Duration::seconds(seconds));
    let secret = |token: &[IssuedToken], random: &mut Random| {
        token[random.below(token.len())].plain.expose_secret().to_owned()
    };
    match random.below(18) {
        0 => token.extend(own.rotate(id, grace(0)).await),
        1 => token.extend(own.rotate(id, grace(100)).await),
        2 => token.extend(own.rotate(id, TokenRotation::new().until_first_use()).await),
        3 => token.extend(own.rotate(id, grace(50).until_first_use()).await),
        4 => token.extend(own.rotate(id, grace(50).end_running_grace()).await),
        5..=7 => {
            let from = [None, Some([192, 0, 2, 7].into())][random.below(2)];
            drop(tokens.verify_from(&secret(token, random), from).await);
        }
        8 | 9 => {
            if let Ok(bearer) = tokens.verify(&secret(token, random)).await {
                let rotation = [
                    grace(10),
                    grace(10).until_first_use(),
                    TokenRotation::new().until_first_use(),
                ];
                token.extend(
                    tokens.rotate_presented(&bearer, rotation[random.below(3)].clone()).await,
                );
            }
        }
        10 => {
            let change = TokenChange::new().expires_in(Duration::seconds(500));
            drop(own.change(id, change).await);
        }
        11 => drop(own.change(id, TokenChange::new().expires_at(None)).await),
        12 => {
            let mut pages = tokens.operator().expiring_within(Duration::days(7));
            while pages.next_page().await.unwrap().is_some() {}
        }
        13 => drop([&own, &because][random.below(2)].suspend(id).await),
        14 => drop(own.resume(id).await),
        15 => {
            let until = tokens.now().checked_add(Duration::seconds(20)).unwrap();
            drop([&own, &because][random.below(2)].suspend_until(id, until).await);
        }
        16 => tokens.flush().await.unwrap(),
        _ => world.clock.advance(Duration::seconds(40)),
    }
}

/// Which of the columns are there.
fn pattern(row: &Value, columns: &[Column]) -> Vec<bool> {
    columns.iter().map(|(column, _, absent)| row[column] != absent()).collect()
}

#[test]
fn every_combination_of_columns_that_no_step_writes_is_damage() {
    let world = World::memory().now_or_never().unwrap();
    let tokens = world.builder().build().unwrap();
    let groups = [HISTORY, SUSPENSION, REVOCATION, USE, LIMIT];
    let mut written: Vec<BTreeSet<Vec<bool>>> = vec![BTreeSet::new(); groups.len()];
    let mut random = Random(7);
    futures_executor::block_on(async {
        for number in 0..1_500 {
            let new = world.new_token(&format!("token {number}"));
            let limit = keyfob::token::RateLimit::new(1, Duration::SECOND).unwrap();
            let new = if number % 2 == 0 { new.rate_limit(limit) } else { new };
            let mut token = vec![tokens.issue(new).await.unwrap()];
            let id = token[0].record.id;
            for _ in 0..14 {
                act(&world, &tokens, &mut token, &mut random).await;
                note(&world, id, &groups, &mut written).await;
            }
            let own = tokens.owned_by(&world.owner);
            let by = own.clone().by(Actor::new("user:42").unwrap());
            let because = Reason::new("stolen").unwrap();
            let own = [own.clone(), by.clone(), own.because(because.clone()), by.because(because)];
            own[number % 4].revoke(id).await.unwrap();
            note(&world, id, &groups, &mut written).await;
        }
    });

    let plain =
        serde_json::to_value(StoredRow::from(&world.plant(|_| ()).now_or_never().unwrap().record))
            .unwrap();
    for (columns, written) in groups.iter().zip(&written) {
        for number in 0..1_u32 << columns.len() {
            let mut row = plain.clone();
            for (place, (column, present, absent)) in columns.iter().enumerate() {
                row[column] = if number >> place & 1 == 1 { present() } else { absent() };
            }
            let pattern = pattern(&row, columns);
            let read = serde_json::from_value::<StoredRow>(row).unwrap().into_record();
            let there: Vec<_> =
                columns.iter().zip(&pattern).filter(|it| *it.1).map(|it| it.0.0).collect();
            assert_eq!(read.is_ok(), written.contains(&pattern), "{there:?}: {read:?}");
        }
    }
}

async fn note(
    world: &World,
    id: keyfob::TokenId,
    groups: &[&[Column]],
    written: &mut [BTreeSet<Vec<bool>>],
) {
    let record = world.store.one(id).await.unwrap().unwrap();
    let row = serde_json::to_value(StoredRow::from(&*record)).unwrap();
    for (columns, written) in groups.iter().zip(written) {
        written.insert(pattern(&row, columns));
    }
}

/// The empty text is a value of few columns.
#[test]
fn an_empty_text_is_damage_but_where_it_says_none() {
    let world = World::memory().now_or_never().unwrap();
    // Everything is there, so that it is the empty text that is refused, and not what else is missing.
    let everything = |it: &mut TokenRecord| {
        let (actor, reason) = (Actor::new("admin").unwrap(), Reason::new("leaked").unwrap());
        let mut revocation = Revocation::new(after(9));
        (revocation.by, revocation.reason) = (Some(actor.clone()), Some(reason.clone()));
        let mut suspension = Suspension::new(after(5));
        (suspension.until, suspension.reason) = (Some(after(6)), Some(reason));
        let key = KeyId::new("k1").unwrap();
        let digest = TokenDigest::from_bytes([7; 32], Some(key));
        it.digest = digest.clone();
        it.previous = Some(Box::new(PreviousSecret::until(digest, after(100))));
        it.revocation = Some(Box::new(revocation));
        it.suspension = Some(Box::new(suspension));
        (it.last_used_at, it.last_used_from) = (Some(after(3)), Some([192, 0, 2, 7].into()));
        (it.expires_at, it.not_before) = (Some(after(1_000)), Some(after(1)));
        let rare = rare_of(it);
        rare.created_by = Some(actor);
        rare.parent = Some(TokenId::from_u128(7));
        rare.allowed_addresses = Some(AllowedAddresses::new(["192.0.2.0/24"]).unwrap());
        rare.metadata = Metadata::new(&json!({ "a": 1 })).unwrap();
        rare.idempotency_key = Some(IdempotencyKey::new("k").unwrap());
    };
    let record = world.plant(everything).now_or_never().unwrap().record;
    let row = StoredRow::from(&record);
    assert_eq!(row.clone().into_record().unwrap(), record);
    let row = serde_json::to_value(row).unwrap();
    let says_none = ["abilities", "notices", "used_abilities"];
    let mut tried = 0;
    for (column, value) in row.as_object().unwrap() {
        if !(value.is_string() || value.is_null()) {
            continue;
        }
        let mut damaged = row.clone();
        damaged[column] = json!("");
        // A number can't be empty.
        let Ok(damaged) = serde_json::from_value::<StoredRow>(damaged) else { continue };
        let read = damaged.into_record();
        assert_eq!(read.is_ok(), says_none.contains(&column.as_str()), "{column}: {read:?}");
        tried += 1;
    }
    assert!(tried >= 15, "{tried} columns can be empty");
}
