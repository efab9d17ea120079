//! A Redis server that says what a test tells it to.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// Answers `+OK` to all that a client says while it connects, and leaves what follows to a test.
pub struct FakeRedis {
    url: String,
    /// How many bytes clients took of what the test sent.
    pub taken: Arc<AtomicUsize>,
}

impl FakeRedis {
    /// Sends these bytes, and then the others for as long as the client takes them, once a client has sent a command.
    pub fn endless(command: &'static str, start: &'static [u8], more: &'static [u8]) -> Self {
        let taken = Arc::<AtomicUsize>::default();
        let counter = taken.clone();
        let more = more.repeat(4096);
        let url = serve(command, move |client, _| {
            let mut next = start;
            while let Ok(count @ 1..) = client.write(next) {
                counter.fetch_add(count, SeqCst);
                next = &more;
            }
        });
        Self { url, taken }
    }

    /// Answers no command of this name before it has got so many of them.
    pub fn that_waits(command: &'static str, count: usize) -> Self {
        let got = AtomicUsize::new(0);
        let url = serve(command, move |client, mut came| {
            let (mut unanswered, mut bytes) = (0, vec![0; 64 * 1024]);
            loop {
                unanswered += came;
                if got.fetch_add(came, SeqCst) + came >= count {
                    let answers = b":1\r\n".repeat(std::mem::take(&mut unanswered));
                    if client.write_all(&answers).is_err() {
                        return;
                    }
                }
                let Ok(read @ 1..) = client.read(&mut bytes) else { return };
                came = occurrences(&bytes[..read], command);
            }
        });
        Self { url, taken: Arc::default() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Serves each client on a thread of its own, which ends with the client's connection. Once a client has sent a command
/// of this name, `act` goes on; it is told how many of them came.
fn serve(
    command: &'static str,
    act: impl Fn(&mut TcpStream, usize) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let act = Arc::new(act);
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let act = act.clone();
            thread::spawn(move || {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = client.read(&mut bytes) {
                    let came = occurrences(&bytes[..read], command);
                    if came > 0 {
                        return act(&mut client, came);
                    }
                    // A command is a list, and nothing else in it begins with a star.
                    let commands = occurrences(&bytes[..read], "*");
                    if client.write_all(&b"+OK\r\n".repeat(commands)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn occurrences(bytes: &[u8], command: &str) -> usize {
    bytes.windows(command.len()).filter(|it| *it == command.as_bytes()).count()
}
