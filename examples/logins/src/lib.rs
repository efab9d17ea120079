//! One service three times, each with a login that many applications have: the same routes accept the browser's session
//! or a token.
//!
//! ```text
//! POST /login     name=ada    begins a session
//! POST /logout                ends it
//! GET  /servers               a session or a token with servers:read
//! POST /servers               a session of the same origin, or a token with servers:create
//! GET  /current               a token
//! ```

pub mod axum_login;
pub mod identity;
pub mod session;

use keyfob::{ApiTokens, InvalidValue, Owner, web::Authenticator, web::Realm, web::auth::Account};
use serde::Deserialize;

keyfob::abilities! {
    pub enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
    }
}

/// The form of a login. A real one has a password.
#[derive(Clone, Debug, Deserialize)]
pub struct Login {
    name: String,
}

fn authenticator(tokens: ApiTokens) -> Result<Authenticator, InvalidValue> {
    Ok(Authenticator::require(tokens, Realm::new("Panel")?))
}

/// The account of the user whom the login has proven.
fn account(name: &str) -> Result<Account, InvalidValue> {
    Ok(Account::new(Owner::new(format!("user:{name}"))?))
}
