use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::token::TokenId;

/// The subject of a request: the part of its path below the mount, and its query.
#[derive(Debug)]
pub(crate) struct Target {
    /// The path that the routes are mounted at, as it was sent, without a slash at its end.
    mount: String,
    /// The segments below, decoded.
    pub(super) segments: Vec<String>,
    pub(super) query: String,
}

/// A part of a path without percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Target {
    /// Splits a path of which the last `depth` segments lie below the mount. Each framework compares a path with its
    /// routes in another way: `/%63urrent` must be the same as `/current` in both (RFC 3986 §6.2.2.2). `None`: the path is
    /// not UTF-8, so nothing is there.
    pub(crate) fn new(path: &str, depth: usize, query: Option<&str>) -> Option<Self> {
        percent_decode_str(path).decode_utf8().ok()?;
        // A link to `//acme.example` would lead to another host.
        if path.starts_with("//") {
            return None;
        }
        let mut mount = path;
        let mut segments = Vec::new();
        for _ in 0..depth {
            let (before, segment) = mount.rsplit_once('/').unwrap_or_default();
            segments.push(decoded(segment));
            mount = before;
        }
        segments.reverse();
        let mount = mount.trim_end_matches('/').to_owned();
        Some(Self { mount, segments, query: query.unwrap_or_default().to_owned() })
    }

    /// The same below a path that the application names, whose parameters have the values of the request's path.
    pub(super) fn mounted_at(self, path: Option<&str>, parameters: &[(String, String)]) -> Self {
        let Some(path) = path else { return self };
        let mut mount = path.trim_end_matches('/').to_owned();
        for (name, value) in parameters {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
            mount = mount.replace(&format!("{{{name}}}"), &value);
        }
        Self { mount, ..self }
    }

    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    pub(super) fn path_of(&self, id: TokenId) -> String {
        format!("{}/{id}", self.mount)
    }
}
