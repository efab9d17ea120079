use std::net::IpAddr;

use super::{AuthContext, RequestInfo, context::Later};

/// A request as plain values, for [`Authenticator::authenticate`](super::Authenticator::authenticate).
///
/// ```
/// use keyfob::web::auth::AuthRequest;
///
/// let request = AuthRequest::new("GET", "/projects/7")
///     .headers([("authorization", "Bearer acme_…".as_bytes())])
///     .address("192.0.2.7".parse().ok())
///     .parameter("project", "7");
/// # let _ = request;
/// ```
#[derive(Clone)]
pub struct AuthRequest<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a [u8])>,
    pub(super) address: Option<IpAddr>,
    parameters: Vec<(&'a str, &'a str)>,
    route: Option<&'a str>,
    authority: Option<&'a str>,
    is_https: bool,
    csrf_check: Option<bool>,
}

impl<'a> AuthRequest<'a> {
    /// Returns a request without headers.
    #[must_use]
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            address: None,
            parameters: Vec::new(),
            route: None,
            authority: None,
            is_https: false,
            csrf_check: None,
        }
    }

    /// Adds headers. A name is compared without case, and can occur several times.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Sets the client's address. Default: none.
    #[must_use]
    pub fn address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Adds a parameter of the route, decoded, for abilities that are built from the path.
    #[must_use]
    pub fn parameter(mut self, name: &'a str, value: &'a str) -> Self {
        self.parameters.push((name, value));
        self
    }

    /// Sets the route that the path has matched, such as `/projects/{project}`, for the log. Default: none.
    #[must_use]
    pub fn route(self, route: &'a str) -> Self {
        Self { route: Some(route), ..self }
    }

    /// Sets the result of the application's own check, in place of the [comparison of
    /// origins](super#requests-from-other-sites). If it is `false`, a session request that can change something is answered
    /// with 403.
    #[must_use]
    pub fn csrf_checked(self, is_good: bool) -> Self {
        Self { csrf_check: Some(is_good), ..self }
    }

    pub(super) fn csrf_check(&self) -> Option<impl FnOnce() -> bool> {
        self.csrf_check.map(|is_good| move || is_good)
    }

    /// The value of a parameter of the route.
    pub(super) fn value_of(&self, name: &str) -> Option<String> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
    }

    /// Sets the host and port that the request was sent to: `:authority` of HTTP/2. Default: the header `Host`.
    #[must_use]
    pub fn authority(self, authority: &'a str) -> Self {
        Self { authority: Some(authority), ..self }
    }

    /// Sets whether the request is known to have come over TLS. Default: `false`, not known. If it is, and no
    /// [origin](super::Authenticator::origin) is set, the application's own `Origin` must have the scheme `https`.
    #[must_use]
    pub fn https(self, is_https: bool) -> Self {
        Self { is_https, ..self }
    }
}

/// It shows the route only: a client can put a token anywhere else.
impl std::fmt::Debug for AuthRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthRequest").field("route", &self.route).finish_non_exhaustive()
    }
}

impl RequestInfo for AuthRequest<'_> {
    type Later = Later;

    fn later(verdict: Later) -> Later {
        verdict
    }

    fn authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.header("authorization")
    }

    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.headers.iter().filter(move |(it, _)| it.eq_ignore_ascii_case(name));
        named.map(|(_, value)| *value)
    }

    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    /// There always is one: so a parameter that is missing is a mistake, and not a request to nowhere.
    fn route(&self) -> Option<String> {
        Some(self.route.unwrap_or("…").to_owned())
    }

    fn authority(&self) -> Option<&str> {
        self.authority
    }

    fn is_https(&self) -> bool {
        self.is_https
    }

    fn parameter(&mut self, name: &str) -> Option<String> {
        self.value_of(name)
    }

    fn insert_context(&mut self, _: AuthContext) {}

    fn with_context<T>(&self, then: impl FnOnce(Option<&AuthContext>) -> T) -> T {
        then(None)
    }
}
