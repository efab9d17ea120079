use axum::extract::{
    FromRequestParts, MatchedPath, RawPathParams, rejection::RawPathParamsRejection,
};
use futures_util::FutureExt;
use http::{
    HeaderValue, header,
    request::Parts,
    uri::{Authority, Scheme},
};

use crate::web::auth::{AuthContext, Kept, Later, RequestInfo};

impl RequestInfo for Parts {
    type Later = Later;

    fn later(verdict: Later) -> Later {
        verdict
    }

    fn authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes)
    }

    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn route(&self) -> Option<String> {
        self.extensions.get::<MatchedPath>().map(|route| route.as_str().to_owned())
    }

    fn authority(&self) -> Option<&str> {
        self.uri.authority().map(Authority::as_str)
    }

    fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    fn parameter(&mut self, name: &str) -> Option<String> {
        match RawPathParams::from_request_parts(self, &()).now_or_never()? {
            Ok(parameters) => {
                let mut parameters = parameters.iter();
                parameters.find(|(it, _)| *it == name).map(|(_, value)| value.to_owned())
            }
            // Something stands there, as with actix.
            Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => Some("\u{fffd}".to_owned()),
            Err(_) => None,
        }
    }

    fn insert_context(&mut self, context: AuthContext) {
        self.extensions.insert(Kept(context));
    }

    fn with_context<T>(&self, then: impl FnOnce(Option<&AuthContext>) -> T) -> T {
        then(self.extensions.get::<Kept>().map(|Kept(context)| context))
    }
}
