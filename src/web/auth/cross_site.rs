//! Requests that another site makes a browser send with the session's cookie. The table of what is admitted stands in the
//! documentation of [`web::auth`](super). A browser sets both headers itself, and no page can change them. An empty
//! header counts as missing.

use crate::{
    token::{InvalidValue, Rule},
    web::credentials::one,
};

use super::{Authenticator, RequestInfo};

/// The origins from which a session may change something.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    /// `None`: the origin's host and port are those that the request was sent to.
    own: Option<Origin>,
    trusted: Vec<Origin>,
}

/// A scheme, a host and a port, in lower case and as a browser sends them in `Origin`
/// ([RFC 6454 §6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)): without the port that is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origins {
    pub(super) fn set_own(&mut self, origin: &str) -> Result<(), InvalidValue> {
        self.own = Some(Origin::configured("origin", origin)?);
        Ok(())
    }

    pub(super) fn set_trusted<T: AsRef<str>>(
        &mut self,
        origins: impl IntoIterator<Item = T>,
    ) -> Result<(), InvalidValue> {
        let trusted =
            origins.into_iter().map(|it| Origin::configured("trusted_origins", it.as_ref()));
        self.trusted = trusted.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Returns `true` if a session may make this request, which may change something. A header that is repeated admits
    /// nothing.
    fn admit(&self, request: &impl RequestInfo) -> bool {
        let (Ok(site), Ok(origin)) =
            (one(request.header("sec-fetch-site")), one(request.header("origin")))
        else {
            return false;
        };
        let origin = origin.and_then(|it| Origin::read(std::str::from_utf8(it).ok()?));
        if origin.as_ref().is_some_and(|it| self.trusted.contains(it)) {
            return true;
        }
        match (site, origin) {
            (Some(site), _) => site == b"same-origin" || site == b"none",
            (None, Some(origin)) => self.is_own(&origin, request),
            (None, None) => false,
        }
    }

    fn is_own(&self, origin: &Origin, request: &impl RequestInfo) -> bool {
        match &self.own {
            Some(own) => origin == own,
            None => origin.is_of(request).unwrap_or(false),
        }
    }
}

impl Authenticator {
    /// Returns `true` if a session may make this request, by the application's own check if there is one.
    pub(super) fn admits(
        &self,
        request: &impl RequestInfo,
        check: Option<impl FnOnce() -> bool>,
    ) -> bool {
        !may_change_something(request)
            || check.map_or_else(|| self.rules.origins.admit(request), |check| check())
    }
}

/// Returns `true` for all but the safe methods of RFC 9110 §9.2.1, and for an upgrade: a page of another site can open
/// a WebSocket with the session's cookie.
fn may_change_something(request: &impl RequestInfo) -> bool {
    let is_safe = matches!(request.method(), "GET" | "HEAD" | "OPTIONS");
    !is_safe || request.header("upgrade").next().is_some()
}

impl Origin {
    fn configured(name: &'static str, text: &str) -> Result<Self, InvalidValue> {
        const RULE: Rule = Rule::other(
            "must be a scheme, a host and where needed a port, such as https://acme.example:8443",
        );
        Self::read(text).ok_or(RULE.broken_by(name))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(fits) {
            return None;
        }
        let (host, port) = host_and_port(authority)?;
        let port = port.filter(|port| default_port(scheme) != Some(*port));
        Some(Self { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }

    /// Returns `true` if the request was sent to this host and port. The scheme is compared only for a request that is
    /// known to have come over TLS: before other servers a proxy may have ended it. `None`: the request names no host.
    fn is_of(&self, request: &impl RequestInfo) -> Option<bool> {
        let is_web = matches!(&*self.scheme, "http" | "https");
        if !is_web || (request.is_https() && self.scheme != "https") {
            return Some(false);
        }
        let authority = match request.authority() {
            Some(authority) => authority.to_ascii_lowercase(),
            None => {
                std::str::from_utf8(one(request.header("host")).ok()??).ok()?.to_ascii_lowercase()
            }
        };
        let (host, port) = host_and_port(&authority)?;
        let port = port.filter(|port| default_port(&self.scheme) != Some(*port));
        Some((host, port) == (&*self.host, self.port))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The parts of `acme.example:8443` or `[2001:db8::1]:8443`.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(fits),
    };
    let port = match port {
        None => None,
        // `parse` would take a sign.
        Some(port) if port.bytes().all(|it| it.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    is_good.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, same) in [
            ("https://acme.example", "HTTPS://Acme.Example:443"),
            ("http://localhost:3000", "http://LOCALHOST:3000"),
            ("http://[2001:db8::1]:8080", "http://[2001:DB8::1]:8080"),
            ("http://192.0.2.7", "http://192.0.2.7:80"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert!(Origin::read(text).is_some(), "{text}");
            assert_eq!(Origin::read(text), Origin::read(same), "{text}");
        }
        for (one, other) in [
            ("https://acme.example", "http://acme.example"),
            ("https://acme.example", "https://acme.example:8443"),
            ("https://acme.example:80", "https://acme.example"),
            ("https://acme.example", "https://www.acme.example"),
        ] {
            assert_ne!(Origin::read(one), Origin::read(other), "{one} {other}");
        }
        for bad in [
            "",
            "null",
            "acme.example",
            "https://",
            "://acme.example",
            "https://acme.example/",
            "https://acme.example/path",
            "https://acme.example:",
            "https://acme.example:+1",
            "https://acme.example:65536",
            "https://user@acme.example",
            "https://acme.example, https://evil.example",
            "https://[::1",
            "https://::1",
            "https://acmé.example",
            "https://*.acme.example",
        ] {
            assert_eq!(Origin::read(bad), None, "{bad}");
        }
    }
}
