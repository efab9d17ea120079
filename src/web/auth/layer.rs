use std::{fmt, net::IpAddr, sync::Arc};

use super::{Authenticator, Guard, RequestInfo, Step};

/// An [`Authenticator`] for the requests of one framework, whose type of request is `Q`.
pub(crate) struct AuthLayer<Q> {
    authenticator: Authenticator,
    client_address: Option<ClientAddress<Q>>,
}

type ClientAddress<Q> = Arc<dyn Fn(&Q) -> Option<IpAddr> + Send + Sync>;

/// The two things that a request passes on its way in.
#[derive(Clone, Debug)]
pub(crate) enum Stage<Q> {
    Layer(AuthLayer<Q>),
    Guard(Guard),
}

impl<Q> AuthLayer<Q> {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        Self { authenticator, client_address: None }
    }

    pub(crate) fn client_address(
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

impl<Q: RequestInfo> AuthLayer<Q> {
    pub(crate) fn step(&self, request: &Q) -> Step {
        let from = self.client_address.as_ref().and_then(|find| find(request));
        self.authenticator.step(request, from)
    }
}

impl<Q> Stage<Q> {
    /// See [`AuthLayer::further_header`]. What a guard meets was marked further out.
    pub(crate) fn further_header(&self) -> Option<&str> {
        match self {
            Self::Layer(layer) => layer.further_header(),
            Self::Guard(_) => None,
        }
    }
}

#[cfg(feature = "axum")]
impl<Q> Stage<Q> {
    /// Returns `true` if this is the layer, which all guards and handler arguments are inside of.
    pub(crate) fn is_layer(&self) -> bool {
        matches!(self, Self::Layer(_))
    }
}

impl<Q: RequestInfo> Stage<Q> {
    pub(crate) fn step(&self, request: &mut Q) -> Step {
        match self {
            Self::Layer(layer) => layer.step(request),
            Self::Guard(guard) => guard.step(request),
        }
    }
}

impl<Q> Clone for AuthLayer<Q> {
    fn clone(&self) -> Self {
        let Self { authenticator, client_address } = self;
        Self { authenticator: authenticator.clone(), client_address: client_address.clone() }
    }
}

impl<Q> fmt::Debug for AuthLayer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthLayer").field(&self.authenticator).finish()
    }
}

impl<Q> From<Guard> for Stage<Q> {
    fn from(guard: Guard) -> Self {
        Self::Guard(guard)
    }
}

/// Makes the public type of a framework's layer: a type of its own around [`AuthLayer`].
macro_rules! auth_layer {
    ($(#[$docs:meta])* $layer:ident, $request:ty) => {
        $(#[$docs])*
        #[derive(Clone, Debug)]
        pub struct $layer(AuthLayer<$request>);

        impl $layer {
            /// Makes it of an authenticator.
            #[must_use]
            pub fn new(authenticator: Authenticator) -> Self {
                Self(AuthLayer::new(authenticator))
            }

            /// Sets how the client's address is found. It is compared with the addresses that a token is allowed from,
            /// and kept as the address of its last use. Default: no client has an address, because only the application
            /// knows which proxies stand before it. [The module](self#the-clients-address) shows both cases.
            ///
            /// If clones of an authenticator stand in several places, the setting of the outermost one counts.
            #[must_use]
            pub fn client_address(
                self,
                find: impl Fn(&$request) -> Option<IpAddr> + Send + Sync + 'static,
            ) -> Self {
                Self(self.0.client_address(find))
            }
        }

        impl From<$layer> for Stage<$request> {
            fn from(layer: $layer) -> Self {
                Self::Layer(layer.0)
            }
        }
    };
}

pub(crate) use auth_layer;
