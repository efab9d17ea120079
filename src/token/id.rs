use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use super::{InvalidValue, Rule, base62, text::serde_as_text};

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
/// # Ok::<(), keyfob::InvalidValue>(())
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

    /// A UUID of version 7: 48 bits of milliseconds, 4 of the version, 12 of a counter, 2 of the variant, 62 random ones.
    pub(crate) fn at(milliseconds: u64, counter: u16, random: [u8; 10]) -> Self {
        let (version, variant) = (7 << 12, 0b10 << 62);
        let [_, _, random @ ..] = random;
        Self {
            high: milliseconds << 16 | version | u64::from(counter & 0x0FFF),
            low: variant | u64::from_be_bytes(random) & (u64::MAX >> 2),
        }
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

const RULE: Rule = Rule::other("must be 22 characters of [0-9A-Za-z] below 2^128");

impl FromStr for TokenId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let digits: Option<&[u8; _]> = text.as_bytes().try_into().ok();
        let digits = digits.filter(|digits| base62::is_base62(*digits));
        let number = digits.and_then(base62::decode_u128);
        number.map(Self::from_u128).ok_or(RULE.broken_by("id"))
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
    }

    /// As the crate `uuid` has it, which made the ids of earlier versions.
    #[test]
    fn an_id_is_a_uuid_of_version_7() {
        let id = TokenId::at(0x0123_4567_89AB, 0xFCDE, [0xF0; 10]);
        assert_eq!(format!("{:032x}", id.as_u128()), "0123456789ab7cdeb0f0f0f0f0f0f0f0");
    }
}
