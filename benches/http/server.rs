//! The server is this program once more, as a process of its own: what it spends is read from `/proc`.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use keyfob::{
    ApiTokens,
    token::RateLimit,
    web::{Authenticator, Realm},
};

use crate::{PATH, machine::Machine};

const SERVE: &str = "--serve";

/// The framework that this process is to serve with.
pub fn asked_for() -> Option<String> {
    env::args().skip_while(|argument| argument != SERVE).nth(1)
}

/// Tells the load which tokens there are, and ends this process when nobody listens any more.
pub fn announce(tokens: &[String]) {
    println!("{}\n", tokens.join("\n"));
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
}

/// A port for each variant, of which the load is told.
pub fn listen<T>(variants: Vec<(&'static str, T)>) -> Vec<(TcpListener, T)> {
    let listen = |(name, variant)| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        println!("{name} {}", listener.local_addr().unwrap());
        (listener, variant)
    };
    let listeners = variants.into_iter().map(listen).collect();
    println!();
    listeners
}

/// Two that stand before a service: one as it is, one with a limit that nobody reaches.
pub fn authenticators(tokens: ApiTokens) -> (Authenticator, Authenticator) {
    let authenticator = Authenticator::require(tokens, Realm::new("Acme API").unwrap());
    let limit = RateLimit::new(1_000_000_000, time::Duration::MINUTE).unwrap();
    (authenticator.clone().rate_limit(None), authenticator.rate_limit(limit))
}

pub struct Server {
    child: Child,
    pub requests: Vec<Vec<u8>>,
    pub variants: Vec<(String, SocketAddr)>,
}

impl Server {
    pub fn start(framework: &str, machine: &Machine) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([SERVE, framework]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = machine.on_first_core(|| command.spawn().unwrap());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let more = |line: &String| !line.is_empty();
        let requests = lines.by_ref().take_while(more).map(|token| request(&token)).collect();
        let variant = |line: String| {
            let (name, address) = line.split_once(' ').unwrap();
            (name.to_owned(), address.parse().unwrap())
        };
        let variants = lines.take_while(more).map(variant).collect();
        Self { child, requests, variants }
    }

    /// A request with a token that nobody has issued.
    pub fn stranger(&self) -> Vec<u8> {
        let mut request = self.requests[0].clone();
        let end = request.len() - "\r\n\r\n".len();
        request[end - 60..end].reverse();
        request
    }

    /// What all threads of the server have spent so far. The kernel counts when a thread goes to sleep, so this is
    /// exact between the turns.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = |task: io::Result<fs::DirEntry>| {
            let statistics = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            statistics.split(' ').next().unwrap().parse::<u64>().unwrap()
        };
        Duration::from_nanos(tasks.map(nanoseconds).sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closes its standard input, at which it ends.
        let _ = self.child.wait();
    }
}

fn request(token: &str) -> Vec<u8> {
    format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into()
}
