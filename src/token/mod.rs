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
mod keyed_hash;
mod metadata;
mod name;
mod owner;
mod pepper;
mod plain;
mod prefix;
mod rate_limit;
mod record;
mod state;
mod text;
mod timestamp;
mod weight;

pub use ability::{Abilities, Ability, AbilityError, MissingAbility, is_ability};
pub use address::{AllowedAddresses, AllowedAddressesError};
pub(crate) use checksums::Checksums;
pub use declared::{AbilityMarker, DeclaredAbility, ReportOnly};
pub use digest::{KeyId, TokenDigest};
pub(crate) use digests::{Digests, Proof};
pub(crate) use format::HeldToken;
pub use format::{MalformedToken, PresentedToken, TokenFormat, TokenFormatError};
pub use id::{TokenId, TokenIdError};
pub use metadata::{Metadata, MetadataError};
pub use name::{NamePolicy, TokenName, TokenNameError};
pub use owner::{Actor, IdempotencyKey, Owner, Reason};
pub use pepper::{KeyedChecksum, Pepper, PepperError, PepperKey};
pub use plain::{IssuedToken, PlainToken};
pub use prefix::{Prefix, PrefixError};
pub use rate_limit::{RateLimit, RateLimitError};
pub use record::{PreviousSecret, RareFields, Revocation, Suspension, TokenRecord};
pub use state::{TokenState, TokenStateError};
pub(crate) use text::ContainsToken;
pub use text::TextError;
pub use timestamp::{Timestamp, TimestampError};
pub(crate) use weight::room_for;
