use std::ops::Deref;

use axum_core::{
    body::Body,
    extract::{FromRequest, Request},
};
use futures_util::StreamExt;
use http::{HeaderValue, header};

use crate::web::{
    Problem,
    request::{self, MAX_BODY, RequestError},
};

use super::Rejection;

/// A server that answers while the client still sends, and then closes, takes the answer back. So this much is read,
/// and passed over, before a body is refused.
const MOST_READ: usize = 16 * 1024 * 1024;

/// A handler argument: the bytes of a body that says that it is JSON, at most [`MAX_BODY`] of them, for the functions
/// of [`request`](crate::web::request).
///
/// Another media type is answered with 415, a longer body with 413.
#[derive(Clone, Debug)]
pub struct JsonBody(Vec<u8>);

impl Deref for JsonBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        read(content_type, body).await.map_err(|error| Problem::from(&error).into()).map(Self)
    }
}

async fn read(content_type: Option<&[u8]>, body: Body) -> Result<Vec<u8>, RequestError> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0);
    while length <= MOST_READ
        && let Some(chunk) = chunks.next().await
    {
        let chunk = chunk.map_err(|error| RequestError::Interrupted(error.into_inner()))?;
        length += chunk.len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > 0 {
        request::check_media_type(content_type)?;
    }
    if length <= MAX_BODY { Ok(bytes) } else { Err(RequestError::TooLong) }
}
