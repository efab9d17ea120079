//! Many tokens of one owner, on each engine: how long a page of a list takes, and how long it takes to end them all while
//! the service verifies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use keyfob::{
    ApiTokens, NewToken, Owner, TokenId, TokenState,
    store::{
        MySqlStore, Order, PostgresStore, SortBy, SqliteStore, TokenStore,
        contract::{Filter, Query, States},
    },
    token::{Ability, Timestamp},
};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool};

use crate::{own_database::OwnDatabase, support::print};

const LISTED: u32 = 10_000;
const ENDED: u32 = 200_000;
const PER_PAGE: u32 = 50;
const NOW: i64 = 1_700_000_000;

/// A store, and what runs SQL beside it. `{n}` is a number from 1 on, `{id}` an id made of it, and `{32}` a digest.
struct Place {
    name: &'static str,
    store: Arc<dyn TokenStore>,
    run: Box<dyn Fn(String) -> BoxFuture<'static, ()>>,
    series: fn(u32) -> String,
    id: &'static str,
    digest: &'static str,
    truth: &'static str,
    text: fn(&str) -> String,
    _there: Box<dyn std::any::Any>,
}

async fn sqlite() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let pool = SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    Place {
        name: "SQLite",
        store: Arc::new(store),
        run: Box::new(move |sql| {
            let pool = pool.clone();
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.map(drop).unwrap();
            })
        }),
        series: |most| {
            format!(
                "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {most})
                SELECT i FROM n) AS n"
            )
        },
        id: "unhex(printf('%032x', {n}))",
        digest: "zeroblob(32)",
        truth: "0",
        text: |number| format!("'token ' || {number}"),
        _there: Box::new(directory),
    }
}

async fn postgres() -> Place {
    let database = OwnDatabase::create("KEYFOB_TEST_POSTGRES");
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let store = PostgresStore::with_pool(pool.clone()).await.unwrap();
    Place {
        name: "PostgreSQL",
        store: Arc::new(store),
        run: Box::new(move |sql| {
            let pool = pool.clone();
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.map(drop).unwrap();
            })
        }),
        series: |most| format!("generate_series(1, {most}) AS n(i)"),
        id: "lpad(to_hex({n}), 32, '0')::uuid",
        digest: "decode(repeat('07', 32), 'hex')",
        truth: "false",
        text: |number| format!("'token ' || {number}"),
        _there: Box::new(database),
    }
}

async fn mysql() -> Place {
    let database = OwnDatabase::create("KEYFOB_TEST_MYSQL");
    let pool = MySqlPool::connect(&database.url()).await.unwrap();
    let store = MySqlStore::with_pool(pool.clone()).await.unwrap();
    Place {
        name: "MariaDB",
        store: Arc::new(store),
        run: Box::new(move |sql| {
            let pool = pool.clone();
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.map(drop).unwrap();
            })
        }),
        series: |most| format!("(SELECT seq AS i FROM seq_1_to_{most}) AS n"),
        id: "UNHEX(LPAD(HEX({n}), 32, '0'))",
        digest: "REPEAT('\u{7}', 32)",
        truth: "0",
        text: |number| format!("CONCAT('token ', {number})"),
        _there: Box::new(database),
    }
}

impl Place {
    /// Fills in tokens of an owner, whose ids begin after a number; each has the parent with an id, if one is given.
    async fn fill(&self, owner: &str, tokens: u32, after: u32, parent: Option<u32>) {
        let id = |number: &str| self.id.replace("{n}", number);
        let number = format!("(i + {after})");
        let parent = parent.map_or("NULL".to_owned(), |it| id(&it.to_string()));
        (self.run)(format!(
            "INSERT INTO keyfob_tokens (id, prefix, owner, name, name_folded, digest, generation,
                previous_ends_on_first_use, previous_may_ask_again, abilities, created_at, expires_at, last_used_at,
                parent, notices, used_abilities)
            SELECT {id}, 'acme', '{owner}', {text}, {text}, {digest}, 0, {truth}, {truth}, 'servers:read',
                1600000000 + i % 10007 * 7919 % 10007, CASE WHEN i % 3 = 0 THEN {NOW} - 5000 + i END,
                CASE WHEN i % 5 > 0 THEN 1650000000 + i % 10007 * 104729 % 10007 END, {parent}, '', ''
            FROM {series}",
            id = id(&number),
            text = (self.text)(&number),
            digest = self.digest,
            truth = self.truth,
            series = (self.series)(tokens),
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: scripts/measure"]
async fn lists_of_ten_thousand_tokens() {
    for place in [sqlite().await, postgres().await, mysql().await] {
        for other in 0..10 {
            place.fill(&format!("user:{other}"), 1_000, 1_000_000 + other * 1_000, None).await;
        }
        place.fill("user:big", LISTED, 0, None).await;
        (place.run)(
            if place.name == "MariaDB" { "ANALYZE TABLE keyfob_tokens" } else { "ANALYZE" }
                .to_owned(),
        )
        .await;
        let mut slowest = (Duration::ZERO, String::new());
        let mut all = Vec::new();
        for (what, filter) in filters() {
            for by in [SortBy::Created, SortBy::Name, SortBy::LastUsed, SortBy::Expires] {
                for order in [Order::by(by), Order::by(by).reversed()] {
                    for is_last in [false, true] {
                        let mut query = Query::new(filter.clone(), order, PER_PAGE);
                        if is_last {
                            query.order = order.reversed();
                            let ends = place.store.list(&query).await.unwrap();
                            query.after = ends.records.last().map(|it| order.position(it));
                            query.order = order;
                        }
                        let mut times = Vec::new();
                        for _ in 0..5 {
                            let began = Instant::now();
                            let page = place.store.list(&query).await.unwrap();
                            times.push(began.elapsed());
                            assert!(is_last || !page.records.is_empty(), "{query:?}");
                        }
                        times.sort_unstable();
                        let page = if is_last { "last" } else { "first" };
                        slowest =
                            slowest.max((times[2], format!("{what} by {order}, {page} page")));
                        all.extend(times);
                    }
                }
            }
        }
        print(&format!("{}: a page of {LISTED} tokens of an owner", place.name), &mut all);
        println!("{}: slowest, {}: median {:.1?}", place.name, slowest.1, slowest.0);
        let began = Instant::now();
        let counts = place.store.count(&filters()[0].1).await.unwrap();
        println!("{}: counted {} tokens in {:.1?}", place.name, counts.total(), began.elapsed());
    }
}

fn filters() -> Vec<(&'static str, Filter)> {
    let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
    let all = || Filter::new(Some(Owner::new("user:big").unwrap()), at(NOW));
    let mut filters = vec![all(); 7];
    filters[1].states = States::NOT_REVOKED;
    filters[2].states = [TokenState::Active, TokenState::Idle].into_iter().collect();
    filters[3].name_part = Some("99".to_owned());
    filters[4].ability = Some(Ability::new("servers:read").unwrap());
    filters[5].unused_since = Some(at(1_650_000_100));
    filters[6].expires = Some((at(NOW), at(NOW + 4_000)));
    let names =
        ["all", "not revoked", "active or idle", "part of a name", "ability", "unused", "expiring"];
    names.into_iter().zip(filters).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: scripts/measure"]
async fn two_hundred_thousand_tokens_are_ended_while_others_are_verified() {
    for place in [sqlite().await, postgres().await, mysql().await] {
        let name = place.name;
        let tokens = ApiTokens::builder_on(place.store.clone()).prefix("acme").build().unwrap();
        let verified =
            tokens.issue(NewToken::new(Owner::new("user:1").unwrap(), "ci")).await.unwrap();
        let own = tokens.owned_by(Owner::new("user:big").unwrap());
        for what in ["revoke_all", "revoke_with_descendants", "erase"] {
            let is_family = what == "revoke_with_descendants";
            if what != "erase" {
                place.fill("user:big", 1, 0, None).await;
                place.fill("user:big", ENDED, 1, is_family.then_some(1)).await;
            }
            let over = Arc::new(AtomicBool::new(false));
            let verifying = tokio::spawn({
                let (tokens, over, text) =
                    (tokens.clone(), over.clone(), verified.plain.expose_secret().to_owned());
                async move {
                    let mut times = Vec::new();
                    while !over.load(Relaxed) {
                        let began = Instant::now();
                        tokens.verify(&text).await.map(drop).unwrap();
                        times.push(began.elapsed());
                    }
                    times
                }
            });
            let began = Instant::now();
            let ended = match what {
                "revoke_all" => own.revoke_all().await.unwrap().len(),
                "revoke_with_descendants" => {
                    own.revoke_with_descendants(TokenId::from_u128(1)).await.unwrap().len()
                }
                _ => own.erase().await.unwrap(),
            };
            let time = began.elapsed();
            over.store(true, Relaxed);
            println!("{name}: {what} of {ended} tokens: {time:.1?}");
            assert_eq!(ended, ENDED as usize + 1);
            print(&format!("{name}: verify meanwhile"), &mut verifying.await.unwrap());
            if what == "revoke_all" {
                own.erase().await.map(drop).unwrap();
            }
        }
    }
}
