//! Where secrets come from: the operating system's generator.

use std::fmt::Debug;

use rand::TryRng;

/// A source of random bytes that nobody can predict.
///
/// There is one in use, [`SystemEntropy`]; under `test-util` a test can inject one that fails or repeats itself.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// [`EntropyError`] where it can't: then no token is issued.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let filled = rand::rngs::SysRng.try_fill_bytes(bytes);
        filled.map_err(|error| EntropyError::new(Some(Box::new(error))))
    }
}

/// There are no random bytes to be had, or the same ones came twice.
#[derive(Debug, thiserror::Error)]
#[error("the random generator failed")]
#[non_exhaustive]
pub struct EntropyError {
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl EntropyError {
    /// An error with the cause, where one is known.
    #[must_use]
    pub fn new(source: Option<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source }
    }
}
