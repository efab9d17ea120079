//! The token that a request bears. What is named `current` is never asked for as an id.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header::AUTHORIZATION},
    routing::{delete, get, post},
};
use keyfob::web::{JsonBody, TokenAuthenticated, axum::TokenLayer};

use crate::{App, answer::Answered, current};

pub(super) fn routes(tokens: TokenLayer) -> Router<App> {
    Router::new()
        .route("/account/tokens/current", get(show))
        .route("/account/tokens/current/rotate", post(rotate))
        .route_layer(tokens)
        .route("/account/tokens/current", delete(revoke))
}

async fn show(token: TokenAuthenticated, State(app): State<App>) -> Answered {
    current::show(&app.tokens, &token).await
}

async fn rotate(token: TokenAuthenticated, State(app): State<App>, body: JsonBody) -> Answered {
    current::rotate(&app.tokens, &token, &body).await
}

async fn revoke(State(app): State<App>, headers: HeaderMap) -> Answered {
    current::revoke(&app, headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes)).await
}
