//! The steps that a token takes with itself.

use serde::Serialize;

use crate::{
    api_tokens::ApiTokens,
    token::RateLimit,
    verify::VerifiedToken,
    web::{Problem, TokenResource, auth::RequestInfo},
};

use super::{
    Target,
    answer::{Answered, Done},
    headers,
    tokens::{Described, may_be_granted},
};

/// The token, and more that its bearer wants to know.
#[derive(Serialize)]
struct Current<'t> {
    #[serde(flatten)]
    resource: TokenResource<'t>,
    /// The declared abilities that it has.
    described_abilities: Vec<Described>,
}

pub(super) async fn show(
    tokens: &ApiTokens,
    token: &VerifiedToken,
    limit: Option<RateLimit>,
) -> Answered {
    let record = tokens.owned_by(token.owner()).get(token.id()).await?;
    let declared = tokens.policy().declared.unwrap_or_default().iter();
    let described = declared.filter(|it| may_be_granted(it, &record.abilities));
    Ok(Done::ok(&Current {
        resource: TokenResource::new(&record, tokens.now()).with_rate_limit(limit),
        described_abilities: described.map(Described::from).collect(),
    }))
}

pub(super) async fn rotate(
    tokens: &ApiTokens,
    token: &VerifiedToken,
    request: &impl RequestInfo,
    body: &[u8],
    target: &Target,
) -> Answered {
    let rotation = headers::rotation(request, body)?;
    let issued = tokens.rotate_presented(token, rotation).await;
    Ok(Done::issued(&issued.map_err(|error| Problem::from(&error))?, target))
}
