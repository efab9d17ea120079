//! A client that sends what it is told, byte by byte, also what no library would send.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::Service;

#[derive(Clone)]
pub(super) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// With lower-case names, in the order of names, without `date`.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(super) fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    pub(super) fn patch(path: &str) -> Self {
        Self::new("PATCH", path)
    }

    pub(super) fn delete(path: &str) -> Self {
        Self::new("DELETE", path)
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(&body.to_string())
    }

    pub(super) fn send(&self, service: &Service) -> Response {
        exchange(service.address, &self.bytes())
    }

    /// A server reads on for two seconds, which a busy machine may take for itself: one of twenty is enough, where
    /// without reading on not one is.
    pub(super) fn send_much(&self, service: &Service) -> Response {
        let bytes = self.bytes();
        let mut answers = (0..20).filter_map(|_| try_exchange(service.address, &bytes).ok());
        let answer = answers.find(|it| !it.is_empty());
        let answer = answer.unwrap_or_else(|| panic!("no refusal reached the client"));
        Response::read(&String::from_utf8(answer).unwrap())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if !self.body.is_empty() {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).bytes());
        }
        bytes.extend(b"host: fleet\r\nconnection: close\r\n\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// Sends a whole request, which asks for the connection to be closed, and reads the answer.
pub(super) fn exchange(address: SocketAddr, request: &[u8]) -> Response {
    let answer = try_exchange(address, request).unwrap();
    Response::read(&String::from_utf8(answer).unwrap())
}

/// The same as an ordinary client does it, which sends all before it reads.
fn try_exchange(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    for chunk in request.chunks(16 * 1024) {
        stream.write_all(chunk)?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

impl Response {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
        let mut headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "connection"))
            .collect();
        headers.sort();
        Self { status: status.parse().unwrap(), headers, body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value);
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value.map(String::as_str)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The fields that a 422 names.
    pub(super) fn fields(&self) -> Vec<String> {
        assert_eq!((self.status, self.code().as_str()), (422, "validation_failed"), "{self:?}");
        self.json()["errors"].as_object().unwrap().keys().cloned().collect()
    }
}
