//! keyfob
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api_tokens;
pub mod clock;
mod cursor;
pub mod entropy;
pub mod event;
mod issue;
mod manage;
mod policy;
pub mod store;
pub mod token;
mod usage;
mod verify;
pub mod web;

pub use api_tokens::{ApiTokens, ApiTokensBuilder, BuildError, CheckError};
#[cfg(feature = "test-util")]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock};
#[cfg(feature = "tracing")]
pub use event::TracingObserver;
pub use event::{Event, Observer};
pub use issue::{IssueError, IssuedToken, NewToken};
pub use manage::{ListTokens, ManageError, OwnerTokens, TokenChange, TokenPage};
pub use policy::{ExpiryError, FieldError, InvalidFields};
pub use token::{
    Abilities, Owner, PlainToken, Timestamp, TokenId, TokenName, TokenRecord, TokenState,
};
pub use verify::{VerifiedToken, VerifyError};
