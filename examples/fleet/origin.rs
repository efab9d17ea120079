//! A browser sends the login cookie with every request to this service, also with one that a page of another site has
//! made. Such a request must change nothing.
//!
//! Routes that a token opens need no guard: another site can't send its header.

use keyfob::web::Problem;

use crate::answer::Failure;

/// A handler argument: a request that changes something, and that a page of this service has made, or no page at all.
pub(crate) struct SameOrigin;

/// The values of all headers of a name.
pub(crate) type Headers<'a> = dyn Fn(&'static str) -> Vec<&'a [u8]> + 'a;

impl SameOrigin {
    /// A browser of today says by `Sec-Fetch-Site` whose page it is. Where that is missing, `Origin` must be this
    /// service's own: its host and port are those that the request is sent to, in `Host`, as HTTP/1 has it. A proxy in
    /// front that changes `Host` must therefore pass on the original one.
    pub(crate) fn check(headers: &Headers<'_>) -> Result<Self, Failure> {
        let is_same = match headers("sec-fetch-site")[..] {
            [] => is_own(headers),
            [site] => site == b"same-origin" || site == b"none",
            _ => false,
        };
        if is_same { Ok(Self) } else { Err(Failure(Problem::new(403, "cross_site_request"))) }
    }

    /// The same for a method that may be one that changes nothing.
    pub(crate) fn check_unsafe(method: &str, headers: &Headers<'_>) -> Result<(), Failure> {
        // A WebSocket can be opened by any site, and with `GET`.
        let is_safe = matches!(method, "GET" | "HEAD" | "OPTIONS") && headers("upgrade").is_empty();
        if is_safe { Ok(()) } else { Self::check(headers).map(drop) }
    }
}

fn is_own(headers: &Headers<'_>) -> bool {
    let ([origin], [host]) = (&headers("origin")[..], &headers("host")[..]) else { return false };
    // The scheme is not known here: a proxy may have ended TLS.
    let authority = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    !host.is_empty() && authority.is_some_and(|it| it.eq_ignore_ascii_case(host))
}
