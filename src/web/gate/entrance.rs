use std::{fmt, net::IpAddr, sync::Arc};

use super::{Arrival, Authenticator, Guard, Step};

/// An [`Authenticator`] for the requests of one framework.
pub struct Entrance<Q> {
    authenticator: Authenticator,
    client_address: Option<ClientAddress<Q>>,
}

type ClientAddress<Q> = Arc<dyn Fn(&Q) -> Option<IpAddr> + Send + Sync>;

/// What a request meets.
#[derive(Clone, Debug)]
pub(crate) enum Check<Q> {
    Entrance(Entrance<Q>),
    Guard(Guard),
}

impl<Q> Entrance<Q> {
    /// Lets in whom the authenticator lets in.
    #[must_use]
    pub fn new(authenticator: Authenticator) -> Self {
        Self { authenticator, client_address: None }
    }

    /// How the client's address is found, for tokens that may be used from some networks only and for where a token was
    /// last used. Unless it is set here, nobody has one: only the application knows which proxies stand before it. The
    /// page of the framework's module shows the lines for the address of the connection and for trusted proxies.
    ///
    /// If clones of an authenticator stand in several layers, the outermost one's counts.
    #[must_use]
    pub fn client_address(
        mut self,
        find: impl Fn(&Q) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.client_address = Some(Arc::new(find));
        self
    }

    /// Whether both go by the same authenticator, as clones do.
    #[cfg(feature = "actix")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.authenticator.is(&other.authenticator)
    }

    /// The lower-case name of the header beside `Authorization` that must not be seen in logs.
    pub(crate) fn further_header(&self) -> Option<&str> {
        self.authenticator.rules.sources.header.as_deref()
    }
}

impl<Q: Arrival> Entrance<Q> {
    pub(crate) fn step(&self, request: &Q) -> Step {
        let from = self.client_address.as_ref().and_then(|find| find(request));
        self.authenticator.step(request, from)
    }
}

impl<Q> Check<Q> {
    /// See [`Entrance::further_header`]. What a guard meets was marked further out.
    pub(crate) fn further_header(&self) -> Option<&str> {
        match self {
            Self::Entrance(entrance) => entrance.further_header(),
            Self::Guard(_) => None,
        }
    }
}

#[cfg(feature = "axum")]
impl<Q> Check<Q> {
    /// Returns `true` if this is the layer, which all guards and handler arguments are inside of.
    pub(crate) fn is_entrance(&self) -> bool {
        matches!(self, Self::Entrance(_))
    }
}

impl<Q: Arrival> Check<Q> {
    pub(crate) fn step(&self, request: &mut Q) -> Step {
        match self {
            Self::Entrance(entrance) => entrance.step(request),
            Self::Guard(guard) => guard.step(request),
        }
    }
}

impl<Q> Clone for Entrance<Q> {
    fn clone(&self) -> Self {
        let Self { authenticator, client_address } = self;
        Self { authenticator: authenticator.clone(), client_address: client_address.clone() }
    }
}

impl<Q> fmt::Debug for Entrance<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entrance").field(&self.authenticator).finish()
    }
}

impl<Q> From<Entrance<Q>> for Check<Q> {
    fn from(entrance: Entrance<Q>) -> Self {
        Self::Entrance(entrance)
    }
}

impl<Q> From<Guard> for Check<Q> {
    fn from(guard: Guard) -> Self {
        Self::Guard(guard)
    }
}
