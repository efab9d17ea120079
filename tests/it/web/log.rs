//! What the crate writes to the log while a test runs.

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
};

use tracing_subscriber::fmt::MakeWriter;

thread_local! {
    /// Nothing is kept for a thread that does not listen.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Writes to the log of the thread, which is the test's own: one subscriber for all, because what is interesting is
/// cached for the process.
struct OfThread;

impl Write for OfThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.extend(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for OfThread {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time();
        subscriber.with_max_level(tracing::Level::TRACE).with_writer(|| OfThread).init();
    });
    LOG.set(Some(Vec::new()));
}

/// The lines since the last time.
pub fn lines() -> Vec<String> {
    let log = LOG.replace(Some(Vec::new())).unwrap();
    let log = String::from_utf8(log).unwrap();
    log.lines().map(|line| line.trim().to_owned()).collect()
}
