//! What a token can do with itself, under `/account/tokens/current`: no login, and no ability beyond being good.

use keyfob::{
    ApiTokens, VerifiedToken,
    web::{Problem, credentials, request},
};

use crate::{
    App, account,
    answer::{Answer, Answered, Failure},
};

pub(crate) async fn show(tokens: &ApiTokens, token: &VerifiedToken) -> Answered {
    account::show(tokens, token.owner(), token.id()).await
}

pub(crate) async fn rotate(tokens: &ApiTokens, token: &VerifiedToken, body: &[u8]) -> Answered {
    let issued = tokens.rotate_presented(token, request::rotation(body)?).await?;
    Ok(account::with_secret(&issued))
}

/// Ends the token whose secret stands in the `Authorization` headers. That works in any state, without an ability and
/// whatever its rate limit, which a thief may be using up: so the layer that authenticates is not around it.
pub(crate) async fn revoke(app: &App, authorization: impl Iterator<Item = &[u8]>) -> Answered {
    let presented = credentials::bearer(authorization)
        .map_err(|error| Failure(Problem::invalid_request(&app.realm, error)))?
        .ok_or_else(|| Failure(Problem::missing_credentials(&app.realm)))?;
    let revoked = app.tokens.revoke_presented(presented).await;
    revoked.map_err(|reason| Failure(Problem::refused(&app.realm, &reason)))?;
    Ok(Answer::no_content())
}
