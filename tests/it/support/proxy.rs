//! A way between a service and its database that can fail as networks do.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// What the proxy does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Is not there to take it.
    Gone,
    /// Closes it at once.
    Refuse,
    /// Lets it be made, and resets it once the client has asked something more.
    Reset,
    /// Takes what comes and passes nothing on.
    Stall,
    /// Keeps what comes, and passes it on once it is turned to something else.
    Hold,
    /// Passes each answer on so much later.
    Delay(Duration),
}

/// A TCP proxy of the test's own. It ends with this.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    silenced: Arc<AtomicUsize>,
    open: Open,
    accepting: AbortHandle,
}

/// The connections that are open: how often all had been silenced when each was made.
type Open = Arc<Mutex<Vec<usize>>>;

/// What a connection goes by.
#[derive(Clone)]
struct Rules {
    mode: watch::Receiver<Mode>,
    silenced: Arc<AtomicUsize>,
    open: Open,
}

/// One that is open until this is dropped.
struct Opened(Open, usize);

impl Opened {
    fn new(rules: &Rules) -> Self {
        let silenced = rules.silenced.load(SeqCst);
        rules.open.lock().unwrap().push(silenced);
        Self(rules.open.clone(), silenced)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut open = self.0.lock().unwrap();
        let place = open.iter().position(|silenced| *silenced == self.1);
        open.swap_remove(place.unwrap());
    }
}

impl Proxy {
    /// Stands before a server: `host:port`.
    pub async fn before(server: String) -> Self {
        // At an address that nobody else takes while this is gone.
        let [a, b, c] = fastrand::u32(..1 << 24).to_be_bytes()[1..].try_into().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::new(127, a, b, c), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, changes) = watch::channel(Mode::Pass);
        let silenced = Arc::<AtomicUsize>::default();
        let open = Open::default();
        let rules = Rules { mode: changes, silenced: silenced.clone(), open: open.clone() };
        let accepting = tokio::spawn(accept(listener, server, rules));
        Self { address, mode, silenced, open, accepting: accepting.abort_handle() }
    }

    /// Drops all connections that there are: later ones are treated so.
    pub fn switch(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Passes nothing on any more on the connections that there are, which nobody is told: as where the machine behind
    /// an address has become another one.
    pub fn silence(&self) {
        self.silenced.fetch_add(1, SeqCst);
    }

    /// How many connections that were silenced the client has not closed yet.
    pub fn silent(&self) -> usize {
        let silenced = self.silenced.load(SeqCst);
        self.open.lock().unwrap().iter().filter(|it| **it < silenced).count()
    }

    /// Treats the connections that there are so, and later ones too.
    pub fn turn(&self, mode: Mode) {
        self.mode.send_if_modified(|now| {
            *now = mode;
            false
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes connections for as long as it is there.
async fn accept(mut listener: TcpListener, server: String, rules: Rules) {
    let address = listener.local_addr().unwrap();
    let mut mode = rules.mode.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(pass(client, server.clone(), rules.clone()));
            },
            () = comes_to(&mut mode, |mode| mode == Mode::Gone) => {
                drop(listener);
                comes_to(&mut mode, |mode| mode != Mode::Gone).await;
                listener = TcpListener::bind(address).await.unwrap();
            }
        }
    }
}

async fn comes_to(mode: &mut watch::Receiver<Mode>, is_so: impl Fn(Mode) -> bool) {
    if mode.wait_for(|mode| is_so(*mode)).await.is_err() {
        // The proxy is being dropped.
        std::future::pending::<()>().await;
    }
}

/// Ends with either side, or when the proxy is switched or dropped.
async fn pass(client: TcpStream, server: String, rules: Rules) {
    let mut mode = rules.mode.clone();
    // One that was taken just before this was gone is a late one too.
    if matches!(*mode.borrow_and_update(), Mode::Gone | Mode::Refuse) {
        return;
    }
    let rules = Rules { mode: mode.clone(), ..rules };
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _open = Opened::new(&rules);
    let (mut from_client, mut to_client) = io::split(client);
    let (mut from_server, mut to_server) = io::split(server);
    let is_reset = tokio::select! {
        _ = mode.changed() => false,
        is_reset = copy(&mut from_client, &mut to_server, &rules, false) => is_reset,
        is_reset = copy(&mut from_server, &mut to_client, &rules, true) => is_reset,
    };
    if is_reset {
        from_client.unsplit(to_client).set_zero_linger().unwrap();
    }
}

/// Copies until one side ends, and tells whether it is to be reset.
async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    rules: &Rules,
    answers: bool,
) -> bool {
    let silenced = rules.silenced.load(SeqCst);
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        // It may have been switched just now, and what was asked since then must not get through.
        if rules.mode.has_changed().unwrap_or(true) {
            break;
        }
        if rules.silenced.load(SeqCst) != silenced {
            continue;
        }
        let now = *rules.mode.borrow();
        match now {
            Mode::Reset => return true,
            Mode::Stall => continue,
            Mode::Hold => {
                while *rules.mode.borrow() == Mode::Hold {
                    sleep(Duration::from_millis(2)).await;
                }
            }
            Mode::Delay(time) if answers => sleep(time).await,
            _ => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    false
}
