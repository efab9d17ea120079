//! Tokens for gRPC services, with tonic: two functions turn the metadata of a call into its caller, and a refusal into a
//! [`Status`].
//!
//! ```
//! use grpc::authenticate;
//! use keyfob::web::{Allowed, Authenticator, auth::AuthRequest};
//! use tonic::{Request, Response, Status};
//!
//! keyfob::abilities! {
//!     pub enum PanelAbility {
//!         ServersRead = "servers:read", "List and show servers";
//!     }
//! }
//!
//! struct Servers {
//!     authenticator: Authenticator,
//! }
//!
//! // A method of the trait that tonic makes of `service Servers { rpc List(..) returns (..); }`.
//! impl Servers {
//!     async fn list(&self, request: Request<()>) -> Result<Response<String>, Status> {
//!         let caller: Allowed<ServersRead> =
//!             authenticate(&self.authenticator, request.metadata(), "/panel.Servers/List").await?;
//!         Ok(Response::new(format!("the servers of {}", caller.owner())))
//!     }
//! }
//! ```

use keyfob::web::{Authenticator, HandlerArgument, Problem, auth::AuthRequest};
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

/// Authenticates a call by its metadata, and returns what the method asks for: `Allowed<A>`, `Authenticated`, …
///
/// # Errors
/// The [`Status`] to answer with, as [`status_of`] makes it.
pub async fn authenticate<T: HandlerArgument>(
    authenticator: &Authenticator,
    metadata: &MetadataMap,
    method: &str,
) -> Result<T, Status> {
    let headers = metadata.as_ref().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let request = AuthRequest::new("POST", method).route(method).headers(headers);
    let auth = authenticator.authenticate(&request).await.map_err(|it| status_of(&it))?;
    auth.argument(&request).map_err(|it| status_of(&it))
}

/// Turns a refusal into a status. Its message is the code of the problem, and its metadata the headers, such as
/// `retry-after` and the rate limit.
pub fn status_of(problem: &Problem) -> Status {
    let code = match problem.status() {
        // What is wrong with the credentials is not an argument of the method.
        400 | 401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        412 => Code::FailedPrecondition,
        413 | 415 | 422 => Code::InvalidArgument,
        429 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        _ => Code::Internal,
    };
    let mut metadata = MetadataMap::new();
    for (name, value) in problem.headers().filter(|(name, _)| *name != "content-type") {
        if let Ok(value) = MetadataValue::try_from(value) {
            metadata.insert(name, value);
        }
    }
    Status::with_metadata(code, problem.code(), metadata)
}
