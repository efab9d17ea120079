//! A page of another site can make a browser log in or out here. keyfob guards the routes of the tokens itself.

use keyfob::web::Problem;

use crate::answer::Failure;

/// A handler argument: a request that changes something, and that a page of this service has made, or no page at all.
pub(crate) struct SameOrigin;

impl SameOrigin {
    /// A browser of today says by `Sec-Fetch-Site` whose page it is. Where that is missing, `Origin` must be this
    /// service's own: its host and port are those that the request is sent to, in `Host`, as HTTP/1 has it. A proxy in
    /// front that changes `Host` must therefore pass on the original one.
    pub(crate) fn check<'h>(
        headers: impl Fn(&'static str) -> Vec<&'h [u8]>,
    ) -> Result<Self, Failure> {
        let is_same = match headers("sec-fetch-site")[..] {
            [] => is_own(&headers("origin"), &headers("host")),
            [site] => site == b"same-origin" || site == b"none",
            _ => false,
        };
        if is_same { Ok(Self) } else { Err(Failure(Problem::new(403, "cross_site_request"))) }
    }
}

fn is_own(origins: &[&[u8]], hosts: &[&[u8]]) -> bool {
    let ([origin], [host]) = (origins, hosts) else { return false };
    // The scheme is not known here: a proxy may have ended TLS.
    let authority = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    !host.is_empty() && authority.is_some_and(|it| it.eq_ignore_ascii_case(host))
}
