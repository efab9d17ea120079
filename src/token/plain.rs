use std::fmt;

use zeroize::Zeroizing;

use super::{
    Prefix, TokenDigest, TokenId, TokenRecord, base62, checksums::Checksums, digests::Digests,
};

/// A whole token in plain text, as its holder will present it: shown once, kept nowhere.
///
/// [`expose_secret`](Self::expose_secret) is the only exit, so that a search for that name is the audit. There is no
/// `Display`, no `Clone` and no `Serialize`; `Debug` is redacted; the memory is overwritten on drop.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// let issued = tokens.issue(NewToken::new(Owner::new("user:42").unwrap(), "ci")).await.unwrap();
/// assert!(issued.plain.expose_secret().starts_with("acme_"));
/// assert_eq!(format!("{:?}", issued.plain), "PlainToken([redacted])");
/// # });
/// ```
///
/// None of these compiles:
///
/// ```compile_fail,E0599
/// fn copy(plain: keyfob::PlainToken) -> (keyfob::PlainToken, keyfob::PlainToken) {
///     (plain.clone(), plain)
/// }
/// ```
/// ```compile_fail,E0277
/// fn print(plain: keyfob::PlainToken) {
///     println!("{plain}");
/// }
/// ```
/// ```compile_fail,E0277
/// fn store(plain: keyfob::PlainToken) -> serde_json::Result<String> {
///     serde_json::to_string(&plain)
/// }
/// ```
/// ```compile_fail,E0423
/// let made_up = keyfob::PlainToken("acme_…".to_owned().into());
/// ```
pub struct PlainToken(Zeroizing<String>);

impl PlainToken {
    /// The token as text, `<prefix>_<id>_<secret><checksum>`, and what is kept of it. The string has its full capacity
    /// from the start, so that no reallocation leaves a copy behind.
    pub(super) fn new(
        prefix: &Prefix,
        id: TokenId,
        secret: &[u8; 32],
        checksums: &Checksums,
        digests: &Digests,
    ) -> (Self, TokenDigest) {
        let mut text =
            Zeroizing::new(String::with_capacity(prefix.as_str().len() + 1 + super::format::TAIL));
        let mut digits = Zeroizing::new([b'0'; base62::U256_WIDTH]);
        base62::encode_u256(secret, &mut digits);

        text.push_str(prefix.as_str());
        text.push('_');
        text.extend(base62::encode_u128(id.as_u128()).map(char::from));
        text.push('_');
        text.extend(digits.iter().copied().map(char::from));
        let checksum = checksums.make(text.as_bytes());
        text.extend(base62::encode_u32(checksum).map(char::from));
        (Self(text), digests.make(id, &digits))
    }

    /// The token as text: the secret's only exit. Show it to the user, once.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken([redacted])")
    }
}

/// A token that was just issued, or just got a new secret.
#[derive(Debug)]
#[must_use = "the plain text can't be had again"]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token itself: show it now, it is kept nowhere.
    pub plain: PlainToken,
    /// What is kept of it.
    pub record: TokenRecord,
}

impl IssuedToken {
    pub(crate) fn new(plain: PlainToken, record: TokenRecord) -> Self {
        Self { plain, record }
    }
}
