use actix_web::{
    HttpMessage, HttpRequest,
    http::{
        header::{self, HeaderValue},
        uri::{Authority, Scheme},
    },
};
use futures_util::future::LocalBoxFuture;

use crate::web::auth::{AuthContext, Kept, Later, RequestInfo, Verdict};

impl RequestInfo for HttpRequest {
    type Later = LocalBoxFuture<'static, Verdict>;

    fn later(verdict: Later) -> Self::Later {
        verdict
    }

    fn authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes)
    }

    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(name).map(HeaderValue::as_bytes)
    }

    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn path(&self) -> &str {
        self.path()
    }

    fn route(&self) -> Option<String> {
        self.match_pattern()
    }

    fn authority(&self) -> Option<&str> {
        self.uri().authority().map(Authority::as_str)
    }

    fn is_https(&self) -> bool {
        self.uri().scheme() == Some(&Scheme::HTTPS) || self.app_config().secure()
    }

    fn parameter(&mut self, name: &str) -> Option<String> {
        self.match_info().get(name).map(str::to_owned)
    }

    fn insert_context(&mut self, context: AuthContext) {
        self.extensions_mut().insert(Kept(context));
    }

    fn with_context<T>(&self, then: impl FnOnce(Option<&AuthContext>) -> T) -> T {
        then(self.extensions().get::<Kept>().map(|Kept(context)| context))
    }
}
