//! What a verification costs with a database, beside statements written by hand that go through the same pool.
//!
//! `cargo bench --features sqlite,postgres --bench database` prints medians of interleaved rounds. PostgreSQL is the
//! one that `KEYFOB_TEST_POSTGRES` names; where it names none, only SQLite is measured.
//! A write there is only as dear as it is in earnest where the server has `fsync` on.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(clippy::cast_precision_loss, reason = "nanoseconds are not exact either")]

mod engine;
mod fixture;
mod rounds;

use std::{env, sync::Arc};

use keyfob::store::MemoryStore;

use engine::{Engine, InPostgres, InSqlite, Lends};
use fixture::{Fixture, Issued};
use rounds::{Goal, compare, side};

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let memory = Issued::new(MemoryStore::new(), 1).await;
        for lends in [Lends::Untested, Lends::Tested] {
            println!("pools that lend connections {lends:?}");
            let directory = tempfile::tempdir().unwrap();
            let sqlite = Fixture::new(InSqlite::new(directory.path(), lends).await).await;
            reads(&sqlite, 2.0).await;
            hits(&sqlite, &memory).await;
            let Ok(url) = env::var("KEYFOB_TEST_POSTGRES") else {
                println!("KEYFOB_TEST_POSTGRES names no server: nothing of PostgreSQL");
                continue;
            };
            let postgres = Fixture::new(InPostgres::new(&url, lends).await).await;
            reads(&postgres, 3.0).await;
            hits(&postgres, &memory).await;
            touches(&postgres).await;
            postgres.engine.end().await;
        }
    });
}

/// Each verification asks the database, as each `SELECT` does.
async fn reads<E: Engine>(fixture: &Arc<Fixture<E>>, more: f64) {
    for (callers, goal) in [(1, Goal::Cost(1.15)), (32, Goal::Throughput(more))] {
        let select = side!("SELECT", 3_200, fixture, |it, call| it.engine.select(it.id(call)));
        let verify = side!("verify", 3_200, fixture, |it, call| it.plain.verify(call));
        compare(E::NAME, callers, select, vec![(verify, goal)]).await;
    }
}

/// What is remembered of the database, against what is in memory anyway.
async fn hits<E: Engine>(fixture: &Arc<Fixture<E>>, memory: &Issued) {
    fixture.remembered.verify_all().await;
    let memory = side!("verify in memory", 10_000, memory, |it, call| it.verify(call));
    let hit = side!("verify, remembered", 10_000, fixture, |it, call| it.remembered.verify(call));
    compare(E::NAME, 1, memory, vec![(hit, Goal::Cost(2.0))]).await;
}

/// Against what many do on each request.
async fn touches<E: Engine>(fixture: &Arc<Fixture<E>>) {
    let touch = side!("SELECT and UPDATE", 800, fixture, |it, call| it.engine.touch(it.id(call)));
    let verify = side!("verify", 4_000, fixture, |it, call| it.plain.verify(call));
    let hit = side!("verify, remembered", 100_000, fixture, |it, call| it.remembered.verify(call));
    let others = vec![(verify, Goal::Throughput(6.0)), (hit, Goal::Throughput(50.0))];
    compare(E::NAME, 8, touch, others).await;
}
