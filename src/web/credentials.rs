//! From header values to the text that was presented. Works on bytes, allocates nothing, refuses by length first.

/// The longest token that is looked at, in bytes.
pub(super) const MAX_LENGTH: usize = 1_024;

/// A request that says who it is in a way that can't be read: 400 with `error="invalid_request"`
/// ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// There is more than one header of the same name.
    #[error("the credentials are repeated")]
    Repeated,
    /// There are two credentials: in two headers, or as user name and password.
    #[error("there are two credentials")]
    Two,
    /// What stands there is not 1 to 1,024 bytes of token68 after the scheme, or no Basic credentials.
    #[error("the credentials are malformed")]
    Malformed,
}

impl CredentialsError {
    /// A short name of the reason, for logs and metrics; it will not change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Repeated => "repeated_credentials",
            Self::Two => "two_credentials",
            Self::Malformed => "malformed_credentials",
        }
    }
}

/// Reads the bearer token from the values of all `Authorization` headers; `None` where there are no credentials, or
/// those of another scheme.
///
/// The scheme is what comes before the first space or tab, compared without case; then one or more spaces; then a
/// `token68` of [RFC 9110 §11.2](https://www.rfc-editor.org/rfc/rfc9110#section-11.2).
///
/// # Errors
/// [`CredentialsError`] where the request is malformed; it carries nothing of it.
///
/// ```
/// use keyfob::web::credentials::{CredentialsError, bearer};
///
/// assert_eq!(bearer([&b"Bearer acme_123"[..]]), Ok(Some("acme_123")));
/// assert_eq!(bearer([&b"Basic dXNlcjpwYXNz"[..]]), Ok(None));
/// assert_eq!(bearer([&b"Bearer two tokens"[..]]), Err(CredentialsError::Malformed));
/// ```
pub fn bearer<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a str>, CredentialsError> {
    match one(values)?.map(scheme) {
        Some((scheme, credentials)) if scheme.eq_ignore_ascii_case(b"bearer") => {
            token68(credentials).map(Some)
        }
        _ => Ok(None),
    }
}

/// The value of a header, without the white space around it, which
/// [RFC 9110 §5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5) tells a recipient to take away. An empty one is
/// none.
pub(super) fn one<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a [u8]>, CredentialsError> {
    let mut values = values.into_iter();
    let Some(mut value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(CredentialsError::Repeated);
    }
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Ok((!value.is_empty()).then_some(value))
}

/// What comes before the first space or tab, and what comes after the spaces.
pub(super) fn scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    (scheme, &rest[spaces..])
}

pub(super) fn token68(text: &[u8]) -> Result<&str, CredentialsError> {
    if text.len() > MAX_LENGTH {
        return Err(CredentialsError::Malformed);
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    let (chunks, rest) = body.as_chunks();
    let mut last = [b'A'; 16];
    last[..rest.len()].copy_from_slice(rest);
    let wrong = chunks.iter().fold(not_token68(last), |wrong, chunk| wrong | not_token68(*chunk));
    if body.is_empty() || wrong != 0 {
        return Err(CredentialsError::Malformed);
    }
    std::str::from_utf8(text).map_err(|_| CredentialsError::Malformed)
}

/// 0 where all bytes are `ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/"`, else 1. The hyphen, the dot, the slash
/// and the digits follow each other.
///
/// Numbers and no branch, so that the compiler looks at all bytes at once.
fn not_token68(bytes: [u8; 16]) -> u8 {
    bytes.iter().fold(0, |wrong, byte| {
        let outside = |first, count| u8::from(byte.wrapping_sub(first) >= count);
        let no_letter = u8::from((byte | 0x20).wrapping_sub(b'a') >= 26);
        let no_mark = outside(b'_', 1) & outside(b'~', 1) & outside(b'+', 1);
        wrong | (no_letter & outside(b'-', 13) & no_mark)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_at_most_1024_bytes() {
        let value = |length: usize| [b"Bearer ".as_slice(), &vec![b'A'; length]].concat();
        assert!(bearer([&value(1_024)[..]]).is_ok());
        for length in [0, 1_025, 65_536] {
            assert_eq!(bearer([&value(length)[..]]), Err(CredentialsError::Malformed));
        }
    }

    #[test]
    fn any_one_byte_in_the_token_is_told_apart() {
        for byte in 0..=u8::MAX {
            let value = [b"Bearer a".as_slice(), &[byte], b"b"].concat();
            let good = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(bearer([&value[..]]).is_ok(), good, "{byte:#04x}");
        }
    }

    #[test]
    fn padding_stands_only_at_the_end() {
        assert_eq!(bearer([&b"Bearer ab=="[..]]), Ok(Some("ab==")));
        for value in [&b"Bearer =ab"[..], b"Bearer ==", b"Bearer a=b"] {
            assert_eq!(bearer([value]), Err(CredentialsError::Malformed));
        }
    }

    #[test]
    fn two_values_are_refused_whatever_they_are() {
        for other in [&b""[..], b"Basic x", b"Bearer a"] {
            assert_eq!(bearer([other, b"Bearer a"]), Err(CredentialsError::Repeated));
        }
    }
}
