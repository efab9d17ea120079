//! The login, and the tokens of the account that is logged in.

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::{get, post},
};
use keyfob::{TokenId, web::JsonBody};

use crate::{
    App, account,
    answer::{Answer, Answered},
    extract::Id,
    login::{self, Login},
    origin::SameOrigin,
};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/account/tokens", get(list).post(create))
        .route("/account/tokens/revoke", post(revoke))
        .route("/account/tokens/{id}", get(show).patch(change).delete(revoke_one))
        .route("/account/tokens/{id}/rotate", post(rotate))
        .route("/account/tokens/{id}/suspend", post(suspend))
        .route("/account/tokens/{id}/resume", post(resume))
}

async fn log_in(_: SameOrigin, State(app): State<App>, body: JsonBody) -> Answered {
    login::log_in(&app.cookie_key, &body)
}

async fn log_out(_: SameOrigin) -> Answer {
    login::log_out()
}

async fn list(Login(owner): Login, State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    account::list(&app.tokens, &owner, query.as_deref().unwrap_or_default()).await
}

async fn create(Login(owner): Login, State(app): State<App>, body: JsonBody) -> Answered {
    account::create(&app.tokens, owner, &body).await
}

async fn show(Login(owner): Login, State(app): State<App>, Id(id): Id<TokenId>) -> Answered {
    account::show(&app.tokens, &owner, id).await
}

async fn change(
    Login(owner): Login,
    State(app): State<App>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Answered {
    account::change(&app.tokens, &owner, id, &body).await
}

async fn rotate(
    Login(owner): Login,
    State(app): State<App>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Answered {
    account::rotate(&app.tokens, &owner, id, &body).await
}

async fn suspend(
    Login(owner): Login,
    State(app): State<App>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Answered {
    account::suspend(&app.tokens, &owner, id, &body).await
}

async fn resume(Login(owner): Login, State(app): State<App>, Id(id): Id<TokenId>) -> Answered {
    account::resume(&app.tokens, &owner, id).await
}

async fn revoke_one(Login(owner): Login, State(app): State<App>, Id(id): Id<TokenId>) -> Answered {
    account::revoke_one(&app.tokens, &owner, id).await
}

async fn revoke(Login(owner): Login, State(app): State<App>, body: JsonBody) -> Answered {
    account::revoke(&app.tokens, &owner, &body).await
}
