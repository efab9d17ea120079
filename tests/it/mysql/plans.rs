//! What the server reads for each step, as it counts itself: a look-up, and never a scan.

use std::collections::BTreeMap;

use keyfob::{
    Owner, TokenName,
    store::{
        AbilityUse, Change, InsertRules, MySqlStore, PageQuery, Selection, Show, Sort, StoreError,
        TokenStore, Use,
    },
    token::{Ability, IdempotencyKey, KeyId, Revocation, Suspension},
};
use sqlx::{MySqlPool, mysql::MySqlPoolOptions};

use super::{Tables, at, id, owner, record};

const TOKENS: u64 = 6_000;

/// No step below is about more than 20 tokens. Locking, then writing and their indexes read each several times.
const MOST_READS: u64 = 150;

/// Most are others' and of 60 owners; 20 in the middle are `user:42`'s. Half are revoked, a third expires.
const FILL: &str = "INSERT INTO {tokens} (id, prefix, owner, name, digest, digest_key, generation,
        previous_ends_on_first_use, previous_may_ask_again, abilities, created_at, expires_at,
        revoked_at, parent, notices, used_abilities, idempotency_key)
    SELECT UNHEX(LPAD(HEX(seq), 32, '0')), 'acme',
        IF(seq BETWEEN 3000 AND 3019, 'user:42', CONCAT('user:', 100 + seq MOD 60)),
        CONCAT('token ', seq), REPEAT('\u{7}', 32), IF(seq MOD 5, 'key', NULL), 1, 0, 0, '*',
        1000 + seq, IF(seq MOD 3, NULL, 100000 + seq), IF(seq MOD 2, NULL, 50000 + seq),
        UNHEX(LPAD(HEX(seq DIV 10), 32, '0')), '', '', CONCAT('key ', seq)
    FROM seq_1_to_6000";

struct Counted {
    store: MySqlStore,
    pool: MySqlPool,
    reads: BTreeMap<&'static str, u64>,
}

impl Counted {
    async fn new(tables: &Tables) -> Self {
        let pool = MySqlPoolOptions::new().max_connections(1).connect_with(Tables::options());
        let pool = pool.await.unwrap();
        let store = MySqlStore::with_prefix(pool.clone(), &tables.prefix).await.unwrap();
        tables.run(FILL).await;
        tables.run("ANALYZE TABLE {tokens}").await;
        Self { store, pool, reads: BTreeMap::new() }
    }

    async fn count<T>(
        &mut self,
        name: &'static str,
        step: impl AsyncFnOnce(&MySqlStore) -> Result<T, StoreError>,
    ) -> T {
        sqlx::raw_sql("FLUSH STATUS").execute(&self.pool).await.unwrap();
        let done = step(&self.store).await.unwrap();
        let counters: Vec<(String, String)> =
            sqlx::query_as("SHOW SESSION STATUS LIKE 'Handler_read%'")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        assert!(counters.len() > 5, "{counters:?}");
        let reads = counters.iter().map(|(_, count)| count.parse::<u64>().unwrap()).sum();
        self.reads.insert(name, reads);
        done
    }
}

fn page(sort: Sort, show: Show) -> PageQuery {
    PageQuery { owner: owner(), sort, show, unused_since: None, after: None, limit: 10 }
}

#[tokio::test]
async fn no_step_reads_more_tokens_than_it_is_about() {
    let tables = Tables::new();
    let mut counted = Counted::new(&tables).await;
    let some: Vec<_> = (3_001..3_011).map(id).collect();
    let token = counted.count("find", async |it| it.find(id(3_001)).await).await.unwrap();
    let many = counted.count("find_many", async |it| it.find_many(&some).await).await;
    assert_eq!(many.records.len(), 10);
    for (name, sort) in [
        ("page, newest", Sort::Newest),
        ("page, oldest", Sort::Oldest),
        ("page, by name", Sort::Name),
        ("page, least recently used", Sort::LeastRecentlyUsed),
    ] {
        for show in [Show::NotRevoked, Show::Revoked, Show::Any] {
            let page = counted.count(name, async |it| it.page(&page(sort, show)).await).await;
            assert_eq!(page.records.len(), 10);
        }
    }
    let rules = InsertRules { unique_name: true, limit_per_owner: Some(1_000) };
    let mut new = record(900_000);
    new.rare_mut().idempotency_key = Some(IdempotencyKey::new("new").unwrap());
    let _ = counted.count("insert", async |it| it.insert(&new, rules).await).await;
    let plain = record(900_001);
    let without = InsertRules::default();
    let _ = counted.count("insert, no rules", async |it| it.insert(&plain, without).await).await;

    let mut change = Change::default();
    (change.name, change.unique_name) = (Some(TokenName::new("new").unwrap()), true);
    let change = &change;
    let expiry = token.expires_at;
    let _ = counted.count("change", async |it| it.change(token.id, expiry, change).await).await;
    let digest = &token.digest;
    counted.count("rekey", async |it| it.rekey(token.id, digest, digest).await).await;
    let mark = async |it: &MySqlStore| it.mark_first_use(token.id, digest, at(9_000)).await;
    assert!(counted.count("mark_first_use", mark).await);
    let claim = async |it: &MySqlStore| it.claim_notice(id(3_003), at(103_003), 7).await;
    assert!(counted.count("claim_notice", claim).await);
    let suspension = Suspension::new(at(9_000));
    let _ = counted.count("suspend", async |it| it.suspend(token.id, &suspension).await).await;
    let uses: Vec<_> = some.iter().map(|id| Use { id: *id, at: at(9_000), from: None }).collect();
    counted.count("record_uses", async |it| it.record_uses(&uses).await).await;
    let ability = Ability::new("servers:read").unwrap();
    let seen = some.iter().map(|id| AbilityUse { id: *id, ability: ability.clone() });
    let seen: Vec<_> = seen.collect();
    counted.count("record_ability_uses", async |it| it.record_ability_uses(&seen).await).await;

    let count = counted.count("count", async |it| it.count(&owner()).await).await;
    assert_eq!(count.revoked, 10);
    let (from, until) = (at(100_000), at(200_000));
    let expiring = async |it: &MySqlStore| it.expiring(from, until, None, 10).await;
    assert_eq!(counted.count("expiring", expiring).await.records.len(), 10);
    let unused = async |it: &MySqlStore| it.unused(at(90_000), None, 10).await;
    assert_eq!(counted.count("unused", unused).await.records.len(), 10);
    let canary = [7; 32];
    let key = KeyId::new("key").unwrap();
    counted.count("canary", async |it| it.canary(&key, &canary).await).await;

    let revocation = Revocation::new(at(9_500));
    let revoke = async |it: &MySqlStore, what| it.revoke(&what, &revocation).await;
    let them = Selection::Tokens { ids: some.clone(), owner: Some(owner()) };
    let ended = counted.count("revoke", async |it| revoke(it, them).await).await;
    assert_eq!(ended.len(), 5);
    let family = Selection::DescendantsOf(id(400));
    let ended = counted.count("revoke, descendants", async |it| revoke(it, family).await).await;
    assert!(ended.len() >= 5, "{ended:?}");
    let all = Selection::AllOf(owner());
    let ended = counted.count("revoke, all", async |it| revoke(it, all).await).await;
    assert!(ended.len() >= 5, "{ended:?}");
    let pruned = counted.count("prune", async |it| it.prune(at(60_000), 10).await).await;
    assert_eq!(pruned, 10);
    let erased = counted.count("erase", async |it| it.erase(&owner()).await).await;
    assert!(erased.len() > 10);
    let nobody = Owner::new("nobody").unwrap();
    counted.count("erase, nobody", async |it| it.erase(&nobody).await).await;

    let most: BTreeMap<_, _> =
        counted.reads.iter().filter(|(_, reads)| **reads > MOST_READS).collect();
    assert!(most.is_empty(), "{most:?}");
    // The keys are counted over all tokens, in an index.
    let by_key = counted.count("count_by_key", async |it| it.count_by_key().await).await;
    assert_eq!(by_key.len(), 2);
    assert!(counted.reads["count_by_key"] > TOKENS / 2, "a scan is seen as one");
}
