//! Where secrets come from: the operating system's generator.

use std::{fmt::Debug, io};

use rand::TryRng;

/// A source of random bytes that nobody can predict.
///
/// [`SystemEntropy`] is the one in use. With the feature `test-util`, a test can put in another one that fails or
/// repeats itself.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// If there are no random bytes. Then no token is issued.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        rand::rngs::SysRng.try_fill_bytes(bytes).map_err(io::Error::other)
    }
}
