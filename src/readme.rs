//! The examples of the README and of other pages, run as tests.

#[doc = include_str!("../README.md")]
struct Readme;

#[doc = include_str!("../docs/secret-scanning.md")]
struct SecretScanning;
