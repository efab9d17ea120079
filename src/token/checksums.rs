use subtle::ConstantTimeEq;

use super::{KeyedChecksum, Pepper, PepperKey};

/// How the checksums of tokens are made and checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checksums {
    /// Those whose checksums are accepted; unless keyed checksums are off, the first makes new ones.
    keys: Vec<PepperKey>,
    keyed_checksum: KeyedChecksum,
}

impl Checksums {
    pub(crate) fn new(pepper: Option<&Pepper>) -> Self {
        let Some(pepper) = pepper else {
            return Self::default();
        };
        let keys = match pepper.keyed_checksum_policy() {
            KeyedChecksum::Off => pepper.keys_for_checksums_alone().to_vec(),
            KeyedChecksum::Prefer | KeyedChecksum::Require => pepper.all_keys().cloned().collect(),
        };
        let keyed_checksum = if pepper.makes_unpeppered() {
            KeyedChecksum::Off
        } else {
            pepper.keyed_checksum_policy()
        };
        Self { keys, keyed_checksum }
    }

    pub(crate) fn make(&self, covered: &[u8]) -> u32 {
        match self.keys.first() {
            Some(key) if self.keyed_checksum != KeyedChecksum::Off => key.checksum(covered),
            _ => crc32fast::hash(covered),
        }
    }

    /// A checksum of CRC-32 is nothing secret, a keyed one is: it is compared in constant time.
    #[inline]
    pub(crate) fn accept(&self, checksum: u64, covered: &[u8]) -> bool {
        let by_crc = self.keyed_checksum != KeyedChecksum::Require
            && checksum == u64::from(crc32fast::hash(covered));
        by_crc || self.accept_keyed(checksum, covered)
    }

    /// Returns `true` if a token may have had this checksum at any time.
    pub(crate) fn were_made(&self, checksum: u64, covered: &[u8]) -> bool {
        checksum == u64::from(crc32fast::hash(covered)) || self.accept_keyed(checksum, covered)
    }

    /// Each key costs three blocks of the hash: two for what is covered, at most 99 bytes, and one for the outer hash.
    fn accept_keyed(&self, checksum: u64, covered: &[u8]) -> bool {
        self.keys.iter().any(|key| u64::from(key.checksum(covered)).ct_eq(&checksum).into())
    }
}
