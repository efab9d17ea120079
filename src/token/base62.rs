//! Fixed-width base62: `0-9A-Za-z` in ASCII order, most significant digit first, padded with `0`.
//!
//! Because the digits are in ASCII order and the width is fixed, texts compare as the numbers do. That is how a
//! value beyond the type's range is found: its text is greater than the text of the greatest value.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 62¹⁰, the greatest power of 62 whose square is below 2¹²⁸ and which leaves room to add in 64 bits.
const CHUNK: u64 = 839_299_365_868_340_224;
const CHUNK_WIDTH: usize = 10;

pub(crate) const U128_WIDTH: usize = 22;
pub(crate) const U256_WIDTH: usize = 43;
pub(crate) const U32_WIDTH: usize = 6;

const U128_MAX: &[u8; U128_WIDTH] = b"7n42DGM5Tflk9n8mt7Fhc7";
const U256_MAX: &[u8; U256_WIDTH] = b"yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";

/// Tells whether every byte is one of `[0-9A-Za-z]`, without a branch per byte.
pub(crate) fn is_base62(text: &[u8]) -> bool {
    text.iter().fold(true, |fine, byte| fine & byte.is_ascii_alphanumeric())
}

/// The number of each digit, by its byte.
const VALUES: [u8; 256] = {
    let mut values = [0; 256];
    let mut value = 0;
    while value < 62 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// The number that eight digits of the alphabet stand for. Pair by pair, so that no step waits for more than two
/// others.
fn eight(digits: [u8; 8]) -> u64 {
    let pair = |i: usize| {
        u32::from(VALUES[usize::from(digits[i])]) * 62
            + u32::from(VALUES[usize::from(digits[i + 1])])
    };
    let four = |i: usize| pair(i) * 62_u32.pow(2) + pair(i + 2);
    u64::from(four(0)) * 62_u64.pow(4) + u64::from(four(4))
}

/// The number that six digits of the alphabet stand for; it can be past 2³² − 1.
pub(crate) fn decode_u32(digits: [u8; U32_WIDTH]) -> u64 {
    let mut padded = [b'0'; 8];
    padded[2..].copy_from_slice(&digits);
    eight(padded)
}

fn write_digits(mut value: u64, text: &mut [u8]) {
    for place in text.iter_mut().rev() {
        // A remainder of 62 is always below 62.
        *place = DIGITS[(value % 62) as usize];
        value /= 62;
    }
}

pub(crate) fn encode_u32(value: u32) -> [u8; U32_WIDTH] {
    let mut text = [b'0'; U32_WIDTH];
    write_digits(value.into(), &mut text);
    text
}

pub(crate) fn encode_u128(value: u128) -> [u8; U128_WIDTH] {
    let mut text = [b'0'; U128_WIDTH];
    let chunk = u128::from(CHUNK);
    write_digits(low_bits(value / chunk / chunk), &mut text[..2]);
    write_digits(low_bits(value / chunk % chunk), &mut text[2..12]);
    write_digits(low_bits(value % chunk), &mut text[12..]);
    text
}

/// A quotient or remainder that is known to fit in 64 bits.
#[allow(clippy::cast_possible_truncation, reason = "what is cut off is known to be zero")]
fn low_bits(value: u128) -> u64 {
    value as u64
}

/// Reads 22 digits of the alphabet; `None` for a value past 2¹²⁸ − 1.
pub(crate) fn decode_u128(digits: &[u8; U128_WIDTH]) -> Option<u128> {
    if exceeds(digits, U128_MAX) {
        return None;
    }
    let mut padded = [b'0'; 24];
    padded[2..].copy_from_slice(digits);
    let parts = padded.as_chunks::<8>().0.iter().map(|digits| u128::from(eight(*digits)));
    Some(parts.fold(0, |sum, part| sum * 62_u128.pow(8) + part))
}

/// Compares as texts; the first two digits nearly always decide it.
fn exceeds<const WIDTH: usize>(digits: &[u8; WIDTH], max: &[u8; WIDTH]) -> bool {
    let first = |text: &[u8; WIDTH]| u16::from_be_bytes([text[0], text[1]]);
    first(digits) >= first(max) && digits > max
}

/// Writes 256 bits as 43 digits into `text`, the secret's only passage from bytes to text.
pub(crate) fn encode_u256(bytes: &[u8; 32], text: &mut [u8; U256_WIDTH]) {
    let mut limbs = [0_u64; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*bytes);
    }
    for places in text.rchunks_mut(CHUNK_WIDTH) {
        let mut remainder = 0_u64;
        for limb in &mut limbs {
            let value = (u128::from(remainder) << 64) | u128::from(*limb);
            *limb = low_bits(value / u128::from(CHUNK));
            remainder = low_bits(value % u128::from(CHUNK));
        }
        write_digits(remainder, places);
    }
    zeroize::Zeroize::zeroize(&mut limbs);
}

/// Tells whether 43 digits of the alphabet stand for a value below 2²⁵⁶.
pub(crate) fn is_u256(digits: &[u8; U256_WIDTH]) -> bool {
    !exceeds(digits, U256_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_values_have_the_texts_that_the_range_checks_use() {
        let mut text = [0; U256_WIDTH];
        encode_u256(&[0xFF; 32], &mut text);
        assert_eq!(&text, U256_MAX);
        assert_eq!(&encode_u128(u128::MAX), U128_MAX);
        assert_eq!(&encode_u32(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn a_value_past_the_range_is_refused() {
        assert_eq!(decode_u128(U128_MAX), Some(u128::MAX));
        assert_eq!(decode_u128(b"7n42DGM5Tflk9n8mt7Fhc8"), None);
        assert_eq!(decode_u128(b"zzzzzzzzzzzzzzzzzzzzzz"), None);
        assert!(is_u256(U256_MAX));
        assert!(!is_u256(b"yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp2"));
    }

    #[test]
    fn every_byte_outside_the_alphabet_is_refused() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_base62(&[b'0', byte]), DIGITS.contains(&byte));
        }
    }

    #[test]
    fn values_at_the_seams_of_the_chunks_read_back() {
        let chunk = u128::from(CHUNK);
        for seam in [0, 1, 61, 62, chunk, chunk * chunk, u128::MAX] {
            for value in [seam.wrapping_sub(1), seam, seam.wrapping_add(1)] {
                assert_eq!(decode_u128(&encode_u128(value)), Some(value));
            }
        }
    }
}
