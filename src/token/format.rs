use std::{borrow::Cow, fmt};

use zeroize::Zeroizing;

use super::{
    InvalidValue, PlainToken, Prefix, Rule, TokenDigest, TokenId, base62, checksums::Checksums,
    digests::Digests, keyed_hash, prefix,
};

const ID: usize = base62::U128_WIDTH;
const SECRET: usize = base62::U256_WIDTH;
const CHECKSUM: usize = base62::U32_WIDTH;

/// What follows the prefix and its underscore: `<id>_<secret><checksum>`.
pub(super) const TAIL: usize = ID + 1 + SECRET + CHECKSUM;
/// What of it the checksum covers.
pub(super) const COVERED_TAIL: usize = TAIL - CHECKSUM;

/// What a checksum covers fits into the keyed hash.
const _: () = assert!(prefix::LONGEST + 1 + COVERED_TAIL <= keyed_hash::LONGEST);

/// How the tokens of an application look: `<prefix>_<id>_<secret><checksum>`.
///
/// | part | is | characters |
/// |---|---|---|
/// | prefix | the application's own, see [`Prefix`] | 2 to 32 |
/// | id | the public [`TokenId`] | 22 |
/// | secret | 256 bits from the operating system's generator | 43 |
/// | checksum | CRC-32 (IEEE, as zlib's) over everything before it, or 32 bits of an HMAC with a [`KeyedChecksum`](super::KeyedChecksum) | 6 |
///
/// Numbers are base62 (`0-9A-Za-z`, most significant digit first, padded with `0`). All of it is `[A-Za-z0-9_]`: a
/// double click selects it whole, and it needs no quoting in a shell, a URL or an env file.
///
/// ```
/// use keyfob::token::{MalformedToken, Prefix, TokenFormat};
///
/// let format = TokenFormat::new(Prefix::new("acme")?);
/// assert_eq!(format.parse("acme_nonsense").unwrap_err(), MalformedToken::WrongLength);
/// assert_eq!(format.parse("ghp_16C7e42F292c6912").unwrap_err(), MalformedToken::UnknownPrefix);
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenFormat {
    /// The first is the one under which tokens are issued.
    prefixes: Vec<Prefix>,
    checksums: Checksums,
}

/// Why a text is no token of this application, found without asking the store. For logs; a client learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedToken {
    /// It does not begin with an accepted prefix and an underscore.
    #[error("token does not begin with an accepted prefix")]
    UnknownPrefix,
    /// It has an accepted prefix and not the length of a token.
    #[error("token has the wrong length")]
    WrongLength,
    /// It has a byte outside the alphabet, or no underscore after the id.
    #[error("token contains a character that no token contains")]
    ForbiddenCharacter,
    /// Its id or its secret is a number past the greatest one.
    #[error("token contains a number that is out of range")]
    OutOfRange,
    /// Its checksum is not that of what comes before: it was mistyped or made up.
    #[error("token has the wrong checksum")]
    WrongChecksum,
}

/// A text that has the form of a token of this application. It proves nothing yet.
#[derive(Clone, Copy)]
pub struct PresentedToken<'a> {
    prefix: &'a Prefix,
    id: TokenId,
    secret: &'a [u8; SECRET],
}

/// A [`PresentedToken`] that waits for an answer. Its secret is overwritten when it is dropped.
pub(crate) struct HeldToken {
    prefix: Prefix,
    id: TokenId,
    secret: Zeroizing<[u8; SECRET]>,
}

impl TokenFormat {
    /// A format with one prefix, issued and accepted.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self { prefixes: vec![prefix], checksums: Checksums::default() }
    }

    /// Accepts tokens of one more prefix, for instance the one from before a rename.
    ///
    /// # Errors
    /// [`InvalidValue`] if the prefix is accepted already.
    pub fn accept(mut self, prefix: Prefix) -> Result<Self, InvalidValue> {
        if self.prefixes.contains(&prefix) {
            let rule = format!("must not be accepted twice: {prefix}");
            return Err(Rule::from(rule).broken_by("prefix"));
        }
        self.prefixes.push(prefix);
        Ok(self)
    }

    pub(crate) fn with_checksums(self, checksums: Checksums) -> Self {
        Self { checksums, ..self }
    }

    /// A token in plain text, and what is kept of its secret.
    pub(crate) fn write(
        &self,
        prefix: &Prefix,
        id: TokenId,
        secret: &[u8; 32],
        digests: &Digests,
    ) -> (PlainToken, TokenDigest) {
        PlainToken::new(prefix, id, secret, &self.checksums, digests)
    }

    /// The prefix under which tokens are issued.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefixes[0]
    }

    /// Reads a token strictly: exact length, every byte covered by the checksum, no trimming, no case folding.
    ///
    /// Costs no I/O and no allocation, refuses by length first, and never panics. It is also the check that a secret
    /// scanner makes: what passes was made by this application, or by somebody who made up a whole token; see
    /// [`scan_pattern`](Self::scan_pattern).
    ///
    /// # Errors
    /// [`MalformedToken`] says what is wrong; it never carries the text.
    #[inline]
    pub fn parse<'a>(&'a self, presented: &'a str) -> Result<PresentedToken<'a>, MalformedToken> {
        let (prefix, tail) = self.split(presented.as_bytes())?;

        let parts = Parts::of(tail).ok_or(MalformedToken::ForbiddenCharacter)?;

        // One pass over 80 bytes, which the compiler turns into five vector compares.
        let mut padded = [b'0'; TAIL.next_multiple_of(16)];
        padded[..TAIL].copy_from_slice(tail);
        padded[ID] = b'0';
        if !base62::is_base62(&padded) {
            return Err(MalformedToken::ForbiddenCharacter);
        }

        let covered = &presented.as_bytes()[..presented.len() - CHECKSUM];
        if !self.checksums.accept(base62::decode_u32(*parts.checksum), covered) {
            return Err(MalformedToken::WrongChecksum);
        }
        let id = base62::decode_u128(parts.id).ok_or(MalformedToken::OutOfRange)?;
        if !base62::is_u256(parts.secret) {
            return Err(MalformedToken::OutOfRange);
        }
        Ok(PresentedToken { prefix, id: TokenId::from_u128(id), secret: parts.secret })
    }

    /// A regular expression that finds tokens of this application in any text, for secret scanners: in the dialect that
    /// RE2, Hyperscan, PCRE and Rust's `regex` share, without look-around. What it finds is a candidate;
    /// [`parse`](Self::parse) checks it. It begins at no word boundary, because none is there where an escape comes
    /// before: `\nacme_…` in JSON, `%3Dacme_…` in a URL.
    ///
    /// ```
    /// use keyfob::token::{Prefix, TokenFormat};
    ///
    /// let format = TokenFormat::new(Prefix::new("acme")?).accept(Prefix::new("acme_test")?)?;
    /// assert_eq!(format.scan_pattern(), r"(?:acme_test|acme)_[0-9A-Za-z]{22}_[0-9A-Za-z]{49}\b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn scan_pattern(&self) -> String {
        let mut prefixes: Vec<_> = self.prefixes.iter().map(Prefix::as_str).collect();
        // Where one prefix begins another, the longer one has to be tried first.
        prefixes.sort_by_key(|it| std::cmp::Reverse(it.len()));
        let (prefixes, rest) = (prefixes.join("|"), SECRET + CHECKSUM);
        format!(r"(?:{prefixes})_[0-9A-Za-z]{{{ID}}}_[0-9A-Za-z]{{{rest}}}\b")
    }

    /// Returns `true` if a token of this application stands anywhere in a text, with its prefix or without: an id and a
    /// secret with the checksum that one of its prefixes gives them. A checksum without a key counts also where it is
    /// no longer accepted.
    ///
    /// Nothing that a client sends is stored with a token in it: fields that have one are refused, and in reasons and
    /// actors it is replaced by `[token]`.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// let issued = tokens.issue(NewToken::new(owner, "ci")).await.unwrap();
    /// let pasted = format!("Bearer {}", issued.plain.expose_secret());
    /// assert!(tokens.format().contains_token(&pasted));
    /// assert!(!tokens.format().contains_token("Bearer acme_"));
    /// # });
    /// ```
    #[must_use]
    pub fn contains_token(&self, text: &str) -> bool {
        self.find_token(text.as_bytes(), 0).is_some()
    }

    /// The text with `[token]` in place of each token in it, and of the prefix before that.
    pub(crate) fn without_tokens<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        let (mut rest, mut without) = (0, String::new());
        while let Some(start) = self.find_token(bytes, rest) {
            let before = &text[rest..start];
            let prefixes = self.prefixes.iter().filter_map(|it| {
                before.strip_suffix('_').and_then(|before| before.strip_suffix(it.as_str()))
            });
            without.push_str(prefixes.min_by_key(|it| it.len()).unwrap_or(before));
            without.push_str("[token]");
            rest = start + TAIL;
        }
        match rest {
            0 => Cow::Borrowed(text),
            _ => Cow::Owned(without + &text[rest..]),
        }
    }

    /// Where the id of the first token begins that begins at this place or later.
    fn find_token(&self, text: &[u8], from: usize) -> Option<usize> {
        let starts = from..=text.len().checked_sub(TAIL)?;
        starts.into_iter().find(|start| {
            let tail = text[*start..].first_chunk::<TAIL>();
            tail.is_some_and(|tail| tail[ID] == b'_' && self.is_tail_of_token(tail))
        })
    }

    /// Returns `true` if this follows one of the prefixes in a token.
    fn is_tail_of_token(&self, tail: &[u8; TAIL]) -> bool {
        let mut digits = *tail;
        digits[ID] = b'0';
        let Some(parts) = Parts::of(tail).filter(|_| digits.iter().all(u8::is_ascii_alphanumeric))
        else {
            return false;
        };
        let checksum = base62::decode_u32(*parts.checksum);
        self.prefixes.iter().any(|prefix| {
            let covered = [prefix.as_str().as_bytes(), b"_", &tail[..COVERED_TAIL]].concat();
            self.checksums.were_made(checksum, &covered)
        })
    }

    /// Tells whether tokens of this prefix are accepted.
    #[must_use]
    pub fn accepts(&self, prefix: &Prefix) -> bool {
        self.prefixes.contains(prefix)
    }

    /// Tells whether a text begins as the tokens of this application do. A JWT, or the token of another service, does
    /// not.
    #[must_use]
    pub fn has_prefix(&self, text: &[u8]) -> bool {
        let is = |prefix: &Prefix| {
            text.strip_prefix(prefix.as_str().as_bytes()).is_some_and(|it| it.starts_with(b"_"))
        };
        self.prefixes.iter().any(is)
    }

    #[inline]
    fn split<'a>(&'a self, text: &'a [u8]) -> Result<(&'a Prefix, &'a [u8; TAIL]), MalformedToken> {
        let mut refusal = MalformedToken::UnknownPrefix;
        for prefix in &self.prefixes {
            let rest = text.strip_prefix(prefix.as_str().as_bytes());
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"_")) {
                match rest.try_into() {
                    Ok(tail) => return Ok((prefix, tail)),
                    Err(_) => refusal = MalformedToken::WrongLength,
                }
            }
        }
        Err(refusal)
    }
}

struct Parts<'a> {
    id: &'a [u8; ID],
    secret: &'a [u8; SECRET],
    checksum: &'a [u8; CHECKSUM],
}

impl<'a> Parts<'a> {
    /// `None` where no underscore follows the id. The lengths are constants, so nothing else is left to fail.
    fn of(tail: &'a [u8; TAIL]) -> Option<Self> {
        let (id, rest) = tail.split_first_chunk()?;
        let (secret, checksum) = rest.strip_prefix(b"_")?.split_first_chunk()?;
        Some(Self { id, secret, checksum: checksum.try_into().ok()? })
    }
}

impl<'a> PresentedToken<'a> {
    /// The id that the text names.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The prefix that the text begins with.
    #[must_use]
    pub fn prefix(&self) -> &'a Prefix {
        self.prefix
    }

    pub(crate) fn secret(&self) -> &'a [u8; SECRET] {
        self.secret
    }

    /// The same without the text that it was read from.
    pub(crate) fn held(&self) -> HeldToken {
        HeldToken { prefix: self.prefix.clone(), id: self.id, secret: Zeroizing::new(*self.secret) }
    }
}

impl HeldToken {
    pub(crate) fn presented(&self) -> PresentedToken<'_> {
        PresentedToken { prefix: &self.prefix, id: self.id, secret: &self.secret }
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken")
            .field("prefix", &self.prefix)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
