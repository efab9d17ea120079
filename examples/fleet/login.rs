//! THE EXAMPLE'S OWN LOGIN, A STAND-IN: who says that he is ada or grace is believed, without a password.
//!
//! Tokens need to know who is logged in and not how. A real application has a login of its own, and puts its user
//! where [`Login`] puts the account.

use axum::{
    Router,
    extract::{FromRef, FromRequestParts, State},
    http::{StatusCode, request::Parts},
    routing::post,
};
use axum_extra::extract::cookie::{Cookie, Key, SameSite, SignedCookieJar};
use keyfob::{
    Owner,
    web::{Problem, axum::JsonBody},
};
use sqlx::SqlitePool;

use crate::{App, extract::object, failure::Failure};

const ACCOUNTS: [&str; 2] = ["ada", "grace"];
const COOKIE: &str = "fleet_login";

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/login", post(log_in))
}

async fn log_in(
    State(key): State<Key>,
    body: JsonBody,
) -> Result<(StatusCode, SignedCookieJar), Failure> {
    let claimed = object(&body)?;
    let claimed = claimed.get("account").and_then(|account| account.as_str());
    let Some(account) = ACCOUNTS.into_iter().find(|account| claimed == Some(account)) else {
        return Err(Failure(Problem::invalid_fields([("account", "must be ada or grace")])));
    };
    // A service that is reached over https says `secure` as well.
    let cookie =
        Cookie::build((COOKIE, account)).path("/").http_only(true).same_site(SameSite::Lax);
    Ok((StatusCode::NO_CONTENT, SignedCookieJar::new(key).add(cookie)))
}

/// A handler argument: the account that is logged in, as the owner of its tokens.
pub(crate) struct Login(pub(crate) Owner);

impl FromRequestParts<App> for Login {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let jar = SignedCookieJar::from_headers(&parts.headers, Key::from_ref(app));
        let owner = jar.get(COOKIE).and_then(|cookie| Owner::new(cookie.value()).ok());
        owner.map(Self).ok_or_else(|| Failure(Problem::new(401, "login_required")))
    }
}

/// The key that signs the cookies. It is kept, so that a login outlives a restart.
pub(crate) async fn cookie_key(pool: &SqlitePool) -> sqlx::Result<Key> {
    sqlx::query("CREATE TABLE IF NOT EXISTS cookie_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)")
        .execute(pool)
        .await?;
    sqlx::query("INSERT INTO cookie_key (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(Key::generate().master())
        .execute(pool)
        .await?;
    let key: Vec<u8> = sqlx::query_scalar("SELECT key FROM cookie_key").fetch_one(pool).await?;
    Ok(Key::from(&key))
}
