//! How a store uses the connections of its pool when some of them are of no use.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use keyfob::{ApiTokens, IssuedToken, NewToken, store::TokenStore};
use sqlx::{Pool, pool::PoolOptions};

use super::*;
use crate::support::{
    eventually,
    proxy::{Mode, Proxy},
};

on_every_engine! {
    one_silent_question_replaces_all_connections_that_have_fallen_silent
    a_store_that_goes_on_after_it_hung_answers_everyone_who_waits
    writers_that_wait_for_a_table_leave_connections_to_lookups
}

/// So long that nothing here runs into it.
const PATIENT: time::Duration = time::Duration::MINUTE;

fn handle(store: Arc<dyn TokenStore>, deadline: time::Duration) -> ApiTokens {
    ApiTokens::builder_on(store).prefix("acme").deadline(deadline).build().unwrap()
}

async fn issue(tokens: &ApiTokens) -> IssuedToken {
    tokens.issue(NewToken::new(owner(), "ci")).await.unwrap()
}

/// Opens as many connections as the pool may have, and gives them back.
async fn fill<D: sqlx::Database>(pool: &Pool<D>) {
    let most = pool.options().get_max_connections();
    let all: Vec<_> = join_all((0..most).map(|_| pool.acquire())).await;
    assert!(all.iter().all(Result::is_ok));
    drop(all);
    eventually(async || pool.num_idle() == most as usize).await;
}

async fn one_silent_question_replaces_all_connections_that_have_fallen_silent<E: Engine>() {
    for is_tested in [true, false] {
        let place = Place::<E>::new().await;
        let proxy = Proxy::before(place.address()).await;
        // All else is the default: ten connections.
        let options = PoolOptions::<E::Database>::new().test_before_acquire(is_tested);
        let pool = options.connect_with(place.options(&proxy.address.to_string())).await.unwrap();
        let tokens = handle(Arc::new(place.store(pool.clone()).await), PATIENT);
        let issued = issue(&tokens).await;
        fill(&pool).await;

        proxy.silence();
        tokens.verify(issued.plain.expose_secret()).await.unwrap();
        // That on which it was asked is waited for a little longer.
        assert!(proxy.silent() <= 1, "{} silent connections are left", proxy.silent());
        drop(issue(&tokens).await);
    }
}

async fn a_store_that_goes_on_after_it_hung_answers_everyone_who_waits<E: Engine>() {
    let place = Place::<E>::new().await;
    let proxy = Proxy::before(place.address()).await;
    let pool = place.pool(&proxy.address.to_string(), 10).await;
    let tokens = handle(Arc::new(place.store(pool.clone()).await), PATIENT);
    let issued = issue(&tokens).await;
    fill(&pool).await;

    proxy.turn(Mode::Hold);
    let verifying: Vec<_> = (0..30)
        .map(|_| {
            let (tokens, plain) = (tokens.clone(), issued.plain.expose_secret().to_owned());
            tokio::spawn(async move { tokens.verify(&plain).await })
        })
        .collect();
    // Longer than the store takes to find out that questions have stalled.
    tokio::time::sleep(Duration::from_millis(800)).await;
    proxy.turn(Mode::Pass);
    for verdict in join_all(verifying).await {
        verdict.unwrap().unwrap();
    }
}

async fn writers_that_wait_for_a_table_leave_connections_to_lookups<E: Engine>() {
    const CONNECTIONS: u32 = 5;
    let place = Place::<E>::new().await;
    let pool = place.pool(&place.address(), CONNECTIONS).await;
    let store: Arc<dyn TokenStore> = Arc::new(place.store(pool.clone()).await);
    let hurried = handle(store.clone(), time::Duration::milliseconds(300));
    let patient = handle(store, PATIENT);
    let issued = issue(&patient).await;

    let mut other = place.connection().await;
    E::execute(&mut other, "BEGIN").await;
    E::execute(&mut other, E::LOCK_WRITES).await;
    // Each ends by its deadline, and the server goes on waiting.
    let writers: Vec<_> = (0..20)
        .map(|_| {
            let tokens = hurried.clone();
            tokio::spawn(async move {
                loop {
                    let new = NewToken::new(owner(), "cd");
                    assert!(tokens.issue(new).await.is_err());
                    let all = tokens.owned_by(owner()).revoke_all().await;
                    assert!(all.is_err());
                }
            })
        })
        .collect();
    let most = i64::from(CONNECTIONS) * 4 + 1;
    eventually(async || place.run(E::COUNT_WAITING_WRITES).await >= Some(3)).await;
    for _ in 0..40 {
        patient.verify(issued.plain.expose_secret()).await.unwrap();
        let sessions = place.sessions().await;
        assert!(sessions <= most, "{sessions} sessions on a server that has room for few");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for writer in &writers {
        writer.abort();
    }
    for writer in writers {
        assert!(writer.await.unwrap_err().is_cancelled(), "a writer got through");
    }
    E::execute(&mut other, E::UNLOCK_WRITES).await;
    patient.owned_by(owner()).revoke_all().await.unwrap();
    drop(other);
    eventually(async || place.sessions().await == i64::from(pool.size())).await;
}
