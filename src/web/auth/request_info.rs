use super::AuthContext;

/// A request as an adapter sees it. It reads and writes, and decides nothing.
pub trait RequestInfo {
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

    /// The value of a parameter of the route, decoded.
    fn parameter(&mut self, name: &str) -> Option<String>;

    /// Keeps the context in the request, for the guards and handler arguments inside.
    fn insert_context(&mut self, context: AuthContext);

    /// Calls `then` with the context that was kept.
    fn with_context<T>(&self, then: impl FnOnce(Option<&AuthContext>) -> T) -> T;
}
