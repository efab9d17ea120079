use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use super::{base62, text::serde_as_text};

/// The public name of a token: 128 bits, time-ordered, written as 22 base62 characters.
///
/// It is safe in logs and support tickets: it finds a token but proves nothing. Ids made by keyfob are UUIDs of
/// version 7 ([RFC 9562 §5.7](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)), so they sort by time of creation
/// and show it; the version bits of an id that comes in are not checked.
///
/// ```
/// use keyfob::TokenId;
///
/// let id = TokenId::from_u128(62);
/// assert_eq!(id.to_string(), "0000000000000000000010");
/// assert_eq!("0000000000000000000010".parse::<TokenId>()?, id);
/// # Ok::<(), keyfob::token::TokenIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId {
    /// Two words travel in registers; sixteen bytes, or one number of that size, don't.
    high: u64,
    low: u64,
}

impl TokenId {
    /// The id with this number.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "each word is one half")]
    pub const fn from_u128(number: u128) -> Self {
        let (high, low) = ((number >> 64) as u64, number as u64);
        Self { high, low }
    }

    /// The id as a number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// The id with these bytes, most significant first, as a store keeps it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_u128(u128::from_be_bytes(bytes))
    }

    /// The id as bytes, most significant first: they sort as the ids do.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.as_u128().to_be_bytes()
    }

    /// A UUID of version 7: 48 bits of milliseconds, 12 bits of a counter, the rest random.
    pub(crate) fn at(milliseconds: u64, counter: u16, mut random: [u8; 10]) -> Self {
        random[..2].copy_from_slice(&counter.to_be_bytes());
        let uuid = uuid::Builder::from_unix_timestamp_millis(milliseconds, &random);
        Self::from_u128(uuid.into_uuid().as_u128())
    }
}

/// In one step, which costs a map less than sixteen bytes do.
impl Hash for TokenId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.as_u128());
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base62::encode_u128(self.as_u128());
        text.iter().try_for_each(|&byte| fmt::Write::write_char(f, byte.into()))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

/// A text that is not the id of a token: not 22 characters of `[0-9A-Za-z]`, or a value past 2¹²⁸ − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token id: 22 characters of [0-9A-Za-z] below 2^128")]
#[non_exhaustive]
pub struct TokenIdError;

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let digits: &[u8; _] = text.as_bytes().try_into().map_err(|_| TokenIdError)?;
        let number = base62::is_base62(digits).then(|| base62::decode_u128(digits));
        number.flatten().map(Self::from_u128).ok_or(TokenIdError)
    }
}

serde_as_text!(TokenId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later_as_numbers_bytes_and_text() {
        let ids = [(1, 0), (1, 1), (1, 0x0FFF), (2, 0)].map(|(ms, n)| TokenId::at(ms, n, [7; 10]));
        assert!(ids.is_sorted());
        assert!(ids.map(TokenId::to_bytes).is_sorted());
        assert!(ids.map(|id| id.to_string()).is_sorted());
        assert_eq!(ids[0].as_u128() >> 76 & 0xF, 7);
    }
}
