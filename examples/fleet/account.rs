//! The tokens of the account that is logged in, under `/account/tokens`.

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, LOCATION},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use keyfob::{
    ApiTokens, TokenId,
    web::{
        IssuedTokenResource, TokenPageResource, TokenResource,
        axum::JsonBody,
        request::{self, Revoke},
    },
};
use serde_json::json;

use crate::{App, extract::Id, failure::Failure, login::Login};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/account/tokens", get(list).post(create))
        .route("/account/tokens/revoke", post(revoke))
        .route("/account/tokens/{id}", get(show).patch(change).delete(revoke_one))
}

async fn list(
    Login(owner): Login,
    State(tokens): State<ApiTokens>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asked = request::list(query.as_deref().unwrap_or_default())?;
    let page = tokens.owned_by(&owner).list(asked).await?;
    Ok(Json(TokenPageResource::new(&page, tokens.now())).into_response())
}

async fn create(
    Login(owner): Login,
    State(tokens): State<ApiTokens>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let issued = tokens.issue(request::new_token(owner, &body)?).await?;
    let location = format!("/account/tokens/{}", issued.record.id);
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(IssuedTokenResource::new(&issued))).into_response())
}

async fn show(
    Login(owner): Login,
    State(tokens): State<ApiTokens>,
    Id(id): Id<TokenId>,
) -> Result<Response, Failure> {
    let record = tokens.owned_by(&owner).get(id).await?;
    Ok(Json(TokenResource::new(&record, tokens.now())).into_response())
}

async fn change(
    Login(owner): Login,
    State(tokens): State<ApiTokens>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let record = tokens.owned_by(&owner).change(id, request::token_change(&body)?).await?;
    Ok(Json(TokenResource::new(&record, tokens.now())).into_response())
}

async fn revoke_one(
    Login(owner): Login,
    State(tokens): State<ApiTokens>,
    Id(id): Id<TokenId>,
) -> Result<StatusCode, Failure> {
    tokens.owned_by(&owner).revoke(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(
    Login(owner): Login,
    State(tokens): State<ApiTokens>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let own = tokens.owned_by(&owner);
    let revoked = match request::revoke(&body)? {
        Revoke::Ids(ids) => own.revoke_many(&ids).await?,
        Revoke::All => own.revoke_all().await?,
    };
    Ok(Json(json!({ "revoked": revoked })).into_response())
}
