//! What a token can do with itself, under `/account/tokens/current`: no login, and no ability beyond being good.

use keyfob::{ApiTokens, VerifiedToken, web::request};

use crate::{account, answer::Answered};

pub(crate) async fn show(tokens: &ApiTokens, token: &VerifiedToken) -> Answered {
    account::show(tokens, token.owner(), token.id()).await
}

pub(crate) async fn rotate(tokens: &ApiTokens, token: &VerifiedToken, body: &[u8]) -> Answered {
    let issued = tokens.rotate_presented(token, request::rotation(body)?).await?;
    Ok(account::with_secret(&issued))
}

pub(crate) async fn revoke(tokens: &ApiTokens, token: &VerifiedToken) -> Answered {
    account::revoke_one(tokens, token.owner(), token.id()).await
}
