use super::{KeyId, Pepper, TokenDigest, TokenId, base62};

type Secret = [u8; base62::U256_WIDTH];

/// How digests are made and compared: as SHA-256, or with a pepper.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests(Option<Box<Pepper>>);

/// Whether a secret is that of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Proven,
    Wrong,
    /// The digest was made without a key, which is not accepted.
    Unpeppered,
    /// The digest was made by a key that is not here. It may well be that of the secret.
    UnknownKey,
}

impl Digests {
    pub(crate) fn new(pepper: Option<Pepper>) -> Self {
        Self(pepper.map(Box::new))
    }

    pub(crate) fn pepper(&self) -> Option<&Pepper> {
        self.0.as_deref()
    }

    /// The digest of a secret, as new ones are made.
    pub(crate) fn make(&self, id: TokenId, secret: &Secret) -> TokenDigest {
        match self.pepper() {
            Some(pepper) if !pepper.makes_unpeppered() => {
                let key = pepper.current();
                TokenDigest::from_bytes(key.hash(id, secret), Some(key.id().clone()))
            }
            _ => TokenDigest::from_bytes(TokenDigest::hash(secret), None),
        }
    }

    /// Tells whether a digest is to be replaced by one under the current key.
    #[inline]
    pub(crate) fn outdates(&self, digest: &TokenDigest) -> bool {
        self.pepper().is_some_and(|pepper| pepper.outdates(digest.key()))
    }

    /// Compares a secret with the digest that is kept of a token, or, where there is no such token, with nothing:
    /// that costs the same. Gives as well what the secret was hashed to, for another digest of the same key.
    #[inline]
    pub(crate) fn prove(
        &self,
        id: TokenId,
        secret: &Secret,
        stored: Option<&TokenDigest>,
    ) -> (Proof, [u8; 32]) {
        static NOBODY: TokenDigest = TokenDigest::from_bytes([0; 32], None);
        match self.pepper() {
            None => {
                let made = TokenDigest::hash(secret);
                let stored = stored.unwrap_or(&NOBODY);
                let is_same = stored.has_bytes(&made);
                let proof = match stored.key() {
                    None if is_same => Proof::Proven,
                    None => Proof::Wrong,
                    Some(_) => Proof::UnknownKey,
                };
                (proof, made)
            }
            Some(pepper) => prove_with(pepper, id, secret, stored),
        }
    }
}

/// As [`Digests::prove`]. What can't be judged is hashed all the same.
fn prove_with(
    pepper: &Pepper,
    id: TokenId,
    secret: &Secret,
    stored: Option<&TokenDigest>,
) -> (Proof, [u8; 32]) {
    let key: Option<&KeyId> = stored.and_then(TokenDigest::key);
    let known = key.map_or(Some(pepper.current()), |id| pepper.key(id));
    let unkeyed = stored.is_some() && key.is_none();
    let made = if unkeyed && pepper.accepts_unpeppered() {
        TokenDigest::hash(secret)
    } else {
        known.unwrap_or(pepper.current()).hash(id, secret)
    };
    let is_same = stored.is_some_and(|stored| stored.has_bytes(&made));
    let proof = match known {
        None => Proof::UnknownKey,
        Some(_) if unkeyed && !pepper.accepts_unpeppered() => Proof::Unpeppered,
        Some(_) if is_same => Proof::Proven,
        Some(_) => Proof::Wrong,
    };
    (proof, made)
}
