//! What an account does with its tokens, under `/account/tokens`.

use keyfob::{
    ApiTokens, Owner, TokenId,
    web::{
        IssuedTokenResource, TokenPageResource, TokenResource,
        request::{self, Revoke},
    },
};
use serde_json::json;

use crate::answer::{Answer, Answered};

pub(crate) async fn list(tokens: &ApiTokens, owner: &Owner, query: &str) -> Answered {
    let page = tokens.owned_by(owner).list(request::list(query)?).await?;
    Ok(Answer::ok(&TokenPageResource::new(&page, tokens.now())))
}

pub(crate) async fn create(tokens: &ApiTokens, owner: Owner, body: &[u8]) -> Answered {
    let issued = tokens.issue(request::new_token(owner, body)?).await?;
    Ok(Answer::created(&IssuedTokenResource::new(&issued))
        .header("location", format!("/account/tokens/{}", issued.record.id))
        .header("cache-control", "no-store"))
}

pub(crate) async fn show(tokens: &ApiTokens, owner: &Owner, id: TokenId) -> Answered {
    let record = tokens.owned_by(owner).get(id).await?;
    Ok(Answer::ok(&TokenResource::new(&record, tokens.now())))
}

pub(crate) async fn change(
    tokens: &ApiTokens,
    owner: &Owner,
    id: TokenId,
    body: &[u8],
) -> Answered {
    let record = tokens.owned_by(owner).change(id, request::token_change(body)?).await?;
    Ok(Answer::ok(&TokenResource::new(&record, tokens.now())))
}

pub(crate) async fn revoke_one(tokens: &ApiTokens, owner: &Owner, id: TokenId) -> Answered {
    tokens.owned_by(owner).revoke(id).await?;
    Ok(Answer::no_content())
}

pub(crate) async fn revoke(tokens: &ApiTokens, owner: &Owner, body: &[u8]) -> Answered {
    let own = tokens.owned_by(owner);
    let revoked = match request::revoke(body)? {
        Revoke::Ids(ids) => own.revoke_many(&ids).await?,
        Revoke::All => own.revoke_all().await?,
    };
    Ok(Answer::ok(&json!({ "revoked": revoked })))
}
