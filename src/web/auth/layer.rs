use std::{fmt, net::IpAddr, sync::Arc};

use crate::web::Problem;

use super::{
    Authenticator, Guard, HandlerArgument, RequestInfo,
    allowed::PathAbilities,
    context::{AuthContext, Step, Verdict},
    session::SessionQuestion,
};

/// An [`Authenticator`] for the requests of one framework, whose type of request is `Q`.
pub(crate) struct AuthLayer<Q: RequestInfo> {
    pub(super) authenticator: Authenticator,
    client_address: Option<ClientAddress<Q>>,
    ask: Option<AskForSession<Q>>,
    csrf_check: Option<CsrfCheck<Q>>,
}

type ClientAddress<Q> = Arc<dyn Fn(&Q) -> Option<IpAddr> + Send + Sync>;
type CsrfCheck<Q> = Arc<dyn Fn(&Q) -> bool + Send + Sync>;
/// Puts a question to the application.
type AskForSession<Q> = Arc<dyn Fn(&Q, SessionQuestion) -> <Q as RequestInfo>::Later + Send + Sync>;

/// The two things that a request passes on its way in.
#[derive(Clone, Debug)]
pub(crate) enum Stage<Q: RequestInfo> {
    Layer(AuthLayer<Q>),
    Guard(Guard),
}

impl<Q: RequestInfo> AuthLayer<Q> {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        Self { authenticator, client_address: None, ask: None, csrf_check: None }
    }

    pub(crate) fn client_address(
        self,
        find: impl Fn(&Q) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { client_address: Some(Arc::new(find)), ..self }
    }

    pub(crate) fn or_session(
        self,
        ask: impl Fn(&Q, SessionQuestion) -> Q::Later + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Some(Arc::new(ask)), ..self }
    }

    pub(crate) fn csrf_check(self, check: impl Fn(&Q) -> bool + Send + Sync + 'static) -> Self {
        Self { csrf_check: Some(Arc::new(check)), ..self }
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
    pub(crate) fn step(&self, request: &Q) -> Step<Q::Later> {
        let Some(ask) = &self.ask else {
            return self.authenticator.step(request, self.address_of(request)).within::<Q>();
        };
        match self.step_or_session(request) {
            Ok(step) => step.within::<Q>(),
            Err(question) => Step::Later(ask(request, *question)),
        }
    }

    /// Judges a request by its token. If it has none, the application has to be asked for a session.
    pub(crate) fn step_or_session(&self, request: &Q) -> Result<Step, Box<SessionQuestion>> {
        let step = self.authenticator.step_or_session(request, self.address_of(request));
        step.map_err(|question| Box::new(question.admitted(self.admits(request))))
    }

    /// Returns `true` if a session may make this request.
    pub(super) fn admits(&self, request: &Q) -> bool {
        let check = self.csrf_check.as_ref().map(|check| || check(request));
        self.authenticator.admits(request, check)
    }

    /// The client's address, if the application tells it.
    pub(crate) fn address_of(&self, request: &Q) -> Option<IpAddr> {
        self.client_address.as_ref().and_then(|find| find(request))
    }
}

impl<Q: RequestInfo> AuthLayer<Q> {
    /// Makes a handler argument of a verdict, and keeps the verdict in the request for the next one.
    pub(crate) fn argument<T: HandlerArgument>(
        &self,
        verdict: Verdict,
        request: &mut Q,
    ) -> Result<T, Problem> {
        match verdict {
            Ok(auth) => {
                let path = PathAbilities::of::<T>(|name| request.parameter(name));
                let argument = T::from_auth(&auth, request, path);
                auth.insert_if_absent(request);
                argument
            }
            Err(problem) => {
                let auth = AuthContext::new(self.authenticator.clone(), request, None);
                let refusal = Some(Arc::new(problem.clone()));
                AuthContext { refusal, ..auth }.insert_if_absent(request);
                Err(problem)
            }
        }
    }
}

impl<Q: RequestInfo> Stage<Q> {
    /// See [`AuthLayer::further_header`]. What a guard meets was marked further out.
    pub(crate) fn further_header(&self) -> Option<&str> {
        match self {
            Self::Layer(layer) => layer.further_header(),
            Self::Guard(_) => None,
        }
    }
}

#[cfg(feature = "axum")]
impl<Q: RequestInfo> Stage<Q> {
    /// Returns `true` if this is the layer, which all guards and handler arguments are inside of.
    pub(crate) fn is_layer(&self) -> bool {
        matches!(self, Self::Layer(_))
    }
}

impl<Q: RequestInfo> Stage<Q> {
    pub(crate) fn step(&self, request: &mut Q) -> Step<Q::Later> {
        match self {
            Self::Layer(layer) => layer.step(request),
            Self::Guard(guard) => guard.step(request).within::<Q>(),
        }
    }
}

impl<Q: RequestInfo> Clone for AuthLayer<Q> {
    fn clone(&self) -> Self {
        Self {
            authenticator: self.authenticator.clone(),
            client_address: self.client_address.clone(),
            ask: self.ask.clone(),
            csrf_check: self.csrf_check.clone(),
        }
    }
}

impl<Q: RequestInfo> fmt::Debug for AuthLayer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthLayer").field(&self.authenticator).finish()
    }
}

impl<Q: RequestInfo> From<Guard> for Stage<Q> {
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

            /// Replaces the comparison of origins for requests that a session makes and that may change something:
            /// methods other than `GET`, `HEAD` and `OPTIONS`, and upgrades. If `check` returns `false` and there is a
            /// session, the request is answered with 403. Default: [the comparison of
            /// origins](crate::web::auth#requests-from-other-sites).
            ///
            /// If clones of an authenticator stand in several places, the check of the outermost one that takes
            /// sessions counts.
            #[must_use]
            pub fn csrf_check(
                self,
                check: impl Fn(&$request) -> bool + Send + Sync + 'static,
            ) -> Self {
                Self(self.0.csrf_check(check))
            }
        }

        impl From<Authenticator> for $layer {
            fn from(authenticator: Authenticator) -> Self {
                Self::new(authenticator)
            }
        }

        /// A layer with the defaults of [`Authenticator::require`], in the realm "API".
        impl From<crate::api_tokens::ApiTokens> for $layer {
            fn from(tokens: crate::api_tokens::ApiTokens) -> Self {
                Authenticator::from(tokens).into()
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
