use std::ops::Deref;

use futures_util::{Stream, StreamExt};

use crate::store::BoxError;

use super::{
    Problem,
    request::{self, MAX_BODY, RequestError},
};

/// A server that answers while the client still sends, and then closes, takes the answer back. So this much is read,
/// and passed over, before a body is refused.
const MOST_READ: usize = 16 * 1024 * 1024;

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

/// A body that is encoded would be read as what it is not.
fn check_type(media_type: Option<&[u8]>, encoding: Option<&[u8]>) -> Result<(), RequestError> {
    request::check_media_type(media_type)?;
    let is_plain = encoding.is_none_or(|it| it.trim_ascii().eq_ignore_ascii_case(b"identity"));
    if is_plain { Ok(()) } else { Err(RequestError::Encoded) }
}

/// Reads a body as it arrives.
pub(super) async fn read<C: AsRef<[u8]>, E: Into<BoxError>>(
    mut chunks: impl Stream<Item = Result<C, E>> + Unpin,
    media_type: Option<&[u8]>,
    encoding: Option<&[u8]>,
) -> Result<JsonBody, Problem> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while length <= MOST_READ
        && let Some(chunk) = chunks.next().await
    {
        let chunk = chunk.map_err(|error| RequestError::Interrupted(error.into()));
        let chunk = chunk.map_err(|error| Problem::from(&error))?;
        length += chunk.as_ref().len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(chunk.as_ref());
        }
    }
    let verdict = match length {
        0 => Ok(()),
        1..=MAX_BODY => check_type(media_type, encoding),
        _ => check_type(media_type, encoding).and(Err(RequestError::TooLong)),
    };
    verdict.map_err(|error| Problem::from(&error)).map(|()| JsonBody(bytes))
}
