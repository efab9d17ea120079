//! What a token is: pure values, without I/O, clock or async.
//!
//! The type names the stage: a [`PlainToken`] is shown once, a [`PresentedToken`] came with a request and proves
//! nothing yet, a [`TokenDigest`] is what is kept of the secret, and a [`TokenRecord`] is what is persisted.

mod ability;
mod address;
pub(crate) mod base62;
mod checksums;
mod declared;
mod digest;
mod digests;
mod format;
mod id;
mod invalid;
mod keyed_hash;
mod metadata;
mod name;
mod owner;
mod pepper;
mod plain;
mod prefix;
mod rate_limit;
mod record;
mod requested;
mod state;
mod template;
mod text;
mod timestamp;
mod weight;

pub use ability::{Abilities, Ability, MissingAbility, is_ability};
pub use address::AllowedAddresses;
pub(crate) use checksums::Checksums;
pub use declared::{AbilityMarker, DeclaredAbility, ReportOnly};
pub use digest::{KeyId, TokenDigest};
pub(crate) use digests::{Digests, Proof};
pub(crate) use format::HeldToken;
pub use format::{MalformedToken, PresentedToken, TokenFormat};
pub use id::TokenId;
pub(crate) use invalid::Fields;
pub use invalid::{InvalidFields, InvalidValue, Rule};
pub use metadata::Metadata;
pub use name::{NamePolicy, TokenName};
pub use owner::{Actor, IdempotencyKey, Owner, Reason};
pub use pepper::{KeyedChecksum, Pepper, PepperKey};
pub use plain::{IssuedToken, PlainToken};
pub use prefix::Prefix;
pub use rate_limit::RateLimit;
pub(crate) use record::RareFields;
pub use record::{PreviousSecret, Revocation, Suspension, TokenRecord};
pub use requested::{Expiry, Requested, RequestedAbilities};
pub(crate) use requested::{RequestedBy, RequestedExpiry, TokenSettings};
pub use state::TokenState;
pub use template::is_ability_template;
pub(crate) use template::{AbilityTemplate, Filled};
pub use timestamp::Timestamp;
pub(crate) use weight::room_for;
