//! THE EXAMPLE'S OWN LOGIN, A STAND-IN: who says that he is ada or grace is believed, without a password.
//!
//! Tokens need to know who is logged in and not how. A real application has a login of its own, and returns its user
//! where [`account`] returns ada or grace.

use std::error::Error;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use cookie::{Cookie, CookieBuilder, CookieJar, Key, SameSite};
use keyfob::{
    Owner,
    web::{Problem, auth::Account},
};
use rand::{TryRng, rngs::SysRng};
use sqlx::error::DatabaseError;
use time::{Duration, OffsetDateTime};

use crate::{
    answer::{Answer, Answered, Failure},
    database::{Argument::Text, Database},
    extract::object,
};

const ACCOUNTS: [&str; 2] = ["ada", "grace"];
pub(crate) const COOKIE: &str = "fleet_login";
const LASTS: Duration = Duration::hours(12);

pub(crate) fn log_in(key: &Key, body: &[u8]) -> Answered {
    let claimed = object(body)?;
    let claimed = claimed.get("account").and_then(|account| account.as_str());
    let Some(account) = ACCOUNTS.into_iter().find(|account| claimed == Some(account)) else {
        return Err(Failure(Problem::invalid_fields([("account", "must be ada or grace")])));
    };
    set_cookie(Answer::no_content(), key, account)
}

/// The same for a button of the start page, which goes on to the page of tokens.
pub(crate) fn enter(key: &Key, claimed: Option<&str>) -> Answered {
    let account = ACCOUNTS.into_iter().find(|account| claimed == Some(account));
    let account = account.ok_or_else(|| Failure(Problem::not_found()))?;
    set_cookie(Answer::see_other("/settings/tokens"), key, account)
}

fn set_cookie(answer: Answer, key: &Key, account: &str) -> Answered {
    // What the browser is told of its end binds nobody, so the end is signed as well. The number makes each login
    // another cookie.
    let ends_at = (OffsetDateTime::now_utc() + LASTS).unix_timestamp();
    let number = SysRng.try_next_u64().map_err(|error| {
        tracing::error!(%error, "no random number");
        Failure(Problem::internal())
    })?;
    let mut jar = CookieJar::new();
    jar.signed_mut(key).add(cookie(format!("{account}.{ends_at}.{number}")).max_age(LASTS));
    Ok(set(answer, &jar))
}

/// Takes the cookie out of the browser. One that was copied before is good until it ends: a login that must end
/// everywhere is kept in the database.
pub(crate) fn log_out(answer: Answer) -> Answer {
    let mut jar = CookieJar::new();
    jar.add_original(cookie(String::new()));
    jar.remove(cookie(String::new()));
    set(answer, &jar)
}

/// A service that is reached over https says `secure` as well.
fn cookie(value: String) -> CookieBuilder<'static> {
    Cookie::build((COOKIE, value)).path("/").http_only(true).same_site(SameSite::Lax)
}

fn set(answer: Answer, jar: &CookieJar) -> Answer {
    jar.delta().fold(answer, |it, cookie| it.header("set-cookie", cookie.encoded().to_string()))
}

/// The account that is logged in, as the owner of its tokens, by the headers of a request.
pub(crate) fn account<'h>(
    key: &Key,
    headers: impl Fn(&'static str) -> Vec<&'h [u8]>,
) -> Result<Account, Problem> {
    let (jar, now) = (CookieJar::new(), OffsetDateTime::now_utc());
    let owner = headers("cookie")
        .into_iter()
        .filter_map(|header| std::str::from_utf8(header).ok())
        .flat_map(|header| Cookie::split_parse_encoded(header.to_owned()))
        .filter_map(|cookie| cookie.ok().filter(|cookie| cookie.name() == COOKIE))
        .filter_map(|cookie| jar.signed(key).verify(cookie))
        .find_map(|cookie| owner(cookie.value(), now));
    owner.map(Account::new).ok_or_else(|| Problem::new(401, "login_required"))
}

/// Whose login a signed value is, until it ends.
fn owner(value: &str, now: OffsetDateTime) -> Option<Owner> {
    let mut parts = value.split('.');
    let (account, ends_at) = (parts.next()?, parts.next()?.parse::<i64>().ok()?);
    if now.unix_timestamp() < ends_at { Owner::new(account).ok() } else { None }
}

/// The key that signs the cookies. It is kept, so that a login outlives a restart and holds on every node.
pub(crate) async fn cookie_key(database: &Database) -> Result<Key, Box<dyn Error>> {
    database.create_table("cookie_keys", "secret VARCHAR(88) NOT NULL").await?;
    let new = BASE64_STANDARD.encode(Key::generate().master());
    match database.insert("INSERT INTO cookie_keys (id, secret) VALUES (1, ?)", &[Text(&new)]).await
    {
        Err(error) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
        }
        inserted => drop(inserted?),
    }
    let kept = database.rows("SELECT id, secret FROM cookie_keys WHERE id = 1", &[]).await?;
    let (_, secret) = kept.first().ok_or("the cookie key was deleted meanwhile")?;
    Ok(Key::try_from(&*BASE64_STANDARD.decode(secret)?)?)
}
