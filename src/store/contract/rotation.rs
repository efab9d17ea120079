//! The rule of a rotation: what it expects of a token, and how it changes the record.

use crate::token::{PreviousSecret, Timestamp, TokenDigest, TokenRecord};

use super::patch::set_expiry;

/// The state of a token that the caller of a rotation has read.
///
/// A rotation that replaces a secret which was never used keeps the generation. Of two such rotations, the digest
/// decides which one is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expected {
    /// The digest.
    pub digest: TokenDigest,
    /// The generation.
    pub generation: u32,
    /// The first use of the secret.
    pub first_used_at: Option<Timestamp>,
    /// The expiry.
    pub expires_at: Option<Timestamp>,
}

impl Expected {
    /// Returns what a record holds.
    #[must_use]
    pub fn of(record: &TokenRecord) -> Self {
        Self {
            digest: record.digest.clone(),
            generation: record.generation,
            first_used_at: record.first_used_at,
            expires_at: record.expires_at,
        }
    }
}

/// A new secret for a token.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rotation {
    /// The digest of the new secret.
    pub digest: TokenDigest,
    /// The generation from now on.
    pub generation: u32,
    /// The instant of the rotation.
    pub at: Timestamp,
    /// The secret from before. It is kept beyond its end, until the next rotation replaces it.
    pub previous: Option<PreviousSecret>,
    /// The expiry from now on.
    pub expires_at: Option<Timestamp>,
}

impl Rotation {
    pub(super) fn set(&self, record: &mut TokenRecord) {
        record.digest = self.digest.clone();
        record.generation = self.generation;
        record.rotated_at = Some(self.at);
        record.first_used_at = None;
        record.previous = self.previous.clone().map(Box::new);
        set_expiry(record, self.expires_at);
    }
}
