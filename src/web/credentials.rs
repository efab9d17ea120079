//! From header values to the text that was presented. Works on bytes, allocates nothing, refuses by length first.

/// The longest token that is looked at, in bytes.
const MAX_LENGTH: usize = 1_024;

/// A request that says who it is in a way that can't be read: 400 with `error="invalid_request"`
/// ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// There is more than one `Authorization` header.
    #[error("the authorization header is repeated")]
    Repeated,
    /// After `Bearer` and spaces comes something else than 1 to 1,024 bytes of token68.
    #[error("the bearer credentials are malformed")]
    Malformed,
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
    let mut values = values.into_iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(CredentialsError::Repeated);
    }
    let value = trim(value);
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(None);
    }
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    token68(&rest[spaces..]).map(Some).ok_or(CredentialsError::Malformed)
}

/// Takes optional white space away, as [RFC 9110 §5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5) tells a
/// recipient to.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn token68(text: &[u8]) -> Option<&str> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    let fits = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    if body.is_empty() || !body.iter().all(fits) {
        return None;
    }
    std::str::from_utf8(text).ok()
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
