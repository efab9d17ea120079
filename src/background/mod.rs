//! Writes that no request waits for: last-used, and digests under a new pepper key.

pub(crate) mod closing;
mod flush;
pub(crate) mod rekey;
pub(crate) mod usage;

pub use flush::Background;
