use std::ops::Deref;

use futures_util::{Stream, StreamExt};

use crate::store::BoxError;

use super::{
    Problem,
    request::{self, MAX_BODY, RequestError},
};

/// A handler argument: the bytes of a body that says that it is JSON, at most [`MAX_BODY`] of them, for the functions
/// of [`request`](super::request).
///
/// Another media type, or a `Content-Encoding` other than `identity`, is answered with 415, a longer body with 413.
#[derive(Clone, Debug)]
pub struct JsonBody(Vec<u8>);

impl Deref for JsonBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What the headers say of a body.
pub(super) struct Declared<'a> {
    pub(super) media_type: Option<&'a [u8]>,
    pub(super) encoding: Option<&'a [u8]>,
    pub(super) length: Option<&'a [u8]>,
}

impl Declared<'_> {
    /// A body that is encoded would be read as what it is not.
    fn check_type(&self) -> Result<(), RequestError> {
        request::check_media_type(self.media_type)?;
        let is_plain = |encoding: &[u8]| encoding.trim_ascii().eq_ignore_ascii_case(b"identity");
        if self.encoding.is_none_or(is_plain) { Ok(()) } else { Err(RequestError::Encoded) }
    }

    /// A number of more digits is longer, too.
    fn is_too_long(&self) -> bool {
        let length = self.length.and_then(|it| std::str::from_utf8(it).ok());
        length
            .is_some_and(|it| it.parse().map_or(!it.is_empty(), |length: usize| length > MAX_BODY))
    }
}

/// Reads a body as it arrives, and no further than it may go.
pub(super) async fn read<C: AsRef<[u8]>, E: Into<BoxError>>(
    chunks: &mut (impl Stream<Item = Result<C, E>> + Unpin),
    declared: &Declared<'_>,
) -> Result<JsonBody, Problem> {
    let bytes = collect(chunks, declared).await;
    bytes.map(JsonBody).map_err(|error| Problem::from(&error))
}

async fn collect<C: AsRef<[u8]>, E: Into<BoxError>>(
    chunks: &mut (impl Stream<Item = Result<C, E>> + Unpin),
    declared: &Declared<'_>,
) -> Result<Vec<u8>, RequestError> {
    if declared.is_too_long() {
        declared.check_type()?;
        return Err(RequestError::TooLong);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| RequestError::Interrupted(error.into()))?;
        if chunk.as_ref().is_empty() {
            continue;
        }
        declared.check_type()?;
        bytes.extend_from_slice(chunk.as_ref());
        if bytes.len() > MAX_BODY {
            return Err(RequestError::TooLong);
        }
    }
    Ok(bytes)
}
