//! What a server reads for each step: a look-up, and never a scan.

use std::collections::BTreeMap;

use keyfob::{
    Owner, TokenName, TokenState,
    store::{
        Order, SortBy, StoreError, TokenStore,
        contract::{
            Change, Filter, InsertRules, Patch, Position, Query, Selection, SortKey, States,
            UpdateOutcome, Use,
        },
    },
    testing::rare_of,
    token::{Ability, IdempotencyKey, KeyId, Revocation, Suspension},
};

use super::database::{at, id, owner, record};
use super::store_ext::StoreExt;

pub const TOKENS: u64 = 6_000;

/// No step below is about more than 20 tokens. Locking, then writing and their indexes read each several times.
const MOST_READS: u64 = 150;

/// A server that counts what it reads.
pub trait Counting {
    /// How much was read since it was asked last.
    async fn reads(&mut self) -> u64;
}

struct Counted<'s, S, C> {
    store: &'s S,
    server: C,
    reads: BTreeMap<&'static str, u64>,
}

impl<S: TokenStore, C: Counting> Counted<'_, S, C> {
    async fn step<T>(
        &mut self,
        name: &'static str,
        step: impl AsyncFnOnce(&S) -> Result<T, StoreError>,
    ) -> T {
        self.server.reads().await;
        let done = step(self.store).await.unwrap();
        let reads = self.server.reads().await;
        let most = self.reads.entry(name).or_default();
        *most = reads.max(*most);
        done
    }
}

/// Lists with each order, first and further page, and each kind of filter.
fn lists() -> Vec<Query> {
    let all = || Filter::new(Some(owner()), at(60_000));
    let mut filters = vec![all(); 8];
    filters[1].states = States::NOT_REVOKED;
    filters[2].states = [TokenState::Revoked].into_iter().collect();
    filters[3].states = [TokenState::Active, TokenState::Idle].into_iter().collect();
    filters[4].name_part = Some("TOKEN 30".to_owned());
    filters[5].ability = Some(Ability::new("servers:read").unwrap());
    filters[6].unused_since = Some(at(1));
    filters[7].expires = Some((at(1), at(200_000)));
    let by = [SortBy::Created, SortBy::Name, SortBy::LastUsed, SortBy::Expires].map(Order::by);
    let orders = by.into_iter().flat_map(|order| [order, order.reversed()]);
    let queries = orders.flat_map(|order| {
        filters.clone().into_iter().flat_map(move |filter| {
            let first = Query::new(filter, order, 5);
            let mut next = first.clone();
            let mut place = record(3_005);
            place.created_at = at(4_005);
            next.after = Some(order.position(&place));
            [first, next]
        })
    });
    queries.collect()
}

/// Takes every step once, on [`TOKENS`] tokens with the numbers from 1. Most are others' and of 60 owners; 20 from 3000
/// on are `user:42`'s. Half are revoked, a third expires, and a tenth of a number is its parent's.
pub async fn no_step_reads_more_tokens_than_it_is_about<S: TokenStore>(
    store: &S,
    server: impl Counting,
) {
    let mut counted = Counted { store, server, reads: BTreeMap::new() };
    let some: Vec<_> = (3_001..3_011).map(id).collect();
    let token = counted.step("find", async |it| it.one(id(3_001)).await).await.unwrap();
    let many = counted.step("find_many", async |it| it.find(&some).await).await;
    assert_eq!(many.records.len(), 10);
    for query in lists() {
        let page = counted.step("list", async |it| it.list(&query).await).await;
        assert!(!page.records.is_empty() || query.after.is_some(), "{query:?}");
    }
    let rules =
        InsertRules { unique_name: true, limit_per_owner: Some(1_000), ..InsertRules::none() };
    let mut new = record(900_000);
    rare_of(&mut new).idempotency_key = Some(IdempotencyKey::new("new").unwrap());
    let _ = counted.step("insert", async |it| it.insert(&new, &rules).await).await;
    let plain = record(900_001);
    let without = &InsertRules::none();
    let _ = counted.step("insert, no rules", async |it| it.insert(&plain, without).await).await;

    let mut change = Change::default();
    change.name = Some(TokenName::new("new").unwrap());
    let expected_expiry = token.expires_at;
    let rename = Patch::Change { expected_expiry, change: change.clone(), rules };
    let _ = counted.step("change", async |it| it.update(token.id, &rename).await).await;
    change.expires_at = Some(None);
    let extend = Patch::Change { expected_expiry, change, rules };
    let extended = counted.step("change, extended", async |it| it.update(token.id, &extend).await);
    assert!(matches!(extended.await, UpdateOutcome::Updated(_)));
    let digest = &token.digest;
    counted.step("rekey", async |it| it.rekey(token.id, digest, digest).await).await;
    let mark = async |it: &S| it.mark_first_use(token.id, digest, at(9_000)).await;
    assert!(counted.step("first_use", mark).await);
    let claim = async |it: &S| it.claim_notice(id(3_003), at(103_003), 7).await;
    assert!(counted.step("notice", claim).await);
    let suspension = Suspension::new(at(9_000));
    let _ = counted.step("suspend", async |it| it.suspend(token.id, &suspension).await).await;
    let uses: Vec<_> = some.iter().map(|id| Use::new(*id, at(9_000))).collect();
    counted.step("record_uses", async |it| it.record_uses(&uses).await).await;
    let ability = Ability::new("servers:read").unwrap();
    let read = some
        .iter()
        .map(|id| Use { abilities: [ability.clone()].into(), ..Use::new(*id, at(9_001)) });
    let read: Vec<_> = read.collect();
    counted.step("record_uses, abilities", async |it| it.record_uses(&read).await).await;

    let all = Filter::new(Some(owner()), at(60_000));
    let count = counted.step("count", async |it| it.count(&all).await).await;
    assert_eq!(count.revoked, 10);
    let mut filter = Filter::new(None, at(1));
    (filter.states, filter.expires) = (States::NOT_REVOKED, Some((at(100_000), at(200_000))));
    let expiring = Query::new(filter, Order::by(SortBy::Expires), 10);
    let expiring = counted.step("expiring", async |it| it.list(&expiring).await).await;
    assert_eq!(expiring.records.len(), 10);
    for order in [Order::NEWEST, Order::OLDEST] {
        let newest = Query::new(Filter::new(None, at(1)), order, 10);
        let newest = counted.step("list, all owners", async |it| it.list(&newest).await).await;
        assert_eq!(newest.records.len(), 10);
    }
    let value = [7; 32];
    let key = KeyId::new("key").unwrap();
    counted.step("key_fingerprint", async |it| it.key_fingerprint(&key, &value).await).await;

    let revocation = Revocation::new(at(9_500));
    let revoke = async |it: &S, what| it.end(&what, &revocation).await;
    let them = Selection::Tokens { ids: some.clone(), owner: Some(owner()) };
    let ended = counted.step("revoke", async |it| revoke(it, them).await).await;
    assert_eq!(ended.len(), 5);
    let family = Selection::ChildrenOf { parents: vec![id(400)], after: None };
    let ended = counted.step("revoke, children", async |it| revoke(it, family).await).await;
    assert!(ended.len() >= 5, "{ended:?}");
    let all = Selection::AllOf(owner());
    let ended = counted.step("revoke, all", async |it| revoke(it, all).await).await;
    assert!(ended.len() >= 5, "{ended:?}");
    let pruned = counted.step("prune", async |it| it.prune(at(60_000), 10).await).await;
    assert_eq!(pruned, 10);
    let erased = counted.step("erase", async |it| it.erase(&owner()).await).await;
    assert!(erased.len() > 10);
    let nobody = Owner::new("nobody").unwrap();
    counted.step("erase, nobody", async |it| it.erase(&nobody).await).await;

    let most: BTreeMap<_, _> =
        counted.reads.iter().filter(|(_, reads)| **reads > MOST_READS).collect();
    assert!(most.is_empty(), "{most:?}");
    // The keys are counted over all tokens, in an index.
    let by_key = counted.step("count_by_key", async |it| it.count_by_key().await).await;
    assert_eq!(by_key.len(), 2);
    assert!(counted.reads["count_by_key"] > TOKENS / 4, "a scan is seen as one");
}

/// Of the tokens that the statements of [`no_step_reads_more_tokens_than_it_is_about`] make, the first hundred were
/// created so early. To find that there are no others takes more than one page.
pub async fn who_is_not_used_is_looked_for_a_part_at_a_time(store: &impl TokenStore) {
    let mut filter = Filter::new(None, at(1));
    filter.states = States::NOT_REVOKED;
    (filter.created_before, filter.unused_since) = (Some(at(1_101)), Some(at(1_101)));
    let mut query = Query::new(filter, Order::OLDEST, 100);
    let mut unused = async |after: Option<Position>| {
        query.after = after;
        let page = store.list(&query).await.unwrap();
        let ids: Vec<_> = page.records.iter().map(|it| it.id).collect();
        (ids, page.end)
    };
    let (found, end) = unused(None).await;
    assert_eq!(found, (1..=100).step_by(2).map(id).collect::<Vec<_>>(), "the others are revoked");
    assert_eq!(end.as_ref().unwrap().id, id(5_000));
    assert_eq!(unused(end).await, (vec![], None));
    let before = Position { key: SortKey::Instant(1_600), id: id(600) };
    let (found, end) = unused(Some(before)).await;
    assert_eq!((found, end.unwrap().id), (vec![], id(5_600)));
}
