//! keyfob
#![cfg_attr(docsrs, feature(doc_cfg))]
pub mod clock;
pub mod entropy;
pub mod store;
pub mod token;
pub use clock::*;
pub use token::{Abilities, Owner, Timestamp, TokenId, TokenName, TokenRecord};
