//! A small application with a settings page, as each product has one. Who logs in is believed.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{any, get},
};
use keyfob::{
    ApiTokens, Owner, Policy,
    store::SqliteStore,
    token::DeclaredAbility,
    web::{
        Authenticated, Authenticator, Problem, Realm,
        auth::Account,
        axum::{SettingsPage, TokenLayer, token_page},
        manage::{
            Asked,
            page::{PageOptions, Visitor},
        },
    },
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::http::send;

type Know = dyn Fn(&str, &Asked) -> Result<Visitor, Problem> + Send + Sync;

/// The settings of an application.
pub struct Setup {
    pub prefix: &'static str,
    pub declared: &'static [DeclaredAbility],
    pub policy: Policy,
    pub options: PageOptions,
    /// Where the page is mounted.
    pub path: &'static str,
    /// The person of a cookie.
    pub know: Arc<Know>,
}

impl Setup {
    pub fn new(prefix: &'static str, declared: &'static [DeclaredAbility]) -> Self {
        Self {
            prefix,
            declared,
            policy: Policy::new(),
            options: PageOptions::new(),
            path: "/settings/tokens",
            know: Arc::new(|person, _| {
                Ok(Account::new(Owner::new(format!("user:{person}"))?).into())
            }),
        }
    }
}

pub struct App {
    pub tokens: ApiTokens,
    pub port: u16,
    /// The database, which is gone with the application.
    pub directory: TempDir,
}

impl App {
    pub async fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("tokens.db")).await.unwrap();
        let mut builder = ApiTokens::builder(store).prefix(setup.prefix).policy(setup.policy);
        if !setup.declared.is_empty() {
            builder = builder.declare(setup.declared);
        }
        let tokens = builder.build().unwrap();
        tokio::spawn(tokens.background());
        let realm = Realm::new(setup.prefix).unwrap();
        let layer = TokenLayer::new(Authenticator::require(tokens.clone(), realm))
            .client_address(|_| Some([203, 0, 113, 9].into()));
        let know = setup.know;
        let page = SettingsPage::new(layer.clone(), move |parts: Parts, asked: Asked| {
            let person = person(&parts.headers).map(|person| know(&person, &asked));
            std::future::ready(match person {
                None => Err(Redirect::to("/").into_response()),
                Some(Ok(visitor)) => Ok(visitor),
                Some(Err(problem)) => Err(problem.into_response()),
            })
        });
        let api =
            Router::new().route("/who", get(who)).route("/can/{ability}", any(can)).layer(layer);
        let router = Router::new()
            .route(
                "/",
                get(|| async { Html("<!doctype html><title>Login</title><h1>Log in</h1>") }),
            )
            .route("/as/{person}", get(log_in))
            .nest("/api", api)
            .nest(setup.path, token_page(page.options(setup.options)))
            .with_state(setup.path);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { tokens, port, directory }
    }

    /// The address, which a browser trusts.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address at a host that a browser does not trust.
    pub fn at(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// Puts an instant into the database that lies in the past, as that of an imported token.
    pub async fn alter(&self, name: &str, column: &str, at: OffsetDateTime) {
        let update = format!(
            "UPDATE keyfob_tokens SET {column} = {} WHERE name = '{name}'",
            at.unix_timestamp()
        );
        assert_eq!(self.execute(update).await, 1);
    }

    /// Makes so many tokens of the one that there is.
    pub async fn multiply(&self, count: u32) {
        let columns = "SELECT group_concat(name) FROM pragma_table_info('keyfob_tokens')
             WHERE name NOT IN ('id', 'name', 'name_folded', 'created_at', 'last_used_at')";
        let columns: String =
            sqlx::query_scalar(columns).fetch_one(&mut self.database().await).await.unwrap();
        let name = "printf('token-%05d', n)";
        let insert = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count} - 1)
             INSERT INTO keyfob_tokens (id, name, name_folded, created_at, last_used_at, {columns})
             SELECT randomblob(16), {name}, {name}, created_at - n % 1000, created_at - n * 7919 % 100000, {columns}
             FROM keyfob_tokens, numbers"
        );
        assert_eq!(self.execute(insert).await, u64::from(count) - 1);
    }

    async fn execute(&self, sql: String) -> u64 {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql));
        statement.execute(&mut self.database().await).await.unwrap().rows_affected()
    }

    async fn database(&self) -> SqliteConnection {
        let path = self.directory.path().join("tokens.db");
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
    }

    /// Calls the application's API as a program does: the status, and the answer.
    pub async fn call(&self, path: &str, token: &str) -> (u16, String) {
        let authorization = format!("Bearer {token}");
        let address = format!("127.0.0.1:{}", self.port);
        let answer = send(&address, "GET", path, &[("authorization", &authorization)], "").await;
        (answer.status, answer.body)
    }
}

fn person(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let person = cookies.split("; ").find_map(|it| it.strip_prefix("person="))?;
    Some(person.to_owned())
}

async fn log_in(State(path): State<&'static str>, Path(person): Path<String>) -> Response {
    // Without `SameSite`, a browser sends it with a form of another site for two minutes.
    let cookie = format!("person={person}; Path=/; HttpOnly");
    let path = path.replace("{project}", "shop");
    ([(header::SET_COOKIE, cookie)], Redirect::to(&path)).into_response()
}

async fn who(token: Authenticated) -> String {
    token.owner().to_string()
}

async fn can(token: Authenticated, Path(ability): Path<String>) -> StatusCode {
    if token.can(&ability) { StatusCode::OK } else { StatusCode::FORBIDDEN }
}

/// A token in the page, as it was copied.
pub fn is_token(prefix: &str, text: &str) -> bool {
    text.starts_with(&format!("{prefix}_")) && text.len() > prefix.len() + 60
}
