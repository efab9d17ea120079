//! What all handlers take and give, in the terms of actix-web.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder,
    dev::Payload,
    http::{
        StatusCode,
        header::{HeaderMap, HeaderValue},
    },
    web::Path,
};

use crate::{
    answer::{Answer, Failure},
    extract::Id,
    origin::SameOrigin,
};

impl<T: FromStr> FromRequest for Id<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(
            Path::<String>::extract(request).into_inner().ok().as_deref().map(String::as_str),
        ))
    }
}

impl FromRequest for SameOrigin {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::check(|name| values(request.headers(), name)))
    }
}

/// The values of all headers of a name.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).map(HeaderValue::as_bytes).collect()
}

impl Responder for Answer {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for header in self.headers {
            response.append_header(header);
        }
        response.body(self.body)
    }
}

impl From<Failure> for actix_web::Error {
    fn from(failure: Failure) -> Self {
        failure.0.into()
    }
}
