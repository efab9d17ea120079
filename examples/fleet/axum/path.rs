//! axum compares a path with its routes as it was sent. `/api/%761/servers` is the same as `/api/v1/servers` (RFC 3986
//! §6.2.2.2).

use axum::http::Uri;

/// A URI without the percent-encoding that is not needed in its path; `None` if it stays as it is.
pub(super) fn normalized(uri: &Uri) -> Option<Uri> {
    let mut pieces = uri.path().split('%');
    let mut path = pieces.next()?.to_owned();
    for piece in pieces {
        // What is no encoding is left alone, or it could become one.
        let byte = u8::from_str_radix(piece.get(..2)?, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(byte.into());
            path.push_str(&piece[2..]);
        } else {
            path.extend(["%", piece]);
        }
    }
    if path == uri.path() {
        return None;
    }
    if let Some(query) = uri.query() {
        path.extend(["?", query]);
    }
    path.parse().ok()
}
