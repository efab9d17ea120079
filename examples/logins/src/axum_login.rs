//! axum with axum-login and tower-sessions.
//!
//! axum-login reads the session and its user before any layer inside, for every request with a cookie: beside a token too,
//! and if it can't, it answers 500 itself.

use std::{convert::Infallible, error::Error};

use axum::{
    Form, Router,
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend};
use keyfob::{
    ApiTokens, InvalidValue,
    web::{Allowed, TokenAuthenticated, axum::TokenLayer},
};
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::{Login, ServersCreate, ServersRead, account, authenticator};

type AuthSession = axum_login::AuthSession<Users>;

pub fn app(tokens: ApiTokens) -> Result<Router, InvalidValue> {
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let session_or_token = TokenLayer::new(authenticator(tokens)?).or_session(|parts: &Parts| {
        let session = parts.extensions.get::<AuthSession>().cloned();
        async move {
            let session = session.ok_or("the layer of axum-login must be outside of this one")?;
            let account = session.user.map(|user| account(&user.name)).transpose()?;
            Ok::<_, Box<dyn Error + Send + Sync>>(account)
        }
    });
    Ok(Router::new()
        .route("/servers", get(list_servers).post(create_server))
        .route("/current", get(current))
        .layer(session_or_token)
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(AuthManagerLayerBuilder::new(Users, sessions).build()))
}

async fn list_servers(caller: Allowed<ServersRead>) -> String {
    format!("the servers of {}", caller.owner())
}

async fn create_server(caller: Allowed<ServersCreate>) -> (StatusCode, String) {
    (StatusCode::CREATED, format!("a server of {}", caller.owner()))
}

async fn current(token: TokenAuthenticated) -> String {
    token.name().to_string()
}

async fn log_in(mut session: AuthSession, Form(login): Form<Login>) -> StatusCode {
    let Ok(Some(user)) = session.authenticate(login).await else {
        return StatusCode::UNAUTHORIZED;
    };
    session.login(&user).await.map_or(StatusCode::SERVICE_UNAVAILABLE, |()| StatusCode::NO_CONTENT)
}

async fn log_out(mut session: AuthSession) -> StatusCode {
    session.logout().await.map_or(StatusCode::SERVICE_UNAVAILABLE, |_| StatusCode::NO_CONTENT)
}

#[derive(Clone, Debug)]
pub struct User {
    name: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// A stand-in for the table of users.
#[derive(Clone, Debug)]
pub struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Login;
    type Error = Infallible;

    async fn authenticate(&self, Login { name }: Login) -> Result<Option<User>, Infallible> {
        self.get_user(&name).await
    }

    async fn get_user(&self, name: &String) -> Result<Option<User>, Infallible> {
        Ok(["ada", "grace"].contains(&name.as_str()).then(|| User { name: name.clone() }))
    }
}
