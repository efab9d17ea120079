//! A database that fails in every way it can: nobody is let in, nobody is told wrong, and it is over when the fault is.

use std::{
    env,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use keyfob::{
    ApiTokens, IssuedToken, NewToken, VerifyError,
    store::{PostgresStore, StoreError},
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::support::{
    eventually, owner,
    proxy::{Mode, Proxy},
};

const DEADLINE: time::Duration = time::Duration::milliseconds(500);
/// Generous: other tests use the machine too.
const AT_MOST: Duration = Duration::from_secs(10);
const CONNECTIONS: u32 = 4;

#[tokio::test]
async fn a_way_that_is_refused_reset_stalled_or_slow_lets_nobody_in_and_is_good_again_after() {
    let world = Faulty::new().await;
    let ways = [Mode::Refuse, Mode::Reset, Mode::Stall, Mode::Delay(Duration::from_secs(5))];
    for mode in ways {
        world.proxy.switch(mode);
        world.is_away().await;
        world.proxy.switch(Mode::Pass);
        world.is_back().await;
    }
    // The same on connections that are there already.
    for mode in &ways[1..] {
        world.proxy.turn(*mode);
        world.is_away().await;
        world.proxy.switch(Mode::Pass);
        world.is_back().await;
    }
    world.close().await;
}

#[tokio::test]
async fn connections_that_the_server_ends_are_replaced() {
    let world = Faulty::new().await;
    for _ in 0..3 {
        let ended = world.count("SELECT count(pg_terminate_backend(pid)) FROM").await;
        assert!(ended > 0);
        // One that is in the pool may be found dead by whoever takes it.
        world.is_unavailable_or_good().await;
        world.is_back().await;
    }
    world.close().await;
}

/// Tokens whose way to the database is a proxy.
struct Faulty {
    proxy: Proxy,
    pool: PgPool,
    tokens: ApiTokens,
    good: IssuedToken,
    revoked: IssuedToken,
    schema: String,
}

fn server() -> String {
    env::var("KEYFOB_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("KEYFOB_TEST_POSTGRES is not set: run `scripts/servers run cargo test …`")
    })
}

impl Faulty {
    async fn new() -> Self {
        let options: PgConnectOptions = server().parse().unwrap();
        let proxy = Proxy::before(format!("{}:{}", options.get_host(), options.get_port())).await;
        let schema = format!("faults_{:016x}", fastrand::u64(..));
        let options = options
            .host(&proxy.address.ip().to_string())
            .port(proxy.address.port())
            .application_name(&schema);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options);
        let pool = pool.await.unwrap();
        let store = PostgresStore::in_schema(pool.clone(), &schema).await.unwrap();
        let tokens = ApiTokens::builder(store).prefix("acme").deadline(DEADLINE).build().unwrap();
        let issue = async || tokens.issue(NewToken::new(owner("user:42"), "ci")).await.unwrap();
        let (good, revoked) = (issue().await, issue().await);
        tokens.owned_by(&owner("user:42")).revoke(revoked.record.id).await.unwrap();
        Self { proxy, pool, tokens, good, revoked, schema }
    }

    async fn verify(&self, token: &IssuedToken) -> &'static str {
        let began = Instant::now();
        let outcome = self.tokens.verify(token.plain.expose_secret()).await;
        assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
        match outcome {
            Ok(_) => "good",
            Err(VerifyError::Store(StoreError::Unavailable(_) | StoreError::Busy(_))) => "away",
            Err(error) => error.code(),
        }
    }

    /// Nothing is known of any token, whoever asks and however many.
    async fn is_away(&self) {
        for _ in 0..3 {
            let tokens = [&self.good, &self.revoked, &self.good, &self.revoked, &self.good];
            let asked = join_all(tokens.map(|token| self.verify(token))).await;
            assert_eq!(asked, ["away"; 5]);
        }
    }

    async fn is_unavailable_or_good(&self) {
        assert!(["away", "good"].contains(&self.verify(&self.good).await));
        assert!(["away", "revoked"].contains(&self.verify(&self.revoked).await));
    }

    async fn is_back(&self) {
        eventually(async || self.verify(&self.good).await == "good").await;
        eventually(async || self.verify(&self.revoked).await == "revoked").await;
        assert!(self.pool.size() <= CONNECTIONS);
        eventually(async || self.pool.num_idle() == self.pool.size() as usize).await;
    }

    /// Asks the server, past the proxy, about the connections that the pool has there.
    async fn count(&self, select: &str) -> i64 {
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        let sql = format!("{select} pg_stat_activity WHERE application_name = '{}'", self.schema);
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
    }

    /// Leaves nothing behind, on the server as in the pool.
    async fn close(self) {
        eventually(async || {
            self.count("SELECT count(*) FROM").await == i64::from(self.pool.size())
        })
        .await;
        self.pool.close().await;
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
    }
}
