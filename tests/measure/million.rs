//! A million tokens in PostgreSQL: how long things take, and that no statement walks the table.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use keyfob::{
    ApiTokens, IssuedToken, ListTokens, NewToken, Owner,
    store::{Order, PostgresStore, SortBy},
};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use crate::{servers::url_of, support::print};

const SCHEMA: &str = "keyfob_million";
/// Half of them ended long ago; ten thousand belong to one owner, ten to each other.
const FILL: &str = "INSERT INTO keyfob_million.keyfob_tokens (id, prefix, owner, name, digest, generation,
        previous_ends_on_first_use, previous_may_ask_again, abilities, created_at, expires_at, last_used_at, notices,
        used_abilities)
    SELECT ('0188' || lpad(to_hex(i), 8, '0') || substr(md5(i::text), 1, 20))::uuid, 'acme',
        CASE WHEN i % 100 = 0 THEN 'user:big' ELSE 'user:' || i / 10 END, 'token ' || i,
        sha256(i::text::bytea), 0, false, false, 'servers:read', 1600000000 + i,
        CASE WHEN i % 2 = 1 THEN 1650000000 + i % 1000 END, 1700000000 + i % 100000, '', ''
    FROM generate_series(1, 1000000) AS i";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: scripts/measure"]
async fn a_million_tokens_in_postgresql() {
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .connect(&url_of("KEYFOB_TEST_POSTGRES"))
        .await
        .unwrap();
    sqlx::raw_sql("DROP SCHEMA IF EXISTS keyfob_million CASCADE; CREATE SCHEMA keyfob_million")
        .execute(&pool)
        .await
        .unwrap();
    let store = PostgresStore::in_schema(pool.clone(), SCHEMA).await.unwrap();
    let tokens = ApiTokens::builder(store).prefix("acme").build().unwrap();
    let began = Instant::now();
    sqlx::query(FILL).execute(&pool).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE keyfob_million.keyfob_tokens").execute(&pool).await.unwrap();
    println!("filled in {:.1?}", began.elapsed());
    let issued = issue(&tokens, "user:real", 1_000).await;
    let scans = scans(&pool).await;

    let mut times = Vec::new();
    for token in &issued {
        let began = Instant::now();
        tokens.verify(token.plain.expose_secret()).await.unwrap();
        times.push(began.elapsed());
    }
    print("verify, one caller", &mut times);

    list(&tokens, "user:big").await;

    let began = Instant::now();
    let revoked = tokens.owned_by(owner("user:big")).revoke_all().await.unwrap().len();
    println!("revoke all {revoked} of an owner: {:.1?}", began.elapsed());
    assert_eq!(revoked, 10_000);

    prune(&tokens, &issued).await;
    assert_eq!(self::scans(&pool).await, scans, "no statement walked the table");
    sqlx::raw_sql("DROP SCHEMA keyfob_million CASCADE").execute(&pool).await.unwrap();
}

/// Page 1 and page 1,000, newest first and by name.
async fn list(tokens: &ApiTokens, name: &str) {
    let own = tokens.owned_by(owner(name));
    for sort in [Order::NEWEST, Order::by(SortBy::Name)] {
        let mut cursor = None;
        let mut times = Vec::new();
        for _ in 0..1_000 {
            let mut list = ListTokens::new().sort(sort).per_page(10);
            if let Some(cursor) = cursor.take() {
                list = list.cursor(cursor);
            }
            let began = Instant::now();
            let page = own.list(list).await.unwrap();
            times.push(began.elapsed());
            assert_eq!(page.tokens.len(), 10);
            cursor = page.next_cursor;
        }
        println!("list {sort:?}: page 1 {:.1?}, page 1,000 {:.1?}", times[0], times[999]);
        print(&format!("list {sort:?}, each of 1,000 pages"), &mut times);
    }
}

/// Half a million at once, while others issue, verify and revoke.
async fn prune(tokens: &ApiTokens, issued: &[IssuedToken]) {
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (tokens, over) = (tokens.clone(), over.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                let own = tokens.owned_by(owner(&format!("writer:{writer}")));
                while !over.load(Relaxed) {
                    let began = Instant::now();
                    let issued = issue(&tokens, &format!("writer:{writer}"), 1).await.remove(0);
                    tokens.verify(issued.plain.expose_secret()).await.unwrap();
                    own.revoke(issued.record.id).await.unwrap();
                    assert!(tokens.verify(issued.plain.expose_secret()).await.is_err());
                    times.push(began.elapsed());
                }
                times
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let pruned = tokens
        .prune(time::OffsetDateTime::from_unix_timestamp(1_660_000_000).unwrap())
        .await
        .unwrap();
    let took = began.elapsed();
    over.store(true, Relaxed);
    println!("prune {pruned} with four writers: {took:.1?}, {:.1?} a batch of 1,000", took / 500);
    let mut times = Vec::new();
    for writer in writers {
        times.extend(writer.await.unwrap());
    }
    print("issue + verify + revoke + verify of a writer meanwhile", &mut times);
    assert_eq!(pruned, 500_000);
    for token in issued.iter().step_by(100) {
        tokens.verify(token.plain.expose_secret()).await.unwrap();
    }
}

async fn issue(tokens: &ApiTokens, name: &str, count: usize) -> Vec<IssuedToken> {
    let mut issued = Vec::new();
    for number in 0..count {
        let new = NewToken::new(owner(name), format!("token {number}")).abilities(["servers:read"]);
        issued.push(tokens.issue(new).await.unwrap());
    }
    issued
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

/// How often a statement has walked the whole table, by the server's own count.
async fn scans(pool: &PgPool) -> i64 {
    // A connection tells its numbers when it is idle for a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'keyfob_tokens'";
    sqlx::query_scalar(AssertSqlSafe(scans)).bind(SCHEMA).fetch_one(pool).await.unwrap()
}
