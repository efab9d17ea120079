//! What all handlers take and give, in the terms of axum.

use std::str::FromStr;

use axum::{
    body::Body,
    extract::{FromRequestParts, Path},
    http::{HeaderMap, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    App,
    answer::{Answer, Failure},
    extract::Id,
    origin::SameOrigin,
};

impl<T: FromStr> FromRequestParts<App> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        Self::read(text.as_deref().ok().map(String::as_str))
    }
}

impl FromRequestParts<App> for SameOrigin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Self::check(|name| values(&parts.headers, name))
    }
}

/// The values of all headers of a name.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
