use std::fmt;

use subtle::ConstantTimeEq;

use super::{
    KeyId, TextError, TokenDigest, TokenId, base62,
    keyed_hash::{self, KeyedHash},
};

/// What a canary is the HMAC of. A digest is that of 59 bytes and a checksum that of at least 69, so none of the three
/// can stand for another.
const CANARY: &[u8] = b"keyfob pepper canary 1";

/// The least length of a key, in bytes: that of the hash.
const SHORTEST: usize = 32;

/// A secret key with a name, for a [`Pepper`].
///
/// Make one with `openssl rand -hex 32`, and keep it where the database's backups are not: what it protects from is a
/// copy of the database. The name is kept beside each digest and is no secret.
///
/// ```
/// use keyfob::token::PepperKey;
///
/// # let from_the_environment = "5f1d3c0a9b8e7d6c5f1d3c0a9b8e7d6c";
/// let key = PepperKey::new("2026-11", from_the_environment)?;
/// assert_eq!(format!("{key:?}"), r#"PepperKey { id: KeyId("2026-11"), .. }"#);
/// # Ok::<(), keyfob::token::PepperError>(())
/// ```
#[derive(Clone)]
pub struct PepperKey {
    id: KeyId,
    /// The bytes of the key are kept nowhere, and what is here is overwritten on drop.
    hash: KeyedHash,
}

/// Why a key, or a set of keys, is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// The name is none.
    #[error("the name of a pepper key {0}")]
    Id(#[from] TextError),
    /// The key is shorter than 32 bytes, or all its bytes are the same.
    #[error("the pepper key {0} must be at least {SHORTEST} bytes long, and random")]
    Weak(KeyId),
    /// Two keys have the same name.
    #[error("the pepper key {0} is named twice")]
    Twice(KeyId),
}

impl PepperKey {
    /// Takes a name, and a key of at least 32 random bytes.
    ///
    /// # Errors
    /// [`PepperError`] where the name or the key is none.
    pub fn new(id: impl AsRef<str>, key: impl AsRef<[u8]>) -> Result<Self, PepperError> {
        let (id, key) = (KeyId::new(id)?, key.as_ref());
        let is_weak = key.len() < SHORTEST || key.iter().all(|byte| *byte == key[0]);
        if is_weak {
            Err(PepperError::Weak(id))
        } else {
            Ok(Self { id, hash: KeyedHash::new(key) })
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    fn digest(&self, id: TokenId, secret: &[u8; base62::U256_WIDTH]) -> TokenDigest {
        TokenDigest::from_bytes(self.hash.mac(&[&id.to_bytes(), secret]), Some(self.id.clone()))
    }

    /// What a store keeps to tell the key by.
    pub(crate) fn canary(&self) -> [u8; 32] {
        self.hash.mac(&[CANARY])
    }

    /// The first 32 bits of the HMAC of what a checksum covers.
    fn checksum(&self, covered: &[u8]) -> u32 {
        let [a, b, c, d, ..] = self.hash.mac(&[covered]);
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Debug for PepperKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PepperKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A secret that is not in the database, mixed into every digest: HMAC-SHA-256 of id and secret
/// ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)) in place of SHA-256 of the secret.
///
/// Who can write to the database but does not have the key can then neither put in a token of his own nor move the
/// digest of one token to another. (He can still change whose a token is and what it may do.)
///
/// # Another key
/// 1. Every node [accepts](Self::accept) the new one.
/// 2. Every node makes tokens with it, and accepts the old one. A token that comes in under the old key gets a digest
///    of the new one, off the path of the request.
/// 3. Once [`AllTokens::count_by_key`](crate::AllTokens::count_by_key) shows none for the old key, it goes. With a
///    [`Shield`] it moves to [`accept_checksums_of`](Self::accept_checksums_of), for as long as tokens live whose text
///    was made with it.
///
/// A token under a key that a node does not have is 503 there, and reported: the token may well be good.
///
/// # A service that has tokens already
/// [`accept_unpeppered`](Self::accept_unpeppered) lets their digests in and replaces them at their next use. As long as
/// it is said, whoever can write to the database can still put a digest in; so it should not stay.
///
/// ```
/// use keyfob::{ApiTokens, store::MemoryStore, token::{Pepper, PepperKey, Shield}};
///
/// # let (this_year, last_year) = ([1, 2].repeat(16), [3, 4].repeat(16));
/// let pepper = Pepper::new(PepperKey::new("2026", this_year)?)
///     .accept(PepperKey::new("2025", last_year)?)
///     .shield(Shield::Prefer);
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").pepper(pepper).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Pepper {
    /// The first makes new digests.
    keys: Vec<PepperKey>,
    for_checksums: Vec<PepperKey>,
    shield: Shield,
    accepts_unpeppered: bool,
}

/// Whether the checksum of a token is made with a [`Pepper`] as well, so that a token which was made up is refused
/// without asking the store.
///
/// The price: nobody without the key can tell a token by its checksum, secret scanners among them; and a token whose
/// key is lost is refused for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shield {
    /// CRC-32, which everybody can check and make.
    #[default]
    Off,
    /// New tokens have a keyed checksum; those with CRC-32 are let in as well.
    Prefer,
    /// Only tokens with a keyed checksum are let in.
    Require,
}

impl Pepper {
    /// Digests are made and read with this key.
    pub fn new(key: PepperKey) -> Self {
        Self {
            keys: vec![key],
            for_checksums: Vec::new(),
            shield: Shield::Off,
            accepts_unpeppered: false,
        }
    }

    /// Digests of this key are read as well, and replaced by those of the first key when they are used.
    pub fn accept(mut self, key: PepperKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Keyed checksums of this key are accepted as well, but no digests.
    pub fn accept_checksums_of(mut self, key: PepperKey) -> Self {
        self.for_checksums.push(key);
        self
    }

    /// Digests that were made without a key are read as well, and replaced when they are used. They are not unless
    /// said here.
    pub fn accept_unpeppered(mut self) -> Self {
        self.accepts_unpeppered = true;
        self
    }

    /// Whether checksums are made with the key as well. They are not unless said here.
    pub fn shield(mut self, shield: Shield) -> Self {
        self.shield = shield;
        self
    }

    pub(crate) fn check(&self) -> Result<(), PepperError> {
        let ids: Vec<_> = self.all_keys().map(PepperKey::id).collect();
        let twice = (1..ids.len()).find(|&at| ids[..at].contains(&ids[at]));
        twice.map_or(Ok(()), |at| Err(PepperError::Twice(ids[at].clone())))
    }

    /// Every key, for whatever it is good.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = &PepperKey> {
        self.keys.iter().chain(&self.for_checksums)
    }

    pub(crate) fn accepts_unpeppered(&self) -> bool {
        self.accepts_unpeppered
    }

    /// The key that makes new digests.
    fn current(&self) -> &PepperKey {
        &self.keys[0]
    }

    fn key(&self, id: &KeyId) -> Option<&PepperKey> {
        self.keys.iter().find(|key| key.id == *id)
    }
}

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
    pub(crate) fn make(&self, id: TokenId, secret: &[u8; base62::U256_WIDTH]) -> TokenDigest {
        match self.pepper() {
            None => TokenDigest::of(secret),
            Some(pepper) => pepper.current().digest(id, secret),
        }
    }

    /// Tells whether new digests are made otherwise than this one.
    #[inline]
    pub(crate) fn outdates(&self, digest: &TokenDigest) -> bool {
        self.pepper().is_some_and(|pepper| digest.key() != Some(pepper.current().id()))
    }

    /// Compares a secret with the digest that is kept of a token, or, where there is no such token, with nothing:
    /// that costs the same.
    #[inline]
    pub(crate) fn prove(
        &self,
        id: TokenId,
        secret: &[u8; base62::U256_WIDTH],
        stored: Option<&TokenDigest>,
    ) -> Proof {
        static NOBODY: TokenDigest = TokenDigest::from_bytes([0; 32], None);
        match self.pepper() {
            None => {
                let stored = stored.unwrap_or(&NOBODY);
                let is_same = TokenDigest::of(secret).is_same_bytes(stored);
                match stored.key() {
                    None if is_same => Proof::Proven,
                    None => Proof::Wrong,
                    Some(_) => Proof::UnknownKey,
                }
            }
            Some(pepper) => prove_with(pepper, id, secret, stored),
        }
    }
}

/// As [`Digests::prove`]. What can't be judged is hashed all the same.
fn prove_with(
    pepper: &Pepper,
    id: TokenId,
    secret: &[u8; base62::U256_WIDTH],
    stored: Option<&TokenDigest>,
) -> Proof {
    let key = stored.and_then(TokenDigest::key);
    let known = key.map_or(Some(pepper.current()), |id| pepper.key(id));
    let unkeyed = stored.is_some() && key.is_none();
    let mac = if unkeyed && pepper.accepts_unpeppered {
        TokenDigest::of(secret)
    } else {
        known.unwrap_or(pepper.current()).digest(id, secret)
    };
    let is_same = stored.is_some_and(|stored| mac.is_same_bytes(stored));
    match known {
        None => Proof::UnknownKey,
        Some(_) if unkeyed && !pepper.accepts_unpeppered => Proof::Unpeppered,
        Some(_) if is_same => Proof::Proven,
        Some(_) => Proof::Wrong,
    }
}

/// How the checksums of tokens are made and checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checksums {
    keys: Vec<PepperKey>,
    crc: Crc,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Crc {
    #[default]
    Accepted,
    Refused,
}

impl Checksums {
    pub(crate) fn new(pepper: Option<&Pepper>) -> Self {
        match pepper {
            Some(pepper) if pepper.shield != Shield::Off => Self {
                keys: pepper.all_keys().cloned().collect(),
                crc: if pepper.shield == Shield::Require { Crc::Refused } else { Crc::Accepted },
            },
            _ => Self::default(),
        }
    }

    pub(crate) fn make(&self, covered: &[u8]) -> u32 {
        self.keys.first().map_or_else(|| crc32fast::hash(covered), |key| key.checksum(covered))
    }

    /// A checksum of CRC-32 is nothing secret, a keyed one is: it is compared in constant time.
    #[inline]
    pub(crate) fn accept(&self, checksum: u64, covered: &[u8]) -> bool {
        let by_crc = self.crc == Crc::Accepted && checksum == u64::from(crc32fast::hash(covered));
        by_crc || self.accept_keyed(checksum, covered)
    }

    /// Each key costs three blocks of the hash: two for what is covered, at most 99 bytes, and one for the outer hash.
    fn accept_keyed(&self, checksum: u64, covered: &[u8]) -> bool {
        self.keys.iter().any(|key| u64::from(key.checksum(covered)).ct_eq(&checksum).into())
    }
}

const _: () =
    assert!(super::prefix::LONGEST + 1 + super::format::COVERED_TAIL <= keyed_hash::LONGEST);
