//! A request and an answer as plain values, whatever framework they go through.

use std::{fmt, net::SocketAddr};

use serde_json::Value;

/// Values of headers may name tokens of the scene: `Bearer {good}`.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
    pub peer: Option<SocketAddr>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// In the order of names, which are in lower case, without `content-length` and `date`.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub fn get(path: impl Into<String>) -> Request {
    Request { method: "GET", path: path.into(), headers: Vec::new(), body: Vec::new(), peer: None }
}

pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Request {
    Request { method: "POST", body: body.into(), ..get(path) }
}

impl Request {
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn authorization(self, value: impl Into<Vec<u8>>) -> Self {
        self.header("authorization", value)
    }

    /// With a token of the scene.
    pub fn with(self, token: &str) -> Self {
        self.authorization(format!("Bearer {{{token}}}"))
    }

    pub fn from(mut self, address: &str) -> Self {
        self.peer = Some(SocketAddr::new(address.parse().unwrap(), 4_711));
        self
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if let Some(peer) = self.peer {
            write!(f, " from {}", peer.ip())?;
        }
        for (name, value) in &self.headers {
            let value = value.escape_ascii().to_string();
            match value.get(120..) {
                None => write!(f, "\n  {name}: {value}")?,
                Some(rest) => write!(f, "\n  {name}: {}… {} more", &value[..120], rest.len())?,
            }
        }
        match self.body.len() {
            0 => Ok(()),
            1..=60 => write!(f, "\n  {}", self.body.escape_ascii()),
            length => write!(f, "\n  {length} bytes"),
        }
    }
}

impl Response {
    pub fn new(status: u16, mut headers: Vec<(String, String)>, body: &[u8]) -> Self {
        headers.retain(|(name, _)| !matches!(name.as_str(), "content-length" | "date"));
        headers.sort();
        Self { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value);
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value.map(String::as_str)
    }

    /// The status and the code of a refusal, or the text of a success.
    pub fn told(&self) -> (u16, String) {
        let json = serde_json::from_str::<Value>(&self.body).unwrap_or_default();
        (self.status, json["code"].as_str().unwrap_or(&self.body).to_owned())
    }

    pub fn required(&self) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap()["required"].clone()
    }

    /// The limit and what remains of it.
    pub fn quota(&self) -> Option<(u32, u32)> {
        let number = |name| self.header(name).map(|it| it.parse().unwrap());
        number("x-ratelimit-limit").zip(number("x-ratelimit-remaining"))
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        match self.body.as_str() {
            "" => Ok(()),
            body => writeln!(f, "\n{body}"),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
