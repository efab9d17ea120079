//! The parts of an event in JSON: what is safe to show of a token, and lists as lists.

use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use crate::token::{Actor, Owner, Reason, Revocation, Timestamp, TokenId, TokenName, TokenRecord};

#[derive(Serialize)]
struct Token<'t> {
    id: TokenId,
    owner: &'t Owner,
    name: &'t TokenName,
    generation: u32,
    expires_at: Option<Timestamp>,
}

impl<'t> From<&'t TokenRecord> for Token<'t> {
    fn from(token: &'t TokenRecord) -> Self {
        let TokenRecord { id, owner, name, generation, expires_at, .. } = token;
        Self { id: *id, owner, name, generation: *generation, expires_at: *expires_at }
    }
}

pub(super) fn token<S: Serializer>(token: &TokenRecord, to: S) -> Result<S::Ok, S::Error> {
    Token::from(token).serialize(to)
}

pub(super) fn issued<S: Serializer>(token: &TokenRecord, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Issued<'t> {
        #[serde(flatten)]
        token: Token<'t>,
        by: Option<&'t Actor>,
        parent: Option<TokenId>,
    }
    Issued { token: token.into(), by: token.created_by(), parent: token.parent() }.serialize(to)
}

pub(super) fn suspended<S: Serializer>(token: &TokenRecord, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Suspended<'t> {
        #[serde(flatten)]
        token: Token<'t>,
        until: Option<Timestamp>,
        reason: Option<&'t Reason>,
    }
    let suspension = token.suspension.as_deref();
    let (until, reason) = suspension.map_or((None, None), |it| (it.until, it.reason.as_ref()));
    Suspended { token: token.into(), until, reason }.serialize(to)
}

pub(super) fn revocation<S: Serializer>(revocation: &Revocation, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Ended<'r> {
        revoked_at: Timestamp,
        by: Option<&'r Actor>,
        reason: Option<&'r Reason>,
    }
    let Revocation { at, by, reason } = revocation;
    Ended { revoked_at: *at, by: by.as_ref(), reason: reason.as_ref() }.serialize(to)
}

pub(super) fn ids<S: Serializer>(ids: &[TokenId], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(ids)
}

pub(super) fn abilities<S: Serializer>(abilities: &[SmolStr], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(abilities.iter().map(SmolStr::as_str))
}
