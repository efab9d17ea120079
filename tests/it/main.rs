//! What the crate promises to those who use it, tested from outside.

mod conformance;
