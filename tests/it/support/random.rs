use std::{io, sync::Mutex};

use keyfob::testing::Entropy;

/// `SplitMix64`: fast, and the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A generator that can be predicted, for tokens that are the same in every run.
#[derive(Debug)]
pub struct Seeded(Mutex<Random>);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Random(seed)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut random = self.0.lock().unwrap();
        bytes.fill_with(|| random.next().to_le_bytes()[0]);
        Ok(())
    }
}

/// Gives the bytes of one token: ten of the id, and the secret.
#[derive(Debug)]
pub struct Fixed([u8; 42]);

impl Fixed {
    /// Each byte by its place.
    pub fn of(byte: impl Fn(u8) -> u8) -> Self {
        Self(std::array::from_fn(|place| byte(u8::try_from(place).unwrap())))
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
        Ok(())
    }
}
