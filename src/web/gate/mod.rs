//! What stands before a service, whatever framework that is built with. Adapters translate; what is decided, is decided
//! here.

mod admission;
mod allowed;
mod arrival;
mod authenticator;
mod charging;
mod entrance;
mod future;
mod guard;
#[cfg(feature = "test-util")]
mod guard_log;
mod sources;

pub(super) use admission::{Admission, Passage, Step, with_admission};
pub use allowed::{
    AbilitySet, Allowed, AllowedAll, AllowedAny, Authenticated, HandlerArgument, MaybeAllowed,
};
pub(super) use arrival::Arrival;
pub use authenticator::{Authenticator, HeaderNameError};
pub(super) use entrance::Check;
pub use entrance::Entrance;
pub use future::ResponseFuture;
pub use guard::{Guard, GuardError};
#[cfg(feature = "test-util")]
pub use guard_log::GuardLog;
