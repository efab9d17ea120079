//! Redis servers, and corners of them.

use std::{
    process::{Command, Output},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use keyfob::limit::{RedisLimits, WhileAway};
use redis::{Client, Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::servers::url_of;

/// A prefix of keys on the server that all tests share, which are gone when this is.
pub struct Corner {
    url: String,
    prefix: String,
    limiters: AtomicU64,
}

impl Corner {
    pub fn new() -> Self {
        Self::on(url_of("KEYFOB_TEST_REDIS"))
    }

    fn on(url: String) -> Self {
        let prefix = format!("test-{:016x}", fastrand::u64(..));
        Self { url, prefix, limiters: AtomicU64::new(0) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Limits that wait as long as it takes, and are never replaced by others.
    pub fn limits(&self) -> RedisLimits {
        let limits = RedisLimits::open(&self.url).unwrap().prefix(&*self.prefix);
        limits.timeout(time::Duration::MINUTE).while_away(WhileAway::Refuse)
    }

    /// The same for a user: `name:password`.
    pub fn limits_as(&self, user: &str) -> RedisLimits {
        let url = self.url.replacen("://", &format!("://{user}@"), 1);
        Self { url, prefix: self.prefix.clone(), limiters: AtomicU64::new(0) }.limits()
    }

    /// Limits that share nothing with others.
    pub fn own_limits(&self) -> RedisLimits {
        let number = self.limiters.fetch_add(1, Relaxed);
        self.limits().prefix(format!("{}-{number}", self.prefix))
    }

    pub fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        self.try_run(command).unwrap()
    }

    fn try_run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        command.query(&mut Client::open(&*self.url)?.get_connection()?)
    }

    pub fn keys(&self) -> Vec<String> {
        self.try_keys().unwrap()
    }

    fn try_keys(&self) -> RedisResult<Vec<String>> {
        self.try_run(redis::cmd("KEYS").arg(format!("{}*", self.prefix)))
    }
}

impl Drop for Corner {
    /// The server may be gone.
    fn drop(&mut self) {
        if let Ok(keys) = self.try_keys()
            && !keys.is_empty()
        {
            let _ = self.try_run::<()>(redis::cmd("DEL").arg(keys));
        }
    }
}

/// A server of the test's own, to be killed and started again.
pub struct OwnServer {
    folder: TempDir,
    pub corner: Corner,
}

impl OwnServer {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let corner = Corner::on(url_once_it_answers(&folder));
        Self { folder, corner }
    }

    pub fn kill(&self) {
        servers("kill", &self.folder);
    }

    pub fn start_again(&self) {
        assert_eq!(url_once_it_answers(&self.folder), self.corner.url);
    }

    /// Lets it answer nobody until what this gives is dropped.
    pub fn hang(&self) -> Hung {
        let pid = self.told("process_id");
        send("-STOP", pid);
        Hung(pid)
    }

    /// How many connections there have been, with that of the question.
    pub fn connections(&self) -> u64 {
        self.told("total_connections_received")
    }

    /// How often something was written.
    pub fn writes(&self) -> u64 {
        self.told("rdb_changes_since_last_save")
    }

    fn told(&self, what: &str) -> u64 {
        let info: String = self.corner.run(&redis::cmd("INFO"));
        let number =
            |line: &str| Some(line.strip_prefix(what)?.strip_prefix(':')?.parse().unwrap());
        info.lines().find_map(number).unwrap()
    }
}

/// See [`OwnServer::hang`].
pub struct Hung(u64);

impl Drop for Hung {
    fn drop(&mut self) {
        send("-CONT", self.0);
    }
}

fn send(signal: &str, pid: u64) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn url_once_it_answers(folder: &TempDir) -> String {
    String::from_utf8(servers("start", folder).stdout).unwrap().trim().to_owned()
}

fn servers(what: &str, folder: &TempDir) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers");
    let output = Command::new(script).arg(what).arg("redis").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}
