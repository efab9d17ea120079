use std::fmt;

use super::{InvalidValue, KeyId, Rule, TokenId, base62, keyed_hash::KeyedHash};

/// What a fingerprint is the HMAC of. A digest is that of 59 bytes and a checksum that of at least 69, so none of the three
/// can stand for another.
const FINGERPRINT: &[u8] = b"keyfob pepper canary 1";

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
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone)]
pub struct PepperKey {
    id: KeyId,
    /// The bytes of the key are kept nowhere, and what is here is overwritten on drop.
    keyed: KeyedHash,
}

impl PepperKey {
    /// Takes a name, and a key of at least 32 random bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] if the name is not valid, or if the key is shorter than 32 bytes or all its bytes are the same.
    pub fn new(id: impl AsRef<str>, key: impl AsRef<[u8]>) -> Result<Self, InvalidValue> {
        let (id, key) = (KeyId::new(id)?, key.as_ref());
        let is_weak = key.len() < SHORTEST || key.iter().all(|byte| *byte == key[0]);
        if is_weak {
            // Without the id: where the two are mixed up, that is the key.
            let rule = format!("must be at least {SHORTEST} bytes long, and random");
            Err(Rule::from(rule).broken_by("pepper_key"))
        } else {
            Ok(Self { id, keyed: KeyedHash::new(key) })
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The bytes of a digest.
    pub(super) fn hash(&self, id: TokenId, secret: &[u8; base62::U256_WIDTH]) -> [u8; 32] {
        self.keyed.mac(&[&id.to_bytes(), secret])
    }

    /// What a store keeps to tell the key by.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.keyed.mac(&[FINGERPRINT])
    }

    /// The first 32 bits of the HMAC of what a checksum covers.
    pub(super) fn checksum(&self, covered: &[u8]) -> u32 {
        let [a, b, c, d, ..] = self.keyed.mac(&[covered]);
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
/// 1. Every node accepts the new one as the [next](Self::accept_next).
/// 2. Every node makes tokens with it, and [accepts](Self::accept) the old one. A token that comes in under the old key
///    gets a digest of the new one, off the path of the request.
/// 3. Once [`OperatorTokens::count_by_key`](crate::OperatorTokens::count_by_key) shows none for the old key, it goes. With a
///    [`KeyedChecksum`] it moves to [`accept_checksums_of`](Self::accept_checksums_of), for as long as tokens live whose text
///    was made with it: those that were last rotated, or else issued, before step 2 was done.
///
/// A token under a key that a node does not have is 503 there, and reported: the token may well be good.
///
/// # A service that has tokens already
/// 1. Every node [only accepts](Self::accept_only) the key. Where there is one node, or all start at once, this is not
///    needed.
/// 2. Every node makes digests with it, and [accepts those without a key](Self::accept_unpeppered): they are replaced
///    at their next use. As long as this is said, whoever can write to the database can still put a digest in.
/// 3. Once none is without a key, or the rest is revoked, nothing more than the key is said.
///
/// ```
/// use keyfob::{ApiTokens, store::MemoryStore, token::{Pepper, PepperKey, KeyedChecksum}};
///
/// # let (this_year, last_year) = ([1, 2].repeat(16), [3, 4].repeat(16));
/// let pepper = Pepper::new(PepperKey::new("2026", this_year)?)
///     .accept(PepperKey::new("2025", last_year)?)
///     .keyed_checksum(KeyedChecksum::Prefer);
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").pepper(pepper).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Pepper {
    /// Makes new digests.
    current: PepperKey,
    next: Vec<PepperKey>,
    earlier: Vec<PepperKey>,
    for_checksums: Vec<PepperKey>,
    keyed_checksum: KeyedChecksum,
    unpeppered: Unpeppered,
}

/// What becomes of digests without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unpeppered {
    Refused,
    Replaced,
    /// Made, for now.
    Made,
}

/// Whether the checksum of a token is made with a [`Pepper`] as well, so that a token which was made up is refused
/// without asking the store.
///
/// The price: nobody without the key can tell a token by its checksum, secret scanners among them; and a token whose
/// key is lost is refused for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyedChecksum {
    /// CRC-32, which everybody can check and make. Tokens with a keyed checksum are let in only where its key is
    /// [accepted for checksums](Pepper::accept_checksums_of), which it has to be once keyed checksums were on.
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
            current: key,
            next: Vec::new(),
            earlier: Vec::new(),
            for_checksums: Vec::new(),
            keyed_checksum: KeyedChecksum::Off,
            unpeppered: Unpeppered::Refused,
        }
    }

    /// Digests of this earlier key are read as well, and replaced by those of the first key when they are used.
    pub fn accept(mut self, key: PepperKey) -> Self {
        self.earlier.push(key);
        self
    }

    /// Digests of this key are read as well, and left as they are: the key that other nodes make digests with already.
    pub fn accept_next(mut self, key: PepperKey) -> Self {
        self.next.push(key);
        self
    }

    /// Keyed checksums of this key are accepted as well, also if keyed checksums are [off](KeyedChecksum::Off). Its digests are
    /// not, unless it is accepted for those too.
    pub fn accept_checksums_of(mut self, key: PepperKey) -> Self {
        self.for_checksums.push(key);
        self
    }

    /// Digests that were made without a key are read as well, and replaced when they are used. They are not unless
    /// said here.
    pub fn accept_unpeppered(mut self) -> Self {
        self.unpeppered = Unpeppered::Replaced;
        self
    }

    /// Digests and checksums of the keys are read, and none is made with them yet: new ones are made without a key, and
    /// those that are without one are good. For the nodes of a service that has no pepper, before any of them makes
    /// something that the others could not read.
    pub fn accept_only(mut self) -> Self {
        self.unpeppered = Unpeppered::Made;
        self
    }

    /// Whether checksums are made with the key as well. They are not unless said here.
    pub fn keyed_checksum(mut self, keyed_checksum: KeyedChecksum) -> Self {
        self.keyed_checksum = keyed_checksum;
        self
    }

    /// One key may stand for digests and for checksums, and for each once.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        let for_digests: Vec<_> = self.keys().collect();
        let for_checksums: Vec<_> = self.for_checksums.iter().collect();
        let is_other = |one: &&&PepperKey| {
            let namesake = for_digests.iter().find(|it| it.id == one.id);
            namesake.is_some_and(|it| it.fingerprint() != one.fingerprint())
        };
        let twice = twice(&for_digests).or_else(|| twice(&for_checksums));
        let twice = twice.or_else(|| for_checksums.iter().find(is_other).copied());
        twice.map_or(Ok(()), |key| {
            let rule = format!("must not name the key {} twice", key.id);
            Err(Rule::from(rule).broken_by("pepper"))
        })
    }

    /// Every key, for whatever it is good, each once.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = &PepperKey> {
        let for_checksums = self.for_checksums.iter().filter(|key| self.key(&key.id).is_none());
        self.keys().chain(for_checksums)
    }

    /// The keys whose digests are read.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PepperKey> {
        std::iter::once(&self.current).chain(&self.next).chain(&self.earlier)
    }

    pub(crate) fn key(&self, id: &KeyId) -> Option<&PepperKey> {
        self.keys().find(|key| key.id == *id)
    }

    pub(super) fn current(&self) -> &PepperKey {
        &self.current
    }

    /// Tells whether digests of this key, or of none, are to be replaced.
    #[inline]
    pub(super) fn outdates(&self, key: Option<&KeyId>) -> bool {
        let is_kept = |it: &PepperKey| Some(&it.id) == key;
        !is_kept(&self.current) && !self.next.iter().any(is_kept) && !self.makes_unpeppered()
    }

    pub(crate) fn accepts_unpeppered(&self) -> bool {
        self.unpeppered != Unpeppered::Refused
    }

    pub(super) fn makes_unpeppered(&self) -> bool {
        self.unpeppered == Unpeppered::Made
    }

    pub(super) fn keyed_checksum_policy(&self) -> KeyedChecksum {
        self.keyed_checksum
    }

    pub(super) fn keys_for_checksums_alone(&self) -> &[PepperKey] {
        &self.for_checksums
    }
}

/// A key whose name an earlier one has.
fn twice<'a>(keys: &[&'a PepperKey]) -> Option<&'a PepperKey> {
    let is_twice = |&at: &usize| keys[..at].iter().any(|it| it.id == keys[at].id);
    (0..keys.len()).find(is_twice).map(|at| keys[at])
}
