//! What a server reads for each step: a look-up, and never a scan.

use std::collections::BTreeMap;

use keyfob::{
    Owner, TokenName,
    store::{
        Change, InsertRules, PageQuery, Patch, Position, Selection, Show, Sort, SortKey,
        StoreError, TokenStore, UpdateOutcome, Use,
    },
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

fn page(sort: Sort, show: Show) -> PageQuery {
    PageQuery { owner: owner(), sort, show, unused_since: None, after: None, limit: 10 }
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
    for (name, sort) in [
        ("page, newest", Sort::Newest),
        ("page, oldest", Sort::Oldest),
        ("page, by name", Sort::Name),
        ("page, least recently used", Sort::LeastRecentlyUsed),
    ] {
        for show in [Show::NotRevoked, Show::Revoked, Show::Any] {
            let page = counted.step(name, async |it| it.page(&page(sort, show)).await).await;
            assert_eq!(page.records.len(), 10);
        }
    }
    let rules =
        InsertRules { unique_name: true, limit_per_owner: Some(1_000), ..InsertRules::none() };
    let mut new = record(900_000);
    new.rare_mut().idempotency_key = Some(IdempotencyKey::new("new").unwrap());
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

    let count = counted.step("count", async |it| it.count(&owner()).await).await;
    assert_eq!(count.revoked, 10);
    let (from, until) = (at(100_000), at(200_000));
    let expiring = async |it: &S| it.expiring(from, until, None, 10).await;
    assert_eq!(counted.step("expiring", expiring).await.records.len(), 10);
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
    let unused = async |after: Option<Position>| {
        let page = store.unused(at(1_101), after.as_ref(), 100).await.unwrap();
        let ids: Vec<_> = page.records.iter().map(|it| it.id).collect();
        (ids, page.end)
    };
    let (found, end) = unused(None).await;
    assert_eq!(found, (1..=100).step_by(2).map(id).collect::<Vec<_>>(), "the others are revoked");
    assert_eq!(end.as_ref().unwrap().id, id(5_000));
    assert_eq!(unused(end).await, (vec![], None));
    let before = Position { key: SortKey::Id, id: id(600) };
    let (found, end) = unused(Some(before)).await;
    assert_eq!((found, end.unwrap().id), (vec![], id(5_600)));
}
