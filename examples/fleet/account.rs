//! What an account does with its tokens, under `/account/tokens`.

use keyfob::{
    ApiTokens, IssuedToken, Owner, TokenId, TokenRecord,
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
    Ok(with_secret(&issued))
}

pub(crate) async fn show(tokens: &ApiTokens, owner: &Owner, id: TokenId) -> Answered {
    let record = tokens.owned_by(owner).get(id).await?;
    Ok(as_it_is(tokens, &record))
}

pub(crate) async fn change(
    tokens: &ApiTokens,
    owner: &Owner,
    id: TokenId,
    body: &[u8],
) -> Answered {
    let record = tokens.owned_by(owner).change(id, request::token_change(body)?).await?;
    Ok(as_it_is(tokens, &record))
}

pub(crate) async fn rotate(
    tokens: &ApiTokens,
    owner: &Owner,
    id: TokenId,
    body: &[u8],
) -> Answered {
    let issued = tokens.owned_by(owner).rotate(id, request::rotation(body)?).await?;
    Ok(with_secret(&issued))
}

pub(crate) async fn suspend(
    tokens: &ApiTokens,
    owner: &Owner,
    id: TokenId,
    body: &[u8],
) -> Answered {
    let asked = request::suspension(body)?;
    let mut own = tokens.owned_by(owner);
    if let Some(reason) = asked.reason {
        own = own.because(reason);
    }
    let record = match asked.until {
        Some(until) => own.suspend_until(id, until).await?,
        None => own.suspend(id).await?,
    };
    Ok(as_it_is(tokens, &record))
}

pub(crate) async fn resume(tokens: &ApiTokens, owner: &Owner, id: TokenId) -> Answered {
    let record = tokens.owned_by(owner).resume(id).await?;
    Ok(as_it_is(tokens, &record))
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

/// A token, without its secret.
fn as_it_is(tokens: &ApiTokens, record: &TokenRecord) -> Answer {
    Answer::ok(&TokenResource::new(record, tokens.now()))
}

/// A token with a secret that nobody gets to see again.
pub(crate) fn with_secret(issued: &IssuedToken) -> Answer {
    Answer::created(&IssuedTokenResource::new(issued))
        .header("location", format!("/account/tokens/{}", issued.record.id))
}
