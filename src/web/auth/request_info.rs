use super::{AuthContext, context::Later};

/// A request as an adapter sees it. It reads and writes, and decides nothing.
pub trait RequestInfo {
    /// The future of a stage that has to wait: `Send` if the framework asks for that.
    type Later;

    /// Returns the future of a stage, as the framework takes it.
    fn later(verdict: Later) -> Self::Later;

    /// The values of all `Authorization` headers.
    fn authorization(&self) -> impl Iterator<Item = &[u8]>;

    /// The values of all headers of a lower-case name.
    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]>;

    /// The method.
    fn method(&self) -> &str;

    /// The path.
    fn path(&self) -> &str;

    /// The route that the path has matched, as it was declared.
    fn route(&self) -> Option<String>;

    /// The host and port that the request's target names, as with HTTP/2.
    fn authority(&self) -> Option<&str>;

    /// Returns `true` if the request is known to have come over TLS.
    fn is_https(&self) -> bool;

    /// The value of a parameter of the route, decoded.
    fn parameter(&mut self, name: &str) -> Option<String>;

    /// Keeps the context in the request, for the guards and handler arguments inside.
    fn insert_context(&mut self, context: AuthContext);

    /// Calls `then` with the context that was kept.
    fn with_context<T>(&self, then: impl FnOnce(Option<&AuthContext>) -> T) -> T;
}
