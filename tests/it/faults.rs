//! A database that fails in every way it can: nobody is let in, nobody is told wrong, and it is over when the fault is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use keyfob::{
    ApiTokens, ApiTokensBuilder, Cache, IssueError, IssuedToken, ManageError, NewToken,
    TokenRotation, VerifyError,
    store::{StoreError, TokenStore},
    time::ManualClock,
};
use sqlx::{Pool, pool::PoolOptions};
use tokio::time::timeout;

use crate::support::{
    START,
    engine::{Engine, OwnServer, Place, on_every_engine},
    eventually, owner,
    proxy::{Mode, Proxy},
};

const DEADLINE: time::Duration = time::Duration::milliseconds(500);
/// Generous: other tests use the machine too.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
const CONNECTIONS: u32 = 4;

on_every_engine! {
    a_way_that_is_gone_refused_reset_stalled_or_slow_lets_nobody_in_and_is_good_again_after
    connections_that_the_server_ends_are_replaced
    connections_that_fall_silent_are_replaced
    a_server_that_is_stopped_or_killed_lets_nobody_in_until_it_is_there_again
    a_server_that_has_no_room_for_more_connections_lets_nobody_in
    a_database_that_can_only_be_read_verifies_and_says_that_it_changes_nothing
    what_is_remembered_is_good_for_as_long_as_it_may_be_stale_and_no_longer
}

async fn a_way_that_is_gone_refused_reset_stalled_or_slow_lets_nobody_in_and_is_good_again_after<
    E: Engine,
>() {
    let world = Faulty::<E>::new().await;
    let ways =
        [Mode::Gone, Mode::Refuse, Mode::Reset, Mode::Stall, Mode::Delay(Duration::from_secs(5))];
    for mode in ways {
        world.proxy.switch(mode);
        world.is_away().await;
        world.proxy.switch(Mode::Pass);
        world.is_back(&format!("{mode:?}")).await;
    }
    // The same on connections that are there already.
    for mode in &ways[2..] {
        world.proxy.turn(*mode);
        world.is_away().await;
        world.proxy.switch(Mode::Pass);
        world.is_back(&format!("{mode:?} midway")).await;
    }
    world.close().await;
}

async fn connections_that_the_server_ends_are_replaced<E: Engine>() {
    let world = Faulty::<E>::new().await;
    for _ in 0..3 {
        assert!(world.place.sessions().await > 0);
        world.place.run(E::END_SESSIONS).await;
        // One that is in the pool may be found dead by whoever takes it.
        assert!(["away", "good"].contains(&world.verify(&world.good).await));
        assert!(["away", "revoked"].contains(&world.verify(&world.revoked).await));
        world.is_back("connections ended").await;
    }
    world.close().await;
}

async fn connections_that_fall_silent_are_replaced<E: Engine>() {
    let place = Place::<E>::new().await;
    let proxy = Proxy::before(place.address()).await;
    // Tested, they would be found out by that, and nothing would be asked on them.
    let options = PoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = options.connect_with(place.options(&proxy.address.to_string())).await.unwrap();
    let world = Faulty::on_pool(place, proxy, pool, None, |it| it).await;
    for impatient in [0, 2 * CONNECTIONS, 0, 2 * CONNECTIONS] {
        eventually(async || {
            let verifying = (0..8).map(|_| Faulty::<E>::ask(&world.patient, &world.good));
            join_all(verifying).await.iter().all(|it| *it == "good")
        })
        .await;
        assert!(world.place.sessions().await > 0);
        // The pool pings a connection that comes back to it, without end if that falls silent just then.
        world.is_idle().await;
        world.proxy.silence();
        for _ in 0..impatient {
            let _ = timeout(Duration::from_millis(10), world.verify(&world.good)).await;
        }
        world.is_back("connections fell silent").await;
    }
    world.close().await;
}

async fn a_server_that_is_stopped_or_killed_lets_nobody_in_until_it_is_there_again<E: Engine>() {
    let world = Faulty::<E>::on_its_own(&[]).await;
    let server = world.server.as_ref().unwrap();
    server.stop().await;
    world.is_away().await;
    server.start_again().await;
    world.is_back("server restarted").await;
    server.kill().await;
    world.is_away().await;
    server.start_again().await;
    world.is_back("server killed").await;
    world.close().await;
}

async fn a_server_that_has_no_room_for_more_connections_lets_nobody_in<E: Engine>() {
    let (options, room) = E::LITTLE_ROOM;
    let world = Faulty::<E>::on_its_own(options).await;
    world.proxy.switch(Mode::Gone);
    let mut others = Vec::new();
    eventually(async || {
        others.extend(world.place.connect(&world.place.address()).await);
        others.len() == room
    })
    .await;
    world.proxy.switch(Mode::Pass);
    world.is_away().await;
    drop(others);
    world.is_back("no more connections").await;
    world.close().await;
}

async fn a_database_that_can_only_be_read_verifies_and_says_that_it_changes_nothing<E: Engine>() {
    let world = Faulty::<E>::on_its_own(&[]).await;
    let (tokens, owner) = (&world.tokens, owner("user:42"));
    let own = tokens.owned_by(&owner);
    let rotated = issue(&world.patient).await.record.id;
    let rotated = world.patient.owned_by(&owner).rotate(rotated, TokenRotation::new()).await;
    let rotated = rotated.unwrap();
    world.place.run(E::READ_ONLY).await;
    world.place.run(E::END_SESSIONS).await;
    world.is_back("connections ended").await;
    for _ in 0..3 {
        let issued = tokens.issue(NewToken::new(owner.clone(), "cd")).await;
        let is_told = matches!(issued, Err(IssueError::Store(StoreError::Unavailable(_))));
        assert!(is_told, "{issued:?}");
        let ended = own.revoke(world.good.record.id).await;
        let is_told = matches!(ended, Err(ManageError::Store(StoreError::Unavailable(_))));
        assert!(is_told, "{ended:?}");
        world.comes_to_be(&world.good, "good").await;
        world.comes_to_be(&world.revoked, "revoked").await;
        // Its first use is to be recorded before it counts.
        assert_eq!(world.verify(&rotated).await, "away");
    }
    world.place.run(E::WRITABLE).await;
    world.place.run(E::END_SESSIONS).await;
    world.is_back("read only").await;
    world.comes_to_be(&rotated, "good").await;
    world.close().await;
}

async fn what_is_remembered_is_good_for_as_long_as_it_may_be_stale_and_no_longer<E: Engine>() {
    const STALENESS: time::Duration = time::Duration::seconds(5);
    let clock = ManualClock::at(START);
    let build = |it: ApiTokensBuilder| it.cache(Cache::for_up_to(STALENESS)).clock(clock.clone());
    let world = Faulty::<E>::with(Place::new().await, None, build).await;
    for mode in [Mode::Gone, Mode::Refuse, Mode::Stall] {
        clock.advance(STALENESS * 2);
        world.is_back("a warm cache").await;
        world.proxy.switch(mode);
        clock.advance(STALENESS - time::Duration::NANOSECOND);
        assert_eq!(world.verify(&world.good).await, "good");
        clock.advance(time::Duration::NANOSECOND);
        for _ in 0..3 {
            assert_eq!(world.verify(&world.good).await, "away");
            // This is remembered without end.
            assert_eq!(world.verify(&world.revoked).await, "revoked");
        }
        world.proxy.switch(Mode::Pass);
        world.is_back(&format!("{mode:?} with a cache")).await;
    }
    world.close().await;
}

/// Tokens whose way to the database is a proxy.
struct Faulty<E: Engine> {
    place: Place<E>,
    server: Option<OwnServer<E>>,
    proxy: Proxy,
    pool: Pool<E::Database>,
    /// For what is done while nothing fails.
    patient: ApiTokens,
    tokens: ApiTokens,
    good: IssuedToken,
    revoked: IssuedToken,
}

impl<E: Engine> Faulty<E> {
    async fn new() -> Self {
        Self::with(Place::new().await, None, |it| it).await
    }

    /// On a server that nobody else uses.
    async fn on_its_own(options: &'static [&'static str]) -> Self {
        let server = OwnServer::start(options).await;
        Self::with(Place::on(server.url.clone()).await, Some(server), |it| it).await
    }

    async fn with(
        place: Place<E>,
        server: Option<OwnServer<E>>,
        build: impl Fn(ApiTokensBuilder) -> ApiTokensBuilder,
    ) -> Self {
        let proxy = Proxy::before(place.address()).await;
        let pool = place.pool(&proxy.address.to_string(), CONNECTIONS).await;
        Self::on_pool(place, proxy, pool, server, build).await
    }

    async fn on_pool(
        place: Place<E>,
        proxy: Proxy,
        pool: Pool<E::Database>,
        server: Option<OwnServer<E>>,
        build: impl Fn(ApiTokensBuilder) -> ApiTokensBuilder,
    ) -> Self {
        let store: Arc<dyn TokenStore> = Arc::new(place.store(pool.clone()).await);
        let handle = |deadline| {
            let builder = ApiTokens::builder_on(store.clone()).prefix("acme");
            build(builder.deadline(deadline)).build().unwrap()
        };
        let (patient, tokens) = (handle(time::Duration::MINUTE), handle(DEADLINE));
        let [good, revoked] = [issue(&patient).await, issue(&patient).await];
        patient.owned_by(owner("user:42")).revoke(revoked.record.id).await.unwrap();
        Self { place, server, proxy, pool, patient, tokens, good, revoked }
    }

    async fn verify(&self, token: &IssuedToken) -> &'static str {
        let began = Instant::now();
        let answer = Self::ask(&self.tokens, token).await;
        assert!(began.elapsed() < ANSWERED_WITHIN, "{:?}", began.elapsed());
        answer
    }

    async fn ask(tokens: &ApiTokens, token: &IssuedToken) -> &'static str {
        match tokens.verify(token.plain.expose_secret()).await {
            Ok(_) => "good",
            Err(VerifyError::Store(StoreError::Unavailable(_) | StoreError::Busy(_))) => "away",
            Err(VerifyError::Store(error)) => panic!("{error:?}"),
            Err(error) => error.code(),
        }
    }

    /// Nothing is known of any token, whoever asks and however many.
    async fn is_away(&self) {
        for _ in 0..3 {
            let tokens = [&self.good, &self.revoked, &self.good, &self.revoked, &self.good];
            assert_eq!(join_all(tokens.map(|token| self.verify(token))).await, ["away"; 5]);
        }
    }

    /// Whatever a token is known as, or for a while not known, it is never anything else.
    async fn comes_to_be(&self, token: &IssuedToken, known: &str) {
        // First with all the time that a busy machine needs. Each remembers for itself.
        for handle in [&self.patient, &self.tokens] {
            eventually(async || match Self::ask(handle, token).await {
                "away" => false,
                found => found == known || panic!("{found} is not {known}"),
            })
            .await;
        }
    }

    /// What was away comes back by itself, and nothing is left of the fault.
    async fn is_back(&self, fault: &str) {
        let since = Instant::now();
        self.comes_to_be(&self.good, "good").await;
        self.comes_to_be(&self.revoked, "revoked").await;
        let took = since.elapsed();
        println!("{}: good again {took:?} after: {fault}", E::KIND);
        assert!(self.pool.size() <= CONNECTIONS);
        self.is_idle().await;
    }

    /// Waits until the pool has all its connections.
    async fn is_idle(&self) {
        eventually(async || self.pool.num_idle() == self.pool.size() as usize).await;
    }

    /// Leaves nothing behind, on the server as in the pool.
    async fn close(self) {
        eventually(async || self.place.sessions().await == i64::from(self.pool.size())).await;
        self.pool.close().await;
        eventually(async || self.place.sessions().await == 0).await;
    }
}

async fn issue(tokens: &ApiTokens) -> IssuedToken {
    tokens.issue(NewToken::new(owner("user:42"), "ci")).await.unwrap()
}
