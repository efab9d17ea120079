use sha2::{Digest, Sha256, block_api::compress256};
use zeroize::Zeroizing;

/// The state that SHA-256 begins with
/// ([FIPS 180-4 §5.3.3](https://nvlpubs.nist.gov/nistpubs/FIPS/NIST.FIPS.180-4.pdf)).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

const BLOCK: usize = 64;

/// The longest message: with its padding, of at least nine bytes, two blocks.
pub(super) const LONGEST: usize = 2 * BLOCK - 9;

/// HMAC-SHA-256 ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)) of short messages, with the key already in it.
///
/// On the blocks themselves, because what is kept of a key has to be overwritten on drop, and the hash that can do
/// that does it on every use: that made each verification a fifth dearer, also without a pepper.
#[derive(Clone)]
pub(super) struct KeyedHash {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

impl KeyedHash {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        if key.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let begun_with = |pad: u8| {
            let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
            let mut state = Zeroizing::new(START);
            compress256(&mut state, std::slice::from_ref(&padded));
            state
        };
        Self { inner: begun_with(0x36), outer: begun_with(0x5c) }
    }

    /// The HMAC of the parts, one after the other, together at most [`LONGEST`] bytes.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut blocks = [[0; BLOCK]; 2];
        let mut length = 0;
        for part in parts {
            blocks.as_flattened_mut()[length..][..part.len()].copy_from_slice(part);
            length += part.len();
        }
        let used = pad(&mut blocks, length);
        let mut inner = *self.inner;
        compress256(&mut inner, &blocks[..used]);

        let mut block = [[0; BLOCK]];
        block[0][..32].copy_from_slice(&bytes(inner));
        pad(&mut block, 32);
        let mut outer = *self.outer;
        compress256(&mut outer, &block);
        bytes(outer)
    }
}

/// Ends a message that came after one block with the key; tells how many blocks it takes.
fn pad(blocks: &mut [[u8; BLOCK]], length: usize) -> usize {
    let used = (length + 9).div_ceil(BLOCK);
    let blocks = blocks.as_flattened_mut();
    blocks[length] = 0x80;
    let bits = 8 * (BLOCK + length) as u64;
    blocks[used * BLOCK - 8..][..8].copy_from_slice(&bits.to_be_bytes());
    used
}

fn bytes(state: [u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    /// Every length of key and message, against another's HMAC.
    #[test]
    fn it_is_hmac_sha_256() {
        let bytes: Vec<u8> = (0..=255).collect();
        for key in [0, 1, 31, 32, 63, 64, 65, 200].map(|length| &bytes[..length]) {
            let hash = KeyedHash::new(key);
            for length in 0..=LONGEST {
                let (first, second) = bytes[7..][..length].split_at(length / 3);
                let mut theirs = Hmac::<Sha256>::new_from_slice(key).unwrap();
                theirs.update(first);
                theirs.update(second);
                let theirs: [u8; 32] = theirs.finalize().into_bytes().into();
                assert_eq!(hash.mac(&[first, second]), theirs, "{} {length}", key.len());
            }
        }
    }

    /// RFC 4231 §4.3.
    #[test]
    fn it_gives_what_the_standard_says() {
        let mac = KeyedHash::new(b"Jefe").mac(&[b"what do ya want ", b"for nothing?"]);
        let [first, .., last] = mac.as_chunks::<16>().0 else { panic!("32 bytes are two halves") };
        assert_eq!(u128::from_be_bytes(*first), 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7);
        assert_eq!(u128::from_be_bytes(*last), 0x5a00_3f08_9d27_3983_9dec_58b9_64ec_3843);
    }
}
