//! Tokens that were found where they should not be. The answer says nothing about any of them.

use std::net::IpAddr;

use crate::{
    limit::Charge,
    token::RateLimit,
    web::{Problem, auth::Authenticator, request},
};

use super::answer::{Answered, Done};

/// The longest body, in bytes.
pub(super) const MAX_BODY: usize = 128 * 1024;

/// 60 requests an hour for each address.
fn charge() -> Option<Charge> {
    let limit = RateLimit::new(60, time::Duration::HOUR).ok()?;
    Charge::new("revoke-presented", limit).ok()
}

/// Charges the address of a client.
pub(super) async fn charge_address(
    authenticator: &Authenticator,
    from: Option<IpAddr>,
) -> Result<(), Problem> {
    match charge() {
        Some(charge) => authenticator.charge_address(from, charge).await,
        None => Err(Problem::internal()),
    }
}

pub(super) async fn revoke(authenticator: &Authenticator, body: &[u8]) -> Answered {
    let texts = request::presented(body)?;
    authenticator.tokens().revoke_leaked(texts).await.map_err(|error| Problem::from(&error))?;
    Ok(Done::accepted())
}
