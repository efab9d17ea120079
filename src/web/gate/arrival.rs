use super::Admission;

/// What an adapter tells of a request, and does to it. It reads and writes, and decides nothing.
pub trait Arrival {
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

    /// What stands in the path for a parameter of the route, decoded.
    fn parameter(&mut self, name: &str) -> Option<String>;

    /// Leaves an admission for those who come later.
    fn leave(&mut self, admission: Admission);

    /// What was left.
    fn with_admission<T>(&self, then: impl FnOnce(Option<&Admission>) -> T) -> T;
}
