//! Many who write to the same tokens at once.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use keyfob::{
    Owner, Timestamp, TokenId, TokenName, TokenRecord,
    store::{
        Order, StoreError, TokenStore,
        contract::{
            Change, InsertOutcome, InsertRules, Patch, Selection, SharedRecord, States, Use,
        },
    },
    testing::rare_of,
    token::{Ability, IdempotencyKey, Prefix, PreviousSecret, Revocation, Suspension, TokenDigest},
};

use super::Random;
use super::store_ext::{StoreExt, all_of};

const WRITERS: usize = 16;
const STEPS: usize = 60;
const OWNERS: usize = 3;
const LIMIT: u32 = 8;

/// Sixteen do whatever can be done to the tokens of three owners. No rule is broken meanwhile, nothing comes back once
/// it is revoked, and no step fails but as busy, which is rare.
pub async fn sixteen_writers_break_no_rule(store: Arc<dyn TokenStore>) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { write(&*store, Random(number as u64)).await })
        })
        .collect();
    let (mut busy, mut revoked) = (0, BTreeSet::new());
    for writer in writers {
        let (times, ended) = writer.await.unwrap();
        busy += times;
        revoked.extend(ended);
    }
    assert!(busy * 50 <= WRITERS * STEPS, "{busy} steps were busy");
    for number in 0..OWNERS {
        let living = page(&*store, number, States::NOT_REVOKED).await;
        let names: BTreeSet<_> = living.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names.len(), living.len(), "a name is there twice");
        assert!(living.len() <= LIMIT as usize, "{} tokens", living.len());
        assert!(living.iter().all(|token| !revoked.contains(&token.id)), "one came back");
        let all = page(&*store, number, States::ALL).await;
        let keys: Vec<_> = all.iter().filter_map(|token| token.idempotency_key()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "a key is there twice");
    }
}

/// Owners whose first tokens come at once each get one in.
pub async fn new_owners_are_not_in_each_others_way(store: Arc<dyn TokenStore>) {
    let rules = InsertRules { unique_name: true, limit_per_owner: Some(1), ..InsertRules::none() };
    let inserts = (0..200).map(|number| {
        let store = store.clone();
        let record = record(number, &mut Random(number as u64));
        tokio::spawn(async move { store.insert(&record, &rules).await.unwrap() })
    });
    for inserted in join_all(inserts.collect::<Vec<_>>()).await {
        assert_eq!(inserted.unwrap(), InsertOutcome::Inserted);
    }
}

/// Sixty-four inserts at once through two stores on one database.
pub async fn sixty_four_inserts_reach_the_limit_exactly(stores: [Arc<dyn TokenStore>; 2]) {
    let rules =
        InsertRules { unique_name: false, limit_per_owner: Some(10), ..InsertRules::none() };
    for round in 0..4 {
        let mut random = Random(round as u64);
        let inserts = (0..64).map(|number| {
            let store = stores[number % 2].clone();
            let mut record = record(round, &mut random);
            rare_of(&mut record).idempotency_key = None;
            tokio::spawn(async move { store.insert(&record, &rules).await.unwrap() })
        });
        let inserted = join_all(inserts.collect::<Vec<_>>()).await.into_iter();
        let inserted = inserted.filter(|it| *it.as_ref().unwrap() == InsertOutcome::Inserted);
        assert_eq!(inserted.count(), 10, "in round {round}");
        let (count, _) = stores[0].count_of(&owner(round)).await;
        assert_eq!(count, 10, "in round {round}");
    }
}

/// How often the store was busy, and what was revoked.
async fn write(store: &dyn TokenStore, mut random: Random) -> (usize, Vec<TokenId>) {
    let (mut busy, mut revoked) = (0, Vec::new());
    for _ in 0..STEPS {
        match step(store, &mut random).await {
            Ok(ended) => revoked.extend(ended),
            Err(StoreError::Busy(_)) => busy += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    (busy, revoked)
}

async fn step(store: &dyn TokenStore, random: &mut Random) -> Result<Vec<TokenId>, StoreError> {
    let number = random.below(OWNERS);
    let tokens = page(store, number, States::ALL).await;
    let what = if tokens.is_empty() { 0 } else { random.below(16) };
    if what < 5 {
        let rules =
            InsertRules { unique_name: true, limit_per_owner: Some(LIMIT), ..InsertRules::none() };
        let _ = store.insert(&record(number, random), &rules).await?;
        return Ok(Vec::new());
    }
    let token = &tokens[random.below(tokens.len())];
    let at = at(random);
    let mut some: Vec<_> = tokens.iter().map(|token| token.id).collect();
    some.sort_by_cached_key(|_| random.next());
    some.truncate(5);
    let revocation = Revocation::new(at);
    match what {
        5..=6 => {
            let selection = Selection::Tokens { ids: some, owner: None };
            return store.end(&selection, &revocation).await;
        }
        7 if random.below(4) == 0 => {
            return store.end(&Selection::AllOf(owner(number)), &revocation).await;
        }
        7 => {
            let (mut change, expected_expiry) = (Change::default(), token.expires_at);
            change.name = Some(name(random));
            let rules = InsertRules { unique_name: true, ..InsertRules::none() };
            let _ =
                store.update(token.id, &Patch::Change { expected_expiry, change, rules }).await?;
        }
        8 => {
            let digest = TokenDigest::from_bytes([8; 32], None);
            store.rekey(token.id, &token.digest, &digest).await?;
        }
        9..=10 => {
            let uses: Vec<_> = some.iter().map(|id| Use::new(*id, at)).collect();
            store.record_uses(&uses).await?;
        }
        11 => {
            let ability = Ability::new("servers:read").unwrap();
            let used =
                |id: &TokenId| Use { abilities: [ability.clone()].into(), ..Use::new(*id, at) };
            store.record_uses(&some.iter().map(used).collect::<Vec<_>>()).await?;
        }
        12 => {
            store.mark_first_use(token.id, &token.digest, at).await?;
        }
        13 => {
            let _ = store.suspend(token.id, &Suspension::new(at)).await?;
        }
        14 => {
            store.prune(at, 3).await?;
        }
        _ if random.below(8) == 0 => {
            store.erase(&owner(number)).await?;
        }
        _ => {
            store
                .end(&Selection::ChildrenOf { parents: vec![token.id], after: None }, &revocation)
                .await?;
        }
    }
    Ok(Vec::new())
}

async fn page(store: &dyn TokenStore, number: usize, states: States) -> Vec<SharedRecord> {
    let mut query = all_of(&owner(number), Order::OLDEST);
    query.filter.states = states;
    store.list(&query).await.unwrap().records
}

fn owner(number: usize) -> Owner {
    Owner::new(format!("writers:{number}")).unwrap()
}

fn name(random: &mut Random) -> TokenName {
    TokenName::new(format!("n{}", random.below(12))).unwrap()
}

fn at(random: &mut Random) -> Timestamp {
    let seconds = 2_000 + i64::try_from(random.below(1_000)).unwrap();
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn record(number: usize, random: &mut Random) -> TokenRecord {
    let id = TokenId::from_u128(u128::from(random.next()) << 64 | u128::from(random.next()));
    let (prefix, digest) = (Prefix::new("acme").unwrap(), TokenDigest::from_bytes([7; 32], None));
    let mut record = TokenRecord::new(id, prefix, owner(number), name(random), digest, at(random));
    // Rotated once, so that its first use can be recorded.
    let previous = TokenDigest::from_bytes([9; 32], None);
    record.previous = Some(Box::new(PreviousSecret::until(previous, record.created_at)));
    (record.generation, record.rotated_at) = (1, Some(record.created_at));
    if random.below(3) == 0 {
        let key = format!("key {}", random.below(4));
        rare_of(&mut record).idempotency_key = Some(IdempotencyKey::new(key).unwrap());
    }
    record
}
