//! The settings page for an owner with ten thousand tokens: the time of the first document, by each order.

use std::time::{Duration, Instant};

use axum::{Router, body::Body};
use futures_util::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use keyfob::{
    ApiTokens, NewToken, Owner,
    store::{PostgresStore, SqliteStore, TokenStore},
    web::{
        Problem,
        auth::Account,
        axum::{SettingsPage, token_page},
    },
};
use sqlx::{AssertSqlSafe, postgres::PgPoolOptions};
use tower::ServiceExt;

use crate::{servers::url_of, support::print};

const TOKENS: usize = 10_000;
const SCHEMA: &str = "keyfob_page";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: scripts/measure page"]
async fn page_of_ten_thousand_tokens_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    measure(SqliteStore::open(directory.path().join("tokens.db")).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: scripts/measure page"]
async fn page_of_ten_thousand_tokens_on_postgresql() {
    let url = url_of("KEYFOB_TEST_POSTGRES");
    let pool = PgPoolOptions::new().max_connections(8).connect(&url).await.unwrap();
    let fresh = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}");
    sqlx::raw_sql(AssertSqlSafe(fresh)).execute(&pool).await.unwrap();
    measure(PostgresStore::in_schema(pool.clone(), SCHEMA).await.unwrap()).await;
    let drop = format!("DROP SCHEMA {SCHEMA} CASCADE");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&pool).await.unwrap();
}

async fn measure(store: impl TokenStore + 'static) {
    let owner = Owner::new("user:42").unwrap();
    let tokens = ApiTokens::builder(store).prefix("acme").build().unwrap();
    for start in (0..TOKENS).step_by(100) {
        let issued = (start..start + 100).map(|n| {
            let new = NewToken::new(&owner, format!("token-{n:05}"))
                .abilities(["servers:read", "sites:read"]);
            let new = match n % 3 {
                0 => new,
                _ => new.expires_in(time::Duration::days(i64::try_from(n % 300 + 1).unwrap())),
            };
            tokens.issue(new)
        });
        for (n, issued) in join_all(issued).await.into_iter().enumerate() {
            let issued = issued.unwrap();
            if n % 2 == 0 {
                tokens.verify(issued.plain.expose_secret()).await.unwrap();
            }
        }
    }
    tokens.flush().await.unwrap();
    let page = SettingsPage::new(tokens, move |_, _| {
        let account = Account::new(&owner);
        async { Ok::<_, Problem>(account) }
    });
    let router: Router = Router::new().nest("/settings/tokens", token_page(page));
    let sizes = ["", "&per_page=50"];
    for by in ["created", "name", "last_used", "expires"] {
        for sort in [by.to_owned(), format!("-{by}")] {
            let mut times = Vec::new();
            let mut bytes = 0;
            for round in 0..20 {
                let (time, length) =
                    look(&router, &format!("sort={sort}{}", sizes[round % 2])).await;
                times.push(time);
                bytes = bytes.max(length);
            }
            print(&format!("{sort}, at most {bytes} bytes"), &mut times);
        }
    }
    for filter in [
        "q=token-0012",
        "ability=servers%3Aread",
        "state=any",
        "unused_days=90",
        "expiring_days=14",
    ] {
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(look(&router, filter).await.0);
        }
        print(filter, &mut times);
    }
}

async fn look(router: &Router, query: &str) -> (Duration, usize) {
    let request = Request::get(format!("/settings/tokens?{query}")).body(Body::empty()).unwrap();
    let began = Instant::now();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    let length = response.into_body().collect().await.unwrap().to_bytes().len();
    (began.elapsed(), length)
}
