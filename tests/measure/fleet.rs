//! Processes of the example `fleet` on a database of their own, and a client that keeps its connection.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

/// One process, killed when this is dropped.
pub struct Node {
    address: SocketAddr,
    process: Child,
}

impl Node {
    pub fn start(arguments: &[&str]) -> Self {
        let test = env::current_exe().unwrap();
        let mut process = Command::new(test.ancestors().nth(2).unwrap().join("examples/fleet"))
            .args(["--listen", "127.0.0.1:0", "--per-minute", "1000000"])
            .args(arguments)
            .env("RUST_LOG", "off")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Listening on http://").unwrap();
        Self { address: address.parse().unwrap(), process }
    }

    pub fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream: BufReader::new(stream), cookie: String::new() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub struct Client {
    stream: BufReader<TcpStream>,
    cookie: String,
}

pub struct Token {
    pub plain: String,
    id: String,
}

impl Client {
    pub fn log_in(&mut self) {
        assert_eq!(self.ask("POST", "/login", "", &json!({ "account": "ada" })).0, 204);
    }

    pub fn issue(&mut self, name: &str) -> Token {
        let new = json!({ "name": name, "abilities": ["servers:read"] });
        let (status, body) = self.ask("POST", "/account/tokens", "", &new);
        assert_eq!(status, 201, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        Token { plain: text("token"), id: text("id") }
    }

    pub fn revoke(&mut self, token: &Token) {
        let path = format!("/account/tokens/{}", token.id);
        assert_eq!(self.ask("DELETE", &path, "", &Value::Null).0, 204);
    }

    /// The status of a request with this token.
    pub fn use_of(&mut self, token: &Token) -> u16 {
        let header = format!("authorization: Bearer {}\r\n", token.plain);
        self.ask("GET", "/api/v1/servers", &header, &Value::Null).0
    }

    fn ask(&mut self, method: &str, path: &str, header: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (cookie, length) = (&self.cookie, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: fleet\r\n{header}cookie: {cookie}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else { break };
            match name {
                "content-length" => length = value.parse().unwrap(),
                "set-cookie" => value.split(';').next().unwrap().clone_into(&mut self.cookie),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
