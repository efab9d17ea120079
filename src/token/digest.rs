use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::{base62, text::text_value};

text_value! {
    /// The name of a pepper key, kept beside each digest that the key made: 1 to 32 bytes.
    ///
    /// ```
    /// use keyfob::token::KeyId;
    ///
    /// assert_eq!(KeyId::new("2026-11")?.as_str(), "2026-11");
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    KeyId, "pepper_key_id", 32
}

/// What is kept of a secret: 256 bits from which the secret can't be had again.
///
/// Without a key it is SHA-256 of the 43 characters of the secret. The secret has 256 random bits, so a slow hash
/// would add nothing. With a [`KeyId`] it was made by that key of a [`Pepper`](super::Pepper).
///
/// ```
/// use keyfob::token::TokenDigest;
///
/// let digest = TokenDigest::from_bytes([7; 32], None);
/// assert_eq!(digest.as_bytes(), &[7; 32]);
/// assert_eq!(digest.key(), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest {
    bytes: [u8; 32],
    key: Option<KeyId>,
}

impl TokenDigest {
    /// The digest with these bytes, as a store kept it, and the key that made it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32], key: Option<KeyId>) -> Self {
        Self { bytes, key }
    }

    /// The 32 bytes to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The pepper key that made the digest, if one did.
    #[must_use]
    pub const fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// SHA-256 of the 43 characters of the secret: one block.
    #[inline]
    pub(crate) fn hash(secret: &[u8; base62::U256_WIDTH]) -> [u8; 32] {
        Sha256::digest(secret).into()
    }

    /// Compares in constant time, as four words: byte by byte it costs as much as the hash.
    #[inline]
    pub(crate) fn has_bytes(&self, bytes: &[u8; 32]) -> bool {
        let words = self.bytes.as_chunks::<8>().0.iter().zip(bytes.as_chunks::<8>().0);
        let difference = words.fold(0, |difference, (mine, theirs)| {
            difference | (u64::from_ne_bytes(*mine) ^ u64::from_ne_bytes(*theirs))
        });
        difference.ct_eq(&0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDigest").field("key", &self.key).finish_non_exhaustive()
    }
}
