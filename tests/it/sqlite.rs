//! What SQLite's own store promises beside the contract that every store keeps.

mod corruption;
mod migrations;
mod settings;
mod trouble;

use std::{path::PathBuf, sync::Arc};

use keyfob::{
    Owner, Timestamp, TokenId, TokenName, TokenRecord,
    store::{
        Order, SqliteStore, TokenStore,
        contract::{InsertOutcome, InsertRules, Peek, Query, Selection, Use},
    },
    testing::rare_of,
    token::{Prefix, Revocation, TokenDigest},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, SqlitePool, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::support::store_ext::{StoreExt, all_of};

/// A database file that is gone after the test.
struct File {
    directory: TempDir,
}

impl File {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("tokens.db")
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.path()).create_if_missing(true)
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.path()).await.unwrap()
    }

    async fn pool(&self) -> SqlitePool {
        SqlitePool::connect_with(self.options()).await.unwrap()
    }

    async fn connection(&self) -> SqliteConnection {
        SqliteConnection::connect_with(&self.options()).await.unwrap()
    }

    async fn run(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    async fn text(&self, sql: &'static str) -> Option<String> {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection().await).await.unwrap()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn owner() -> Owner {
    Owner::new("user:42").unwrap()
}

fn record(id: u128) -> TokenRecord {
    TokenRecord::new(
        TokenId::from_u128(id),
        Prefix::new("acme").unwrap(),
        owner(),
        TokenName::new(format!("token {id:04}")).unwrap(),
        TokenDigest::from_bytes([7; 32], None),
        at(1_000),
    )
}

async fn insert(store: &SqliteStore, record: &TokenRecord) {
    let outcome = store.insert(record, &InsertRules::none()).await.unwrap();
    assert_eq!(outcome, InsertOutcome::Inserted);
}

fn query(order: Order) -> Query {
    all_of(&owner(), order)
}

#[tokio::test]
async fn tokens_survive_a_restart() {
    let file = File::new();
    let record = record(1);
    insert(&file.store().await, &record).await;
    assert_eq!(file.store().await.one(record.id).await.unwrap().as_deref(), Some(&record));
}

#[tokio::test]
async fn nothing_is_known_without_asking() {
    let file = File::new();
    let store = file.store().await;
    assert!(matches!(store.peek(TokenId::from_u128(1)), Peek::Miss));
}

#[tokio::test]
async fn the_readable_view_shows_instants_and_no_digest() {
    let file = File::new();
    let mut record = record(0xAB);
    record.expires_at = Some(at(1_769_846_400));
    rare_of(&mut record).parent = Some(TokenId::from_u128(1));
    insert(&file.store().await, &record).await;

    let row = "SELECT concat_ws(' ', id, owner, created_at, expires_at, last_used_at, parent)
        FROM keyfob_tokens_readable";
    let expected = "000000000000000000000000000000ab user:42 1970-01-01T00:16:40Z \
        2026-01-31T08:00:00Z 00000000000000000000000000000001";
    assert_eq!(file.text(row).await.as_deref(), Some(expected));

    let columns = |table| {
        let sql = format!("SELECT group_concat(name) FROM pragma_table_info('{table}')");
        let file = &file;
        async move {
            let columns: String = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut file.connection().await)
                .await
                .unwrap();
            columns
        }
    };
    let all = columns("keyfob_tokens").await;
    let hidden = ["digest", "previous_digest", "version", "name_folded"];
    let shown: Vec<_> = all.split(',').filter(|name| !hidden.contains(name)).collect();
    assert_eq!(columns("keyfob_tokens_readable").await, shown.join(","));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_concurrent_inserts_over_several_pools_as_many_get_in_as_the_limit_says() {
    let file = File::new();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(Arc::new(file.store().await));
    }
    let rules = InsertRules { limit_per_owner: Some(10), unique_name: true, ..InsertRules::none() };
    for round in 0..8 {
        let owner = Owner::new(format!("user:{round}")).unwrap();
        let inserts: Vec<_> = (0..64)
            .map(|number| {
                let store = stores[number % stores.len()].clone();
                let mut record = record((round << 64) + number as u128);
                record.owner = owner.clone();
                tokio::spawn(async move { store.insert(&record, &rules).await.unwrap() })
            })
            .collect();
        let mut outcomes = Vec::new();
        for insert in inserts {
            outcomes.push(insert.await.unwrap());
        }
        let inserted = outcomes.iter().filter(|it| **it == InsertOutcome::Inserted).count();
        let refused = outcomes.iter().filter(|it| **it == InsertOutcome::LimitReached).count();
        assert_eq!((inserted, refused), (10, 54));
        assert_eq!(stores[0].count_of(&owner).await.0, 10);
    }
}

#[tokio::test]
async fn thousands_of_uses_are_one_batch_and_the_latest_of_each_token_counts() {
    let file = File::new();
    let store = file.store().await;
    for id in 0..20 {
        insert(&store, &record(id)).await;
    }
    let uses: Vec<_> = (0..5_000)
        .map(|number| {
            let at = at(2_000 + i64::try_from(number * 7 % 5_000).unwrap());
            let from = Some("192.0.2.7".parse().unwrap());
            Use { from, ..Use::new(TokenId::from_u128(number % 25), at) }
        })
        .collect();
    store.record_uses(&uses).await.unwrap();

    let page = store.list(&query(Order::OLDEST)).await.unwrap();
    assert_eq!(page.records.len(), 20, "no token came into being");
    for record in page.records {
        let latest = uses.iter().filter(|it| it.id == record.id).max_by_key(|it| it.at).unwrap();
        assert_eq!((record.last_used_at, record.last_used_from), (Some(latest.at), latest.from));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_is_dropped_midway_has_happened_whole_or_not_at_all() {
    let file = File::new();
    let store = file.store().await;
    for round in 0..20_u32 {
        let owner = Owner::new(format!("user:{round}")).unwrap();
        // More than the channel between sqlx's thread and the future holds.
        for number in 0..60 {
            let mut record = record((u128::from(round) << 64) + number);
            record.owner = owner.clone();
            insert(&store, &record).await;
        }
        let (selection, revocation) = (Selection::AllOf(owner.clone()), Revocation::new(at(5)));
        let revoke = store.end(&selection, &revocation);
        let polls = async {
            for _ in 0..round * 4 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            revoked = revoke => assert_eq!(revoked.unwrap().len(), 60),
            () = polls => (),
        }
        let (left, revoked) = store.count_of(&owner).await;
        assert!([0, 60].contains(&revoked), "{revoked}");
        assert_eq!(revoked + left, 60);
    }
}
