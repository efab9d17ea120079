//! What a verification costs at the least: hand-written, for one prefix, without a library around it.
//!
//! `Bare` is the machine's limit: records inline in the map, a clock that was read before. `Fair` adds what any library
//! has to pay: records behind an `Arc` that is cloned out, and the wall clock read once.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use foldhash::fast::FixedState;
use sha2::{Digest, Sha256};

const TAIL: usize = 72;
const CHUNK: u128 = 62_u128.pow(10);
const MAX_ID: &[u8; 22] = b"7n42DGM5Tflk9n8mt7Fhc7";
const MAX_SECRET: &[u8; 43] = b"yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";

#[derive(Clone, Copy)]
pub struct Record {
    digest: [u64; 4],
    expires_at: i64,
    abilities: u64,
}

#[derive(Default)]
pub struct Bare(HashMap<u128, Record, FixedState>);

#[derive(Default)]
pub struct Fair(HashMap<u128, Arc<Record>, FixedState>);

/// The id and the secret of `acme_<id>_<secret><checksum>`, every byte checked.
pub fn parse(token: &str) -> Option<(u128, &[u8; 43])> {
    let bytes = token.as_bytes();
    let tail: &[u8; TAIL] = bytes.strip_prefix(b"acme_")?.try_into().ok()?;
    let mut padded = [b'0'; 80];
    padded[..TAIL].copy_from_slice(tail);
    padded[22] = b'0';
    let fine = padded.iter().fold(true, |fine, byte| fine & byte.is_ascii_alphanumeric());
    if !fine || tail[22] != b'_' {
        return None;
    }
    let checksum = number(&tail[66..]);
    if checksum != u64::from(crc32fast::hash(&bytes[..bytes.len() - 6])) {
        return None;
    }
    let id: &[u8; 22] = tail[..22].try_into().ok()?;
    let secret: &[u8; 43] = tail[23..66].try_into().ok()?;
    if id > MAX_ID || secret > MAX_SECRET {
        return None;
    }
    let high = u128::from(number(&id[..2])) * CHUNK + u128::from(number(&id[2..12]));
    Some((high * CHUNK + u128::from(number(&id[12..])), secret))
}

fn number(digits: &[u8]) -> u64 {
    let digit = |b: u8| u64::from(b) - 48 - 7 * u64::from(b >= b'A') - 6 * u64::from(b >= b'a');
    digits.iter().fold(0, |sum, &byte| sum * 62 + digit(byte))
}

fn digest(secret: &[u8; 43]) -> [u64; 4] {
    let bytes: [u8; 32] = Sha256::digest(secret).into();
    std::array::from_fn(|i| u64::from_ne_bytes(bytes[i * 8..][..8].try_into().unwrap()))
}

fn is_good(record: &Record, digest: [u64; 4], now: i64, ability: u64) -> bool {
    let difference = (0..4).fold(0, |sum, i| sum | (record.digest[i] ^ digest[i]));
    difference == 0 && record.expires_at > now && record.abilities & ability != 0
}

fn record(secret: &[u8; 43]) -> Record {
    Record { digest: digest(secret), expires_at: i64::MAX, abilities: 0b111 }
}

impl Bare {
    pub fn insert(&mut self, token: &str) {
        let (id, secret) = parse(token).unwrap();
        self.0.insert(id, record(secret));
    }

    pub fn verify(&self, token: &str, now: i64, ability: u64) -> bool {
        let Some((id, secret)) = parse(token) else { return false };
        let digest = digest(secret);
        self.0.get(&id).is_some_and(|record| is_good(record, digest, now, ability))
    }
}

impl Fair {
    pub fn insert(&mut self, token: &str) {
        let (id, secret) = parse(token).unwrap();
        self.0.insert(id, Arc::new(record(secret)));
    }

    pub fn verify(&self, token: &str, ability: u64) -> Option<Arc<Record>> {
        let (id, secret) = parse(token)?;
        let digest = digest(secret);
        let record = self.0.get(&id)?.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        is_good(&record, digest, now, ability).then_some(record)
    }
}
