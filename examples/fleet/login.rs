//! THE EXAMPLE'S OWN LOGIN, A STAND-IN: who says that he is ada or grace is believed, without a password.
//!
//! Tokens need to know who is logged in and not how. A real application has a login of its own, and puts its user
//! where [`Login`] puts the account.

use cookie::{Cookie, CookieJar, Key, SameSite};
use keyfob::{Owner, web::Problem};
use sqlx::SqlitePool;

use crate::{
    answer::{Answer, Answered, Failure},
    extract::object,
};

const ACCOUNTS: [&str; 2] = ["ada", "grace"];
const COOKIE: &str = "fleet_login";

pub(crate) fn log_in(key: &Key, body: &[u8]) -> Answered {
    let claimed = object(body)?;
    let claimed = claimed.get("account").and_then(|account| account.as_str());
    let Some(account) = ACCOUNTS.into_iter().find(|account| claimed == Some(account)) else {
        return Err(Failure(Problem::invalid_fields([("account", "must be ada or grace")])));
    };
    // A service that is reached over https says `secure` as well.
    let cookie =
        Cookie::build((COOKIE, account)).path("/").http_only(true).same_site(SameSite::Lax);
    let mut jar = CookieJar::new();
    jar.signed_mut(key).add(cookie);
    let answer = Answer::no_content();
    Ok(jar.delta().fold(answer, |it, cookie| it.header("set-cookie", cookie.encoded().to_string())))
}

/// A handler argument: the account that is logged in, as the owner of its tokens.
pub(crate) struct Login(pub(crate) Owner);

impl Login {
    /// Reads the values of the `Cookie` headers.
    pub(crate) fn read<'a>(
        key: &Key,
        headers: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Failure> {
        let jar = CookieJar::new();
        let account = headers
            .filter_map(|header| std::str::from_utf8(header).ok())
            .flat_map(|header| Cookie::split_parse_encoded(header.to_owned()))
            .filter_map(|cookie| cookie.ok().filter(|cookie| cookie.name() == COOKIE))
            .find_map(|cookie| jar.signed(key).verify(cookie));
        let owner = account.and_then(|account| Owner::new(account.value()).ok());
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
