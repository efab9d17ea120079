//! How soon verification is good again, at default settings, once connections fall silent or a store goes on that hung.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keyfob::{ApiTokens, NewToken, Owner, VerifyError};
use sqlx::pool::PoolOptions;
use tokio::task::JoinSet;

use crate::{
    engine::{Engine, MySql, Place, Postgres},
    proxy::{Mode, Proxy},
};

/// For how long requests come before the fault, and after it is over.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(5);
const HANGS: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/measure"]
async fn recovery_on_postgresql() {
    recovery::<Postgres>().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/measure"]
async fn recovery_on_mariadb() {
    recovery::<MySql>().await;
}

async fn recovery<E: Engine>() {
    for is_tested in [true, false] {
        for per_second in [None, Some(20), Some(100)] {
            silent::<E>(is_tested, per_second).await;
            hung::<E>(is_tested, per_second).await;
        }
    }
}

/// Open connections fall silent, and new ones work.
async fn silent<E: Engine>(is_tested: bool, per_second: Option<u32>) {
    let way = Way::<E>::open(is_tested).await;
    let verdicts = way.under_load(per_second, async |proxy| {
        proxy.silence();
        Instant::now()
    });
    report::<E>("connections fall silent", is_tested, per_second, verdicts.await);
}

/// Nothing is answered for a while, and nothing is lost.
async fn hung<E: Engine>(is_tested: bool, per_second: Option<u32>) {
    let way = Way::<E>::open(is_tested).await;
    let verdicts = way.under_load(per_second, async |proxy| {
        proxy.turn(Mode::Hold);
        tokio::time::sleep(HANGS).await;
        proxy.turn(Mode::Pass);
        Instant::now()
    });
    report::<E>("the store hung", is_tested, per_second, verdicts.await);
}

struct Way<E: Engine> {
    _place: Place<E>,
    proxy: Arc<Proxy>,
    tokens: ApiTokens,
    plain: Arc<str>,
}

/// When the fault was over, and each verification: when it ended, and whether it let the token in.
type Verdicts = (Instant, Vec<(Instant, bool)>);

impl<E: Engine> Way<E> {
    /// With ten open connections.
    async fn open(is_tested: bool) -> Self {
        let place = Place::<E>::new().await;
        let proxy = Arc::new(Proxy::before(place.address()).await);
        let options = PoolOptions::<E::Database>::new().test_before_acquire(is_tested);
        let pool = options.connect_with(place.options(&proxy.address.to_string())).await.unwrap();
        let store = place.store(pool.clone()).await;
        let mut open = Vec::new();
        while pool.size() < pool.options().get_max_connections() {
            open.push(pool.acquire().await.unwrap());
        }
        let tokens = ApiTokens::builder(store).prefix("acme").build().unwrap();
        drop(open);
        let new = NewToken::new(Owner::new("user:42").unwrap(), "ci");
        let plain = tokens.issue(new).await.unwrap().plain.expose_secret().into();
        Self { _place: place, proxy, tokens, plain }
    }

    /// Verifies one after the other, or so often a second, while something is done.
    async fn under_load(
        &self,
        per_second: Option<u32>,
        fault: impl AsyncFnOnce(&Proxy) -> Instant,
    ) -> Verdicts {
        let (tokens, plain) = (self.tokens.clone(), self.plain.clone());
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let load = tokio::spawn(async move {
            let mut verifying = JoinSet::new();
            let mut ticks =
                per_second.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
            let mut verdicts = Vec::new();
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let (tokens, plain) = (tokens.clone(), plain.clone());
                let verify = async move {
                    let verdict = match tokens.verify(&plain).await {
                        Ok(_) => true,
                        Err(VerifyError::Store(_)) => false,
                        Err(other) => panic!("{other:?}"),
                    };
                    (Instant::now(), verdict)
                };
                match &mut ticks {
                    Some(ticks) => {
                        verifying.spawn(verify);
                        ticks.tick().await;
                    }
                    None => verdicts.push(verify.await),
                }
            }
            verdicts.append(&mut verifying.join_all().await);
            verdicts
        });
        tokio::time::sleep(BEFORE).await;
        let over = fault(&self.proxy).await;
        tokio::time::sleep(AFTER).await;
        drop(stop);
        (over, load.await.unwrap())
    }
}

fn report<E: Engine>(
    fault: &str,
    is_tested: bool,
    per_second: Option<u32>,
    (over, verdicts): Verdicts,
) {
    let pool = if is_tested { "tested pool" } else { "untested pool" };
    let load = per_second.map_or("one by one".to_owned(), |rate| format!("{rate} a second"));
    let late = |is_good| verdicts.iter().filter(move |it| it.0 > over && it.1 == is_good);
    let last_refused = late(false).map(|it| it.0 - over).max().unwrap_or_default();
    let first_good = late(true).map(|it| it.0 - over).min().unwrap_or(AFTER);
    println!(
        "{}, {pool}, {load}, {fault}: first good after {first_good:.2?}, last refused after {last_refused:.2?}, \
         {} refused",
        E::KIND,
        late(false).count(),
    );
}
