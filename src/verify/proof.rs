//! Compares secrets: pure functions of a credential and a record.

use crate::{
    store::contract::SharedRecord,
    token::{
        Digests, HeldToken, PresentedToken, PreviousSecret, Proof, Timestamp, TokenDigest, TokenId,
        TokenRecord,
    },
};

use super::{VerifiedToken, VerifyError};

/// A record whose secret was proven, and the generation of that secret.
pub(super) struct Proven {
    pub(super) record: SharedRecord,
    pub(super) generation: u32,
}

/// The evidence that a bearer has for a token.
pub(super) enum Credential {
    /// A secret.
    Presented(HeldToken),
    /// A secret that was proven before.
    Verified(VerifiedToken),
}

impl Proven {
    /// Returns `true` if this is the first use of a secret that a rotation made, which has to be recorded.
    #[inline]
    pub(super) fn is_first_use(&self) -> bool {
        self.record.has_unused_secret() && self.generation == self.record.generation
    }
}

impl Credential {
    pub(super) fn id(&self) -> TokenId {
        match self {
            Self::Presented(token) => token.presented().id(),
            Self::Verified(token) => token.id(),
        }
    }

    /// Returns the secret, if it was presented.
    pub(super) fn presented(&self) -> Option<PresentedToken<'_>> {
        match self {
            Self::Presented(token) => Some(token.presented()),
            Self::Verified(_) => None,
        }
    }

    pub(super) fn prove(
        &self,
        digests: &Digests,
        found: Option<SharedRecord>,
        now: Timestamp,
    ) -> Result<Proven, VerifyError> {
        match self {
            Self::Presented(token) => prove(digests, &token.presented(), found, now),
            Self::Verified(token) => prove_again(token, found, now),
        }
    }
}

/// Proves that a presented secret is a secret of the token. An unknown id costs the same hash and the same comparison as
/// a wrong secret.
#[allow(
    clippy::inline_always,
    reason = "measured: the proof and the record then stay in registers"
)]
#[inline(always)]
pub(super) fn prove(
    digests: &Digests,
    presented: &PresentedToken<'_>,
    found: Option<SharedRecord>,
    now: Timestamp,
) -> Result<Proven, VerifyError> {
    let stored = found.as_ref().map(|record| &record.digest);
    let (proof, made) = digests.prove(presented.id(), presented.secret(), stored);
    let record = found.ok_or(VerifyError::Unknown)?;
    let mut generation = record.generation;
    if proof != Proof::Proven {
        prove_previous(digests, presented, &record, (proof, &made), now)?;
        generation = generation.wrapping_sub(1);
    }
    if *presented.prefix() != record.prefix {
        return Err(VerifyError::WrongPrefix(record.id));
    }
    Ok(Proven { record, generation })
}

/// Proves that a secret that is not the current one is the one from before a rotation, in its grace period.
#[cold]
fn prove_previous(
    digests: &Digests,
    presented: &PresentedToken<'_>,
    record: &TokenRecord,
    (current, made): (Proof, &[u8; 32]),
    now: Timestamp,
) -> Result<(), VerifyError> {
    let previous = record.previous.as_deref();
    // One hash, unless the two digests are of different keys.
    let prove = |it: &PreviousSecret| match it.digest.key() == record.digest.key() {
        true if current == Proof::Wrong && it.digest.has_bytes(made) => Proof::Proven,
        true => current,
        false => digests.prove(presented.id(), presented.secret(), Some(&it.digest)).0,
    };
    let proof = previous.map_or(Proof::Wrong, prove);
    let in_grace = previous.filter(|it| it.is_good_at(now, record.first_used_at));
    match (proof, in_grace) {
        (Proof::Proven, Some(_)) => return Ok(()),
        (Proof::Proven, None) => return Err(VerifyError::RetiredSecret(record.id)),
        _ => {}
    }
    // What is revoked is refused in any case, and keeps the digest of a key that may be gone by now.
    if record.revocation.is_some() {
        return Err(VerifyError::WrongSecret);
    }
    // A digest under a key that is not here may well be that of this secret: that is no reason to refuse it.
    let in_grace = in_grace.map(|it| (proof, &it.digest));
    let digests = [Some((current, &record.digest)), in_grace].into_iter().flatten();
    let mut unknown = digests.filter(|(proof, _)| *proof == Proof::UnknownKey);
    if let Some(key) = unknown.find_map(|(_, digest)| digest.key()) {
        return Err(VerifyError::UnknownKey(key.clone()));
    }
    match current {
        Proof::Unpeppered => Err(VerifyError::Unpeppered),
        _ => Err(VerifyError::WrongSecret),
    }
}

/// Proves that a secret that was proven before was not replaced since.
pub(super) fn prove_again(
    token: &VerifiedToken,
    found: Option<SharedRecord>,
    now: Timestamp,
) -> Result<Proven, VerifyError> {
    let record = found.ok_or(VerifyError::Unknown)?;
    let (proven, generation) = (token.digest(), token.generation);
    let is_current = generation == record.generation && is_same(proven, &record.digest);
    let is_previous = |it: &PreviousSecret| {
        generation.wrapping_add(1) == record.generation
            && is_same(proven, &it.digest)
            && it.is_good_at(now, record.first_used_at)
    };
    if !is_current && !record.previous.as_deref().is_some_and(is_previous) {
        return Err(VerifyError::RetiredSecret(record.id));
    }
    Ok(Proven { record, generation })
}

/// Returns `true` if both digests are of the same secret. A digest that was made anew has another key: then the same
/// generation, which the caller compares, is enough.
fn is_same(proven: &TokenDigest, stored: &TokenDigest) -> bool {
    proven == stored || proven.key() != stored.key()
}
