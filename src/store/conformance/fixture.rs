//! What clauses are made of: tokens of owners that nobody else has, and checks that tell what is wrong.

use std::{collections::BTreeSet, sync::Arc};

use rand::{TryRng, rngs::SysRng};

use crate::{
    store::{
        Order, StoreError, TokenStore,
        contract::{
            Change, Deletion, Expected, Filter, InsertOutcome, InsertRules, Page, Patch, Position,
            Query, Rotation, Selection, SharedRecord, StoredRow, UpdateOutcome,
        },
    },
    token::{
        Abilities, Ability, Actor, AllowedAddresses, IdempotencyKey, KeyId, Metadata, Owner,
        Prefix, PreviousSecret, RareFields, RateLimit, Reason, Revocation, Suspension, Timestamp,
        TokenDigest, TokenId, TokenName, TokenRecord,
    },
};

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system has random bytes");
    bytes
}

pub(super) fn new_id() -> TokenId {
    TokenId::from_bytes(random())
}

/// So many ids, the least first. They lie on both sides of 2¹²⁷, where a signed number would turn negative.
pub(super) fn new_ids<const N: usize>() -> [TokenId; N] {
    let step = u128::MAX / N as u128;
    let random = u128::from_be_bytes(random()) % step;
    std::array::from_fn(|i| TokenId::from_u128(step * i as u128 + random))
}

pub(super) fn new_owner() -> Owner {
    owner(&format!("conformance:{}", new_id()))
}

pub(super) fn new_key() -> KeyId {
    key(&format!("key-{}", new_id()))
}

pub(super) fn new_digest(key: Option<&KeyId>) -> TokenDigest {
    TokenDigest::from_bytes(random(), key.cloned())
}

pub(super) fn new_idempotency_key() -> IdempotencyKey {
    IdempotencyKey::new(new_id().to_string()).expect("an id is a good idempotency key")
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).expect("an instant between the years 1 and 9999")
}

pub(super) fn owner(text: &str) -> Owner {
    Owner::new(text).expect("a good owner")
}

pub(super) fn name(text: &str) -> TokenName {
    TokenName::new(text).expect("a good name")
}

pub(super) fn key(text: &str) -> KeyId {
    KeyId::new(text).expect("a good key id")
}

pub(super) fn ability(text: &str) -> Ability {
    Ability::new(text).expect("a good ability")
}

pub(super) fn actor(text: &str) -> Actor {
    Actor::new(text).expect("a good actor")
}

pub(super) fn reason(text: &str) -> Reason {
    Reason::new(text).expect("a good reason")
}

pub(super) fn metadata(json: &str) -> Metadata {
    Metadata::from_json(json).expect("good metadata")
}

pub(super) fn addresses(networks: &[&str]) -> AllowedAddresses {
    AllowedAddresses::new(networks).expect("good networks")
}

/// A token with nothing but what every token has.
pub(super) fn plain(owner: &Owner) -> TokenRecord {
    named(owner, "plain")
}

pub(super) fn named(owner: &Owner, text: &str) -> TokenRecord {
    let prefix = Prefix::new("acme").expect("a good prefix");
    TokenRecord::new(new_id(), prefix, owner.clone(), name(text), new_digest(None), at(1_000))
}

/// A token that was rotated once, and whose new secret was not used.
pub(super) fn rotated_once(owner: &Owner) -> TokenRecord {
    let mut record = named(owner, "rotated");
    record.generation = 1;
    record.rotated_at = Some(at(1_100));
    record.previous = Some(Box::new(PreviousSecret {
        digest: new_digest(None),
        ends_at: None,
        ends_on_first_use: true,
        may_ask_again: false,
    }));
    record
}

/// Takes away what the first rotation of a token brings.
pub(super) fn unrotate(record: &mut TokenRecord) {
    record.generation = 0;
    record.rotated_at = None;
    record.first_used_at = None;
    record.previous = None;
}

/// A token that is not revoked and has every other field, each with a value of its own.
pub(super) fn full(owner: &Owner) -> TokenRecord {
    let mut record = named(owner, "Every field");
    record.prefix = Prefix::new("acme_test").expect("a good prefix");
    record.digest = new_digest(Some(&key("current")));
    record.generation = 3;
    record.rotated_at = Some(at(1_100));
    record.first_used_at = Some(at(1_100));
    record.previous = Some(Box::new(PreviousSecret {
        digest: new_digest(Some(&key("previous"))),
        ends_at: Some(at(1_200)),
        ends_on_first_use: true,
        may_ask_again: true,
    }));
    record.abilities = Abilities::set(["servers:*", "Sites:read"]).expect("good abilities");
    record.expires_at = Some(at(9_000));
    record.not_before = Some(at(1_300));
    record.idle_seconds = std::num::NonZeroU32::new(1_400);
    record.last_used_at = Some(at(1_500));
    record.last_used_from = Some([192, 0, 2, 1].into());
    record.suspension = Some(Box::new(Suspension {
        since: at(1_600),
        until: Some(at(1_700)),
        reason: Some(reason("unpaid")),
    }));
    let rare = record.rare_mut();
    rare.created_by = Some(actor("creator"));
    rare.parent = Some(new_id());
    rare.allowed_addresses = Some(addresses(&["192.0.2.0/24", "2001:db8::/32"]));
    rare.rate_limit = Some(RateLimit::new(18, time::Duration::seconds(19)).expect("a good limit"));
    rare.metadata = metadata(r#"{"a":[1,1.5,null,true,"x"]}"#);
    rare.notices = [1, 7, 30].into();
    rare.used_abilities = ["servers:42:restart", "Sites:read"].map(ability).into();
    rare.idempotency_key = Some(new_idempotency_key());
    record
}

/// The same, and its secret was not used.
pub(super) fn unused(owner: &Owner) -> TokenRecord {
    with(&full(owner), |it| it.first_used_at = None)
}

pub(super) fn revocation(at: Timestamp) -> Revocation {
    Revocation { at, by: Some(actor("revoker")), reason: Some(reason("stolen")) }
}

pub(super) fn revoked(mut record: TokenRecord, at: Timestamp) -> TokenRecord {
    record.revocation = Some(Box::new(revocation(at)));
    record
}

pub(super) trait Answered<T> {
    /// What the store answered; it had no reason to fail.
    #[track_caller]
    fn answered(self) -> T;
}

impl<T> Answered<T> for Result<T, StoreError> {
    fn answered(self) -> T {
        self.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            panic!("the store failed: {error}, because of {cause:?}")
        })
    }
}

pub(super) trait Updated {
    /// The token that the store patched; it had no reason to refuse.
    #[track_caller]
    fn updated(self) -> Arc<TokenRecord>;
}

impl Updated for Result<UpdateOutcome, StoreError> {
    fn updated(self) -> Arc<TokenRecord> {
        match self.answered() {
            UpdateOutcome::Updated(record) => record,
            refused => panic!("the store answered {refused:?} to a patch that it has to apply"),
        }
    }
}

pub(super) async fn insert(store: &dyn TokenStore, record: &TokenRecord) {
    let outcome = store.insert(record, &InsertRules::none()).await.answered();
    assert_eq!(outcome, InsertOutcome::Inserted, "without rules, a token with a new id gets in");
}

pub(super) async fn insert_all(store: &dyn TokenStore, records: &[TokenRecord]) {
    for record in records {
        insert(store, record).await;
    }
}

/// Revokes all tokens of a selection in one step, and returns which ones it changed.
pub(super) async fn end(
    store: &dyn TokenStore,
    selection: &Selection,
    revocation: &Revocation,
) -> Result<Vec<TokenId>, StoreError> {
    Ok(store.revoke(selection, revocation, u32::MAX).await?.changed)
}

/// A change of a token, under no rules.
pub(super) fn change_of(record: &TokenRecord, change: Change) -> Patch {
    let rules = InsertRules::at(at(2_000));
    Patch::Change { expected_expiry: record.expires_at, change, rules }
}

/// A new secret for a token. Of the same record it is the same.
pub(super) fn rotation_of(record: &TokenRecord) -> Rotation {
    let mut bytes = *record.digest.as_bytes();
    bytes.reverse();
    Rotation {
        digest: TokenDigest::from_bytes(bytes, Some(key("next"))),
        generation: record.generation + 1,
        at: at(2_500),
        previous: Some(PreviousSecret::until(record.digest.clone(), at(6_000))),
        expires_at: record.expires_at,
    }
}

/// A rotation of a token, under no rules.
pub(super) fn rotate(record: &TokenRecord, rotation: Rotation) -> Patch {
    let rules = InsertRules::at(rotation.at);
    Patch::Rotate { expected: Expected::of(record), rotation, rules }
}

pub(super) fn first_use(record: &TokenRecord, second: i64) -> Patch {
    Patch::FirstUse { expected: record.digest.clone(), at: at(second) }
}

/// A notice before the end that a token has, or would have.
pub(super) fn notice(record: &TokenRecord, days: u16) -> Patch {
    Patch::Notice { expected_expiry: record.expires_at.unwrap_or(at(9_000)), days }
}

/// Revokes one token.
pub(super) async fn revoke(store: &dyn TokenStore, id: TokenId) {
    let changed = end(store, &only(id), &revocation(at(5_000))).await.answered();
    assert_eq!(changed, [id], "revoke tells which token it changed");
}

/// Deletes all tokens of an owner.
pub(super) async fn erase(store: &dyn TokenStore, owner: &Owner) -> Vec<TokenId> {
    let deleted = store.delete(&Deletion::AllOf(owner.clone()), 1_000).await.answered();
    assert!(!deleted.more, "fewer than a thousand");
    deleted.ids
}

pub(super) fn only(id: TokenId) -> Selection {
    Selection::Tokens { ids: vec![id], owner: None }
}

/// The token with this id, if there is one.
pub(super) async fn find(store: &dyn TokenStore, id: TokenId) -> Option<SharedRecord> {
    let page = store.find(&[id]).await.answered();
    assert!(page.records.len() <= 1 && page.corrupt.is_empty(), "one at most: {page:?}");
    page.records.first().cloned()
}

pub(super) async fn read(store: &dyn TokenStore, id: TokenId) -> SharedRecord {
    find(store, id).await.expect("a token that was inserted is found")
}

/// Checks that the store has just this.
pub(super) async fn assert_stored(store: &dyn TokenStore, expected: &TokenRecord, why: &str) {
    assert_same(&*read(store, expected.id).await, expected, why);
}

/// Checks that two records are the same token, column by column.
#[track_caller]
pub(super) fn assert_same(found: &TokenRecord, expected: &TokenRecord, why: &str) {
    let columns = |record| serde_json::to_value(StoredRow::from(record)).expect("a row is JSON");
    let (columns_found, columns_expected) = (columns(found), columns(expected));
    let columns_expected = columns_expected.as_object().into_iter().flatten();
    let wrong: Vec<_> = columns_expected
        .filter(|(column, expected)| columns_found[column] != **expected)
        .map(|(column, expected)| format!("{column} is {}, not {expected}", columns_found[column]))
        .collect();
    assert!(wrong.is_empty(), "{why}: {}", wrong.join("; "));
    // What a row does not show, a record may.
    assert!(is_same(found, expected), "{why}: {found:?} is not {expected:?}");
}

/// Tells whether two records are the same token. Rare fields that are all empty are none.
pub(super) fn is_same(one: &TokenRecord, other: &TokenRecord) -> bool {
    let normal = |record: &TokenRecord| {
        with(record, |it| it.rare = it.rare.take().filter(|rare| **rare != RareFields::default()))
    };
    normal(one) == normal(other)
}

/// The token as a change would leave it.
pub(super) fn with(record: &TokenRecord, change: impl FnOnce(&mut TokenRecord)) -> TokenRecord {
    let mut record = record.clone();
    change(&mut record);
    record
}

/// The ids of tokens, in order.
pub(super) fn sorted(ids: impl IntoIterator<Item = TokenId>) -> Vec<TokenId> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort();
    ids
}

pub(super) fn ids(records: &[TokenRecord]) -> Vec<TokenId> {
    sorted(records.iter().map(|record| record.id))
}

pub(super) fn ids_on(page: &Page) -> Vec<TokenId> {
    assert_eq!(page.corrupt, [], "a token that was written by the suite can be read");
    page.records.iter().map(|record| record.id).collect()
}

/// All tokens of an owner.
pub(super) fn query(owner: &Owner, order: Order) -> Query {
    Query::new(Filter::new(Some(owner.clone()), at(2_000)), order, 1_000)
}

/// How many tokens of an owner are not revoked, and how many are.
pub(super) async fn count_of(store: &dyn TokenStore, owner: &Owner) -> (u64, u64) {
    let counts = store.count(&Filter::new(Some(owner.clone()), at(2_000))).await.answered();
    (counts.not_revoked(), counts.revoked)
}

/// All tokens of an owner, in order of their ids, read as one page.
pub(super) async fn owned_by(store: &dyn TokenStore, owner: &Owner) -> Vec<SharedRecord> {
    let page = store.list(&query(owner, Order::OLDEST)).await.answered();
    assert_eq!(page.end, None, "a page that holds everything has no end to go on from");
    let mut records = page.records;
    records.sort_by_key(|record| record.id);
    records
}

/// Reads page after page from the store, and gives the ids of those tokens that are `ours`.
pub(super) async fn walk(
    limit: u32,
    ours: &[TokenId],
    mut next: impl AsyncFnMut(Option<Position>) -> Result<Page, StoreError>,
) -> Vec<TokenId> {
    let (mut seen, mut all) = (Vec::new(), BTreeSet::new());
    let mut after = None;
    loop {
        let page = next(after.take()).await.answered();
        assert!(page.records.len() <= limit as usize, "a page holds no more than its limit");
        for record in &page.records {
            assert!(all.insert(record.id), "pages repeat no token: {:?}", record.id);
            seen.extend(Some(record.id).filter(|id| ours.contains(id)));
        }
        match page.end {
            Some(end) => after = Some(end),
            None => return seen,
        }
    }
}
