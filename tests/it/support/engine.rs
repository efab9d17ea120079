//! Database servers: a place of a test's own on the one that all tests share, and servers of its own to stop and kill.

use std::{marker::PhantomData, process::Command, thread, time::Duration};

use keyfob::store::TokenStore;
use sqlx::{AssertSqlSafe, Connection, Database, Pool, pool::PoolOptions};
use tempfile::TempDir;

use super::servers::{clean_up, url_of};

/// Runs scenarios, each an `async fn<E: Engine>()` of the module above, against every database server.
macro_rules! on_every_engine {
    (@each $engine:ident $($scenario:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario::<$crate::support::engine::$engine>().await;
            }
        )+
    };
    ($($scenario:ident)+) => {
        #[cfg(feature = "postgres")]
        mod postgres {
            $crate::support::engine::on_every_engine! { @each Postgres $($scenario)+ }
        }
        #[cfg(feature = "mysql")]
        mod mysql {
            $crate::support::engine::on_every_engine! { @each MySql $($scenario)+ }
        }
    };
}
pub(crate) use on_every_engine;

pub type Options<E> = <Session<E> as Connection>::Options;
type Session<E> = <<E as Engine>::Database as Database>::Connection;

/// What tests have to know of a database server. In statements, `{name}` is that of a [`Place`].
pub trait Engine: 'static {
    type Database: Database;
    type Store: TokenStore;

    /// As `scripts/servers` calls it.
    const KIND: &'static str;
    /// What names the server that all tests share.
    const VARIABLE: &'static str;
    /// Where the server is asked for little room, and how many can then connect who do not administer it.
    const LITTLE_ROOM: (&'static [&'static str], usize);
    /// How a server is run that is to keep what it acknowledged.
    const DURABLE: &'static [&'static str];

    const MAKE: &'static str;
    const DROP: &'static str;
    const COUNT_SESSIONS: &'static str;
    const END_SESSIONS: &'static str;
    /// From the next session on.
    const READ_ONLY: &'static str;
    const WRITABLE: &'static str;

    /// What a session says that waits for locks only for so long, works only for so long, or only reads.
    const IMPATIENT: &'static str;
    const HURRIED: &'static str;
    const ONLY_READS: &'static str;
    /// Of sessions that wait for a lock.
    const COUNT_WAITING: &'static str;
    const END_WAITING: &'static str;
    /// What a session says that lets nobody write tokens, and everybody read them, and what ends that.
    const LOCK_WRITES: &'static str;
    const UNLOCK_WRITES: &'static str;
    /// Of sessions that wait for that.
    const COUNT_WAITING_WRITES: &'static str;

    /// `host:port`.
    fn address(url: &str) -> String;

    /// The options of a user that has the name of a place, by way of an address.
    fn options(url: &str, host: &str, port: u16, name: &str) -> Options<Self>;

    async fn store(pool: Pool<Self::Database>, name: &str) -> Self::Store;

    fn on<'c>(store: &Self::Store, connection: &'c mut Session<Self>) -> Box<dyn TokenStore + 'c>;

    /// What begins a transaction of a level.
    fn begin(level: &str) -> Vec<String>;

    fn execute(connection: &mut Session<Self>, sql: &str) -> impl Future<Output = ()> + Send;

    /// Runs statements as who administers the server; tells the number that they end in, if any.
    async fn run(url: &str, sql: String) -> sqlx::Result<Option<i64>>;
}

#[cfg(feature = "postgres")]
pub struct Postgres;

#[cfg(feature = "postgres")]
impl Engine for Postgres {
    type Database = sqlx::Postgres;
    type Store = keyfob::store::PostgresStore;

    const KIND: &'static str = "postgres";
    const VARIABLE: &'static str = "KEYFOB_TEST_POSTGRES";
    /// Three are kept for who administers the server.
    const LITTLE_ROOM: (&'static [&'static str], usize) = (&["-c", "max_connections=13"], 10);
    const DURABLE: &'static [&'static str] = &["-c", "fsync=on"];

    const MAKE: &'static str =
        "CREATE ROLE {name} LOGIN; CREATE SCHEMA {name} AUTHORIZATION {name}";
    const DROP: &'static str = "DROP OWNED BY {name} CASCADE; DROP ROLE {name}";
    const COUNT_SESSIONS: &'static str =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{name}'";
    const END_SESSIONS: &'static str =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{name}'";
    const READ_ONLY: &'static str = "ALTER ROLE {name} SET default_transaction_read_only = on";
    const WRITABLE: &'static str = "ALTER ROLE {name} RESET default_transaction_read_only";

    const IMPATIENT: &'static str = "SET lock_timeout = 100";
    const HURRIED: &'static str = "SET statement_timeout = 10000; SET lock_timeout = 60000";
    const ONLY_READS: &'static str = "SET default_transaction_read_only = on";
    const COUNT_WAITING: &'static str = "SELECT count(*) FROM pg_stat_activity
        WHERE usename = '{name}' AND wait_event_type = 'Lock'";
    const END_WAITING: &'static str =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE usename = '{name}' AND wait_event_type = 'Lock'";
    const LOCK_WRITES: &'static str = "LOCK TABLE keyfob_tokens IN SHARE MODE";
    const UNLOCK_WRITES: &'static str = "ROLLBACK";
    const COUNT_WAITING_WRITES: &'static str = Self::COUNT_WAITING;

    fn address(url: &str) -> String {
        let options: Options<Self> = url.parse().unwrap();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    fn options(url: &str, host: &str, port: u16, name: &str) -> Options<Self> {
        let options: Options<Self> = url.parse().unwrap();
        options.host(host).port(port).username(name)
    }

    async fn store(pool: Pool<Self::Database>, name: &str) -> Self::Store {
        Self::Store::in_schema(pool, name).await.unwrap()
    }

    fn on<'c>(store: &Self::Store, connection: &'c mut Session<Self>) -> Box<dyn TokenStore + 'c> {
        Box::new(store.on(connection))
    }

    fn begin(level: &str) -> Vec<String> {
        vec![format!("BEGIN ISOLATION LEVEL {level}")]
    }

    async fn execute(connection: &mut Session<Self>, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    }

    async fn run(url: &str, sql: String) -> sqlx::Result<Option<i64>> {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await?;
        rows.last().map(|row| sqlx::Row::try_get(row, 0)).transpose()
    }
}

#[cfg(feature = "mysql")]
pub struct MySql;

#[cfg(feature = "mysql")]
impl Engine for MySql {
    type Database = sqlx::MySql;
    type Store = keyfob::store::MySqlStore;

    const KIND: &'static str = "mysql";
    const VARIABLE: &'static str = "KEYFOB_TEST_MYSQL";
    /// One more is kept for who administers the server.
    const LITTLE_ROOM: (&'static [&'static str], usize) = (&["--max-connections=10"], 10);
    const DURABLE: &'static [&'static str] =
        &["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1"];

    const MAKE: &'static str =
        "CREATE DATABASE {name}; CREATE USER {name}; GRANT ALL ON {name}.* TO {name}";
    const DROP: &'static str = "DROP DATABASE {name}; DROP USER {name}";
    const COUNT_SESSIONS: &'static str =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{name}'";
    const END_SESSIONS: &'static str = "KILL USER {name}";
    const READ_ONLY: &'static str = "SET GLOBAL read_only = 1";
    const WRITABLE: &'static str = "SET GLOBAL read_only = 0";

    const IMPATIENT: &'static str = "SET innodb_lock_wait_timeout = 1";
    const HURRIED: &'static str = "SET max_statement_time = 4";
    const ONLY_READS: &'static str = "SET SESSION TRANSACTION READ ONLY";
    const COUNT_WAITING: &'static str = "SELECT COUNT(*) FROM information_schema.processlist
        WHERE user = '{name}' AND (info LIKE '%FOR */ UPDATE %' OR info LIKE '%FOR UPDATE'
            OR info LIKE '%ON DUPLICATE KEY UPDATE%')";
    const END_WAITING: &'static str = "BEGIN NOT ATOMIC
        SELECT id INTO @waiting FROM information_schema.processlist
            WHERE user = '{name}' AND info LIKE '%FOR */ UPDATE %';
        KILL @waiting;
    END";
    const LOCK_WRITES: &'static str = "LOCK TABLES keyfob_tokens READ";
    const UNLOCK_WRITES: &'static str = "UNLOCK TABLES";
    const COUNT_WAITING_WRITES: &'static str = "SELECT COUNT(*) FROM information_schema.processlist
        WHERE user = '{name}' AND state = 'Waiting for table metadata lock'";

    fn address(url: &str) -> String {
        let options: Options<Self> = url.parse().unwrap();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    fn options(url: &str, host: &str, port: u16, name: &str) -> Options<Self> {
        let options: Options<Self> = url.parse().unwrap();
        options.host(host).port(port).username(name).database(name)
    }

    async fn store(pool: Pool<Self::Database>, _: &str) -> Self::Store {
        Self::Store::with_pool(pool).await.unwrap()
    }

    fn on<'c>(store: &Self::Store, connection: &'c mut Session<Self>) -> Box<dyn TokenStore + 'c> {
        Box::new(store.on(connection))
    }

    fn begin(level: &str) -> Vec<String> {
        vec![format!("SET TRANSACTION ISOLATION LEVEL {level}"), "BEGIN".to_owned()]
    }

    async fn execute(connection: &mut Session<Self>, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    }

    async fn run(url: &str, sql: String) -> sqlx::Result<Option<i64>> {
        let mut connection = sqlx::MySqlConnection::connect(url).await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await?;
        rows.last().map(|row| sqlx::Row::try_get(row, 0)).transpose()
    }
}

/// Where a test keeps its tokens on a server, and a user of the same name who may do so. Gone with this.
pub struct Place<E: Engine> {
    url: String,
    name: String,
    engine: PhantomData<E>,
}

impl<E: Engine> Place<E> {
    /// On the server that all tests share.
    pub async fn new() -> Self {
        Self::on(url_of(E::VARIABLE)).await
    }

    pub async fn on(url: String) -> Self {
        let name = format!("t{:016x}", fastrand::u64(..));
        let place = Self { url, name, engine: PhantomData };
        place.run(E::MAKE).await;
        place
    }

    pub async fn run(&self, sql: &str) -> Option<i64> {
        E::run(&self.url, self.named(sql)).await.unwrap()
    }

    fn named(&self, sql: &str) -> String {
        sql.replace("{name}", &self.name)
    }

    pub async fn sessions(&self) -> i64 {
        self.run(E::COUNT_SESSIONS).await.unwrap()
    }

    /// Of the server itself: `host:port`.
    pub fn address(&self) -> String {
        E::address(&self.url)
    }

    /// A connection by way of another address.
    pub async fn connect(&self, address: &str) -> sqlx::Result<Session<E>> {
        Session::<E>::connect_with(&self.options(address)).await
    }

    pub async fn pool(&self, address: &str, connections: u32) -> Pool<E::Database> {
        let options = PoolOptions::<E::Database>::new().max_connections(connections);
        options.connect_with(self.options(address)).await.unwrap()
    }

    pub async fn connection(&self) -> Session<E> {
        self.connect(&self.address()).await.unwrap()
    }

    /// Of one connection, whose sessions begin with a statement.
    pub async fn pool_that_says(&self, statement: &'static str) -> Pool<E::Database> {
        let options = PoolOptions::<E::Database>::new().max_connections(1);
        let options = options.after_connect(move |session, _| {
            Box::pin(async move {
                E::execute(session, statement).await;
                Ok(())
            })
        });
        options.connect_with(self.options(&self.address())).await.unwrap()
    }

    /// Of one connection, for which nobody waits for longer.
    pub async fn pool_that_waits(&self, longest: Duration) -> Pool<E::Database> {
        let options = PoolOptions::<E::Database>::new().max_connections(1);
        let options = options.acquire_timeout(longest);
        options.connect_with(self.options(&self.address())).await.unwrap()
    }

    pub async fn some_store(&self) -> E::Store {
        self.store(self.pool(&self.address(), 4).await).await
    }

    pub fn options(&self, address: &str) -> Options<E> {
        let (host, port) = address.rsplit_once(':').unwrap();
        E::options(&self.url, host, port.parse().unwrap(), &self.name)
    }

    pub async fn store(&self, pool: Pool<E::Database>) -> E::Store {
        E::store(pool, &self.name).await
    }
}

impl<E: Engine> Drop for Place<E> {
    fn drop(&mut self) {
        let (url, end, drop) = (self.url.clone(), self.named(E::END_SESSIONS), self.named(E::DROP));
        clean_up(move || async move {
            E::run(&url, end).await?;
            E::run(&url, drop).await.map(|_| ())
        });
    }
}

/// A server of the test's own, which ends with this.
pub struct OwnServer<E: Engine> {
    pub url: String,
    options: &'static [&'static str],
    folder: TempDir,
    engine: PhantomData<E>,
}

impl<E: Engine> OwnServer<E> {
    pub async fn start(options: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { url: String::new(), options, folder, engine: PhantomData };
        server.url = server.start_again().await;
        server
    }

    /// With what it kept, where it was; tells where that is.
    pub async fn start_again(&self) -> String {
        self.tell("start").await
    }

    pub async fn stop(&self) {
        self.tell("stop").await;
    }

    pub async fn kill(&self) {
        self.tell("kill").await;
    }

    async fn tell(&self, verb: &str) -> String {
        let mut command = self.command(verb);
        if verb == "start" {
            command.args(self.options);
        }
        let told = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers"));
        command.args([verb, E::KIND]).arg(self.folder.path());
        command
    }
}

impl<E: Engine> Drop for OwnServer<E> {
    fn drop(&mut self) {
        let killed = self.command("kill").status();
        if !thread::panicking() {
            assert!(killed.unwrap().success());
        }
    }
}
