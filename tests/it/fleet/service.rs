use std::{
    env, fs,
    fs::File,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// The framework that serves, by its name in the arguments.
#[derive(Clone, Copy)]
pub(super) struct Server(pub(super) &'static str);

/// A running service with a database of its own, which is gone after the test.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    /// The line that a newcomer pastes into a shell.
    pub(super) line_to_paste: String,
    server: Server,
    process: Child,
    standard_output: BufReader<ChildStdout>,
    printed: String,
    directory: Arc<TempDir>,
    /// Where its database is, and what else it is told.
    settings: Vec<String>,
}

impl Service {
    pub(super) fn start(server: Server) -> Self {
        Self::start_several(server, &[], 1).remove(0)
    }

    fn start_in(directory: Arc<TempDir>, settings: Vec<String>, server: Server) -> Self {
        let standard_error = File::options().create(true).append(true).open(log(directory.path()));
        let mut process = Command::new(program())
            .args(["--server", server.0, "--listen", "127.0.0.1:0"])
            .args(&settings)
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(standard_error.unwrap())
            .spawn()
            .unwrap();
        let mut standard_output = BufReader::new(process.stdout.take().unwrap());
        let mut lines = [String::new(), String::new(), String::new()];
        for line in &mut lines {
            standard_output.read_line(line).unwrap();
        }
        let [first, _, line_to_paste] = &lines;
        let address = first.trim_end().strip_prefix("Listening on http://").unwrap_or_else(|| {
            panic!("it did not start: {}", fs::read_to_string(log(directory.path())).unwrap())
        });
        Self {
            address: address.parse().unwrap(),
            line_to_paste: line_to_paste.trim_end().to_owned(),
            printed: lines.concat(),
            server,
            process,
            standard_output,
            directory,
            settings,
        }
    }

    /// So many processes with the same settings, that start at once. Unless these name a database it is a new SQLite
    /// file.
    pub(super) fn start_several(server: Server, settings: &[&str], count: usize) -> Vec<Self> {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
        if !settings.contains(&"--database".to_owned()) {
            let file = format!("sqlite://{}", database(directory.path()).display());
            settings.extend(["--database".to_owned(), file]);
        }
        thread::scope(|scope| {
            let start =
                |_| scope.spawn(|| Self::start_in(directory.clone(), settings.clone(), server));
            let starting: Vec<_> = (0..count).map(start).collect();
            starting.into_iter().map(|it| it.join().unwrap()).collect()
        })
    }

    /// Asks it to stop, as a service manager does, waits until it has, and tells all that it has ever written.
    pub(super) fn stop(mut self) -> String {
        self.terminate();
        let mut printed = std::mem::take(&mut self.printed);
        self.standard_output.read_to_string(&mut printed).unwrap();
        printed + &fs::read_to_string(log(self.directory.path())).unwrap()
    }

    /// Stops it and starts it again on the same database.
    pub(super) fn restart(mut self) -> Self {
        self.terminate();
        Self::start_in(self.directory.clone(), self.settings.clone(), self.server)
    }

    /// Whether it goes by what it has read of a token before.
    #[cfg(all(feature = "postgres", feature = "mysql", feature = "redis"))]
    pub(super) fn has_cache(&self) -> bool {
        self.settings.contains(&"--max-staleness".to_owned())
    }

    /// Asks it to stop, and does not wait.
    pub(super) fn ask_to_stop(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    fn terminate(&mut self) {
        self.ask_to_stop();
        let status = self.process.wait().unwrap();
        assert_eq!(status.code(), Some(0), "it did not stop cleanly");
    }

    /// Everything that it keeps, as it stands in its files.
    pub(super) fn stored_bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.directory.path()).unwrap().map(|file| file.unwrap().path());
        let kept = files.filter(|path| *path != log(self.directory.path()));
        kept.flat_map(|path| fs::read(path).unwrap()).collect()
    }

    /// Does to the database what no client can do.
    pub(super) fn tamper(&self, sql: &'static str) {
        self.beside(|| {}, sql, "");
    }

    /// Does something while somebody else writes to the database and does not come to an end.
    pub(super) fn while_locked(&self, what: impl FnOnce()) {
        self.beside(what, "BEGIN IMMEDIATE", "ROLLBACK");
    }

    /// One text of the database.
    pub(super) fn text(&self, sql: &'static str) -> String {
        let options = SqliteConnectOptions::new().filename(database(self.directory.path()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let text = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            text
        })
    }

    fn beside(&self, what: impl FnOnce(), before: &'static str, after: &'static str) {
        let options = SqliteConnectOptions::new().filename(database(self.directory.path()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connect = async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(before).execute(&mut connection).await.unwrap();
            connection
        };
        let mut connection = runtime.block_on(connect);
        what();
        runtime.block_on(async {
            sqlx::raw_sql(after).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already where the test has stopped it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn database(directory: &Path) -> PathBuf {
    directory.join("fleet.db")
}

/// Cargo builds examples beside the tests, and tells tests nothing of them.
fn program() -> PathBuf {
    let test = env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/fleet");
    assert!(
        program.exists(),
        "{} is not built: cargo build --example fleet --features actix,axum,manage,sqlite,tracing",
        program.display(),
    );
    program
}
