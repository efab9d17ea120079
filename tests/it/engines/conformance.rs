//! The contract on a connection that the application holds, and behind a cache.

use keyfob::store::TokenStore;

use super::*;
use crate::support::cached::{ROOM, cached};

async fn outside_a_transaction<E: Engine>(clause: impl AsyncFnOnce(&dyn TokenStore)) {
    let place = Place::<E>::new().await;
    let (store, mut connection) = (place.some_store().await, place.connection().await);
    clause(&*E::on(&store, &mut connection)).await;
}

async fn in_a_transaction<E: Engine>(clause: impl AsyncFnOnce(&dyn TokenStore)) {
    let place = Place::<E>::new().await;
    let (store, mut connection) = (place.some_store().await, place.connection().await);
    E::execute(&mut connection, "BEGIN").await;
    clause(&*E::on(&store, &mut connection)).await;
    E::execute(&mut connection, "COMMIT").await;
}

async fn behind_a_cache<E: Engine>() -> (impl TokenStore, Place<E>) {
    let place = Place::<E>::new().await;
    (cached(place.some_store().await, ROOM), place)
}

macro_rules! on_engine {
    ($module:ident $engine:ident) => {
        mod $module {
            use crate::support::engine::$engine;

            mod outside_a_transaction {
                use super::*;
                keyfob::store_conformance!(
                    #[tokio::test] in super::super::outside_a_transaction::<$engine>
                );
            }
            mod in_a_transaction {
                use super::*;
                keyfob::store_conformance!(
                    #[tokio::test] in super::super::in_a_transaction::<$engine>
                );
            }
            mod behind_a_cache {
                use super::*;
                keyfob::store_conformance!(
                    #[tokio::test] => super::super::behind_a_cache::<$engine>().await
                );
            }
        }
    };
}

#[cfg(feature = "postgres")]
on_engine! { postgres Postgres }
#[cfg(feature = "mysql")]
on_engine! { mysql MySql }
