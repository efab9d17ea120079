//! What is written off the path of a request.

pub(crate) mod closing;
mod flush;
pub(crate) mod rekey;
pub(crate) mod usage;

pub use flush::Background;
