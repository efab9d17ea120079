//! The load: one thread, which waits by asking again, so that the server spends nothing on waking it.

use std::{
    hint::spin_loop,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::BODY;

/// Enough for the server to find work whenever it looks, so that it never sleeps within a turn.
const CONNECTIONS: usize = 32;

pub struct Load(Vec<TcpStream>);

impl Load {
    pub fn connect(address: SocketAddr) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        };
        Self((0..CONNECTIONS).map(connect).collect())
    }

    /// Sends this many requests, drawn from those given, with one in flight on each connection, and checks each answer.
    pub fn run(&mut self, requests: &[Vec<u8>], count: usize) {
        let mut send = |stream: &mut TcpStream| {
            stream.write_all(fastrand::choice(requests).unwrap()).unwrap();
        };
        self.0.iter_mut().take(count).for_each(&mut send);
        for answered in 0..count {
            let stream = &mut self.0[answered % CONNECTIONS];
            expect(stream, "200 OK", Some(BODY));
            if answered + CONNECTIONS < count {
                send(stream);
            }
        }
    }

    /// Checks whether a request is refused, or answered as all others.
    pub fn is_refused(&mut self, request: &[u8], should: bool) {
        let stream = &mut self.0[0];
        stream.write_all(request).unwrap();
        if should {
            expect(stream, "401 Unauthorized", None);
        } else {
            expect(stream, "200 OK", Some(BODY));
        }
    }
}

/// Reads one answer. A small one comes in one piece: the server writes it at once.
fn expect(stream: &mut TcpStream, status: &str, body: Option<&str>) {
    let mut buffer = [0; 2_048];
    let length = loop {
        match stream.read(&mut buffer) {
            Ok(length) => break length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => spin_loop(),
            Err(error) => panic!("{error}"),
        }
    };
    let answer = &buffer[..length];
    let line = answer.strip_prefix(b"HTTP/1.1 ").and_then(|it| it.strip_prefix(status.as_bytes()));
    let text = |body: &str| answer.strip_suffix(body.as_bytes())?.strip_suffix(b"\r\n\r\n");
    let fits = line.is_some_and(|rest| rest.starts_with(b"\r\n"))
        && body.is_none_or(|body| text(body).is_some());
    assert!(fits, "not {status} with the body {body:?}: {}", String::from_utf8_lossy(answer));
}
