//! The token that a request bears. What is named `current` is never asked for as an id.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use keyfob::web::{Authenticated, JsonBody};

use crate::{App, answer::Answered, current};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/account/tokens/current", get(show).delete(revoke))
        .route("/account/tokens/current/rotate", post(rotate))
}

async fn show(token: Authenticated, State(app): State<App>) -> Answered {
    current::show(&app.tokens, &token).await
}

async fn rotate(token: Authenticated, State(app): State<App>, body: JsonBody) -> Answered {
    current::rotate(&app.tokens, &token, &body).await
}

async fn revoke(token: Authenticated, State(app): State<App>) -> Answered {
    current::revoke(&app.tokens, &token).await
}
