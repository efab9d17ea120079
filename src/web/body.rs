use std::{fmt, ops::Deref};

use futures_util::{Stream, StreamExt};

use crate::store::BoxError;

use super::{
    Problem,
    request::{self, MAX_BODY, RequestError},
};

/// A handler argument: the bytes of a body that says that it is JSON, at most [`MAX_BODY`](request::MAX_BODY) of them, for the functions
/// of [`request`](super::request).
///
/// Another media type, or a `Content-Encoding` other than `identity`, is answered with 415, a longer body with 413.
#[derive(Clone)]
pub struct JsonBody(Vec<u8>);

/// It shows only the length: a body can carry a token.
impl fmt::Debug for JsonBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonBody({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for JsonBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// The body that a handler takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(super) media_type: MediaType,
    /// In bytes.
    pub(super) longest: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum MediaType {
    Json,
    /// `application/x-www-form-urlencoded`.
    #[cfg(feature = "manage")]
    Form,
}

impl Taken {
    pub(super) const JSON: Self = Self { media_type: MediaType::Json, longest: MAX_BODY };
}

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

impl<'a> Declared<'a> {
    /// Reads the headers of a request, by their lower-case names.
    pub(super) fn of(value: impl Fn(&'static str) -> Option<&'a [u8]>) -> Self {
        Self {
            media_type: value("content-type"),
            encoding: value("content-encoding"),
            length: value("content-length"),
        }
    }
}

impl Declared<'_> {
    /// A body that is encoded would be read as what it is not.
    fn check_type(&self, taken: MediaType) -> Result<(), RequestError> {
        match taken {
            MediaType::Json => request::check_media_type(self.media_type)?,
            #[cfg(feature = "manage")]
            MediaType::Form => request::check_form(self.media_type)?,
        }
        let is_plain = |encoding: &[u8]| encoding.trim_ascii().eq_ignore_ascii_case(b"identity");
        if self.encoding.is_none_or(is_plain) { Ok(()) } else { Err(RequestError::Encoded) }
    }

    /// A number of more digits is longer, too.
    fn is_too_long(&self, max: usize) -> bool {
        let length = self.length.and_then(|it| std::str::from_utf8(it).ok());
        length.is_some_and(|it| it.parse().map_or(!it.is_empty(), |length: usize| length > max))
    }
}

/// Reads a body as it arrives, at most so many bytes.
pub(super) async fn read<C: AsRef<[u8]>, E: Into<BoxError>>(
    chunks: &mut (impl Stream<Item = Result<C, E>> + Unpin),
    declared: &Declared<'_>,
    taken: Taken,
) -> Result<Vec<u8>, Problem> {
    collect(chunks, declared, taken).await.map_err(|error| Problem::from(&error))
}

async fn collect<C: AsRef<[u8]>, E: Into<BoxError>>(
    chunks: &mut (impl Stream<Item = Result<C, E>> + Unpin),
    declared: &Declared<'_>,
    Taken { media_type, longest }: Taken,
) -> Result<Vec<u8>, RequestError> {
    if declared.is_too_long(longest) {
        declared.check_type(media_type)?;
        return Err(RequestError::TooLong);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| RequestError::Interrupted(error.into()))?;
        if chunk.as_ref().is_empty() {
            continue;
        }
        declared.check_type(media_type)?;
        bytes.extend_from_slice(chunk.as_ref());
        if bytes.len() > longest {
            return Err(RequestError::TooLong);
        }
    }
    Ok(bytes)
}
