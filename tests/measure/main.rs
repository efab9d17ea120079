//! How long things take, on real servers: `scripts/measure`. No test fails for being slow.

mod fleet;
mod million;
mod revocation;
mod support;
