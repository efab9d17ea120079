//! Tokens that were found where they should not be. The answer says nothing about any of them.

use std::net::IpAddr;

use futures_util::lock::Mutex;

use crate::{
    limit::{Charge, RateLimiter},
    token::RateLimit,
    web::{Problem, auth::Authenticator, request},
};

use super::answer::{Answered, Done};

/// The longest body, in bytes.
pub(super) const MAX_BODY: usize = 128 * 1024;

/// The bounds for the requests of strangers: each address for itself, and all of a process together.
#[derive(Debug, Default)]
pub(super) struct Leaked {
    addresses: RateLimiter,
    /// One request after the other asks the store, so that verifications do not wait for a thousand texts.
    turn: Mutex<()>,
}

impl Leaked {
    /// Charges an address, which has 60 requests an hour.
    pub(super) async fn charge(
        &self,
        authenticator: &Authenticator,
        from: Option<IpAddr>,
    ) -> Result<(), Problem> {
        let limit = RateLimit::new(60, time::Duration::HOUR);
        let charge = limit.and_then(|limit| Charge::new("revoke-presented", limit));
        let charge = charge.map_err(|_| Problem::internal())?;
        authenticator.charge_address(&self.addresses, from, charge).await
    }

    pub(super) async fn revoke(&self, authenticator: &Authenticator, body: &[u8]) -> Answered {
        let texts = request::presented(body)?;
        let turn = authenticator.in_time(self.turn.lock()).await;
        let _turn = turn.ok_or_else(Problem::store_unavailable)?;
        // Whatever the reason is, the client has to ask again.
        let revoked = authenticator.tokens().revoke_leaked(texts).await;
        revoked.map_err(|_| Problem::store_unavailable())?;
        Ok(Done::accepted())
    }
}
