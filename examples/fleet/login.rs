//! THE EXAMPLE'S OWN LOGIN, A STAND-IN: who says that he is ada or grace is believed, without a password.
//!
//! Tokens need to know who is logged in and not how. A real application has a login of its own, and puts its user
//! where [`Login`] puts the account.

use std::error::Error;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use cookie::{Cookie, CookieJar, Key, SameSite};
use keyfob::{Owner, web::Problem};
use sqlx::error::DatabaseError;

use crate::{
    answer::{Answer, Answered, Failure},
    database::{Argument::Text, Database},
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
