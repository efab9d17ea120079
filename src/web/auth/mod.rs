//! Authentication and authorization of a request, for any framework. Adapters translate; all decisions are made here.

mod allowed;
mod authenticator;
mod charge;
mod context;
mod credentials;
mod future;
mod guard;
#[cfg(feature = "test-util")]
mod guard_log;
mod layer;
mod request_info;

pub use allowed::{
    AbilitySet, Allowed, AllowedAll, AllowedAny, Authenticated, HandlerArgument, MaybeAllowed,
};
pub use authenticator::Authenticator;
pub(super) use context::{AuthContext, OnResponse, Step, with_context};
pub use future::ResponseFuture;
pub use guard::Guard;
#[cfg(feature = "test-util")]
pub use guard_log::GuardLog;
pub(super) use layer::{AuthLayer, Stage, auth_layer};
pub(super) use request_info::RequestInfo;
