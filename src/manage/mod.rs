//! Management of tokens, by owners, operators and bearers.

mod change;
mod issue;
mod leaked;
mod list;
mod list_tokens;
mod operator;
mod owner_tokens;
mod read;
mod revoke;
mod rotate;
mod self_service;
mod suspend;
mod transaction;
mod within;

pub use change::TokenChange;
pub use list_tokens::{ListTokens, TokenPage};
pub use operator::{OperatorTokens, TokenPages};
pub use owner_tokens::{ManageError, OwnerTokens};
pub use rotate::{RotateError, TokenRotation};
pub use transaction::Pending;
