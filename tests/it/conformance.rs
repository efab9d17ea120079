//! Every store keeps every clause of the contract, and no clause is forgotten.

use std::{collections::BTreeSet, fs, path::Path};

mod wrong;

mod memory {
    use std::sync::Arc;

    use keyfob::{
        Owner, Timestamp, TokenId, TokenName, TokenRecord,
        store::{
            MemoryStore, TokenStore,
            contract::{InsertOutcome, InsertRules},
        },
        token::{Prefix, TokenDigest},
    };

    use crate::support::store_ext::StoreExt;

    keyfob::store_conformance!(#[tokio::test] => MemoryStore::new());

    /// The clauses run on one thread, where this store never waits.
    #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
    async fn inserts_on_many_threads_reach_the_limit_exactly() {
        for round in 0..50 {
            let store = Arc::new(MemoryStore::new());
            let inserts = (0..64).map(|i| {
                let record = TokenRecord::new(
                    TokenId::from_u128(i),
                    Prefix::new("acme").unwrap(),
                    Owner::new("user:42").unwrap(),
                    TokenName::new(format!("n{}", i % 32)).unwrap(),
                    TokenDigest::from_bytes([0; 32], None),
                    Timestamp::MIN,
                );
                let rules = InsertRules {
                    unique_name: true,
                    limit_per_owner: Some(10),
                    ..InsertRules::none()
                };
                let store = store.clone();
                tokio::spawn(async move { store.insert(&record, &rules).await.unwrap() })
            });
            let mut inserted = 0;
            for insert in inserts.collect::<Vec<_>>() {
                inserted += usize::from(insert.await.unwrap() == InsertOutcome::Inserted);
            }
            assert_eq!(inserted, 10, "in round {round}");
            let (count, _) = store.count_of(&Owner::new("user:42").unwrap()).await;
            assert_eq!(count, 10, "in round {round}");
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use keyfob::store::{SqliteStore, TokenStore};
    use sqlx::{Connection, SqliteConnection};
    use tempfile::TempDir;

    async fn store() -> (SqliteStore, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (SqliteStore::open(directory.path().join("tokens.db")).await.unwrap(), directory)
    }

    keyfob::store_conformance!(#[tokio::test] => store().await);

    async fn connection(directory: &TempDir) -> SqliteConnection {
        let file = directory.path().join("tokens.db");
        SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap()
    }

    async fn outside(clause: impl AsyncFnOnce(&dyn TokenStore)) {
        let (store, directory) = store().await;
        clause(&store.on(&mut connection(&directory).await)).await;
    }

    async fn inside(clause: impl AsyncFnOnce(&dyn TokenStore)) {
        let (store, directory) = store().await;
        let mut connection = connection(&directory).await;
        let mut transaction = connection.begin().await.unwrap();
        clause(&store.on(&mut transaction)).await;
        transaction.commit().await.unwrap();
    }

    mod outside_a_transaction {
        keyfob::store_conformance!(#[tokio::test] in super::outside);
    }

    mod in_a_transaction {
        keyfob::store_conformance!(#[tokio::test] in super::inside);
    }
}

mod cached {
    use keyfob::store::MemoryStore;

    use crate::support::cached::{ROOM, cached};

    keyfob::store_conformance!(
        #[tokio::test] => cached(MemoryStore::new(), ROOM)
    );

    /// With room for so few that what was read is pushed out between two steps.
    mod in_little_room {
        use super::*;

        keyfob::store_conformance!(
            #[tokio::test] => cached(MemoryStore::new(), 2)
        );
    }

    #[cfg(feature = "sqlite")]
    mod sqlite {
        use keyfob::store::{SqliteStore, TokenStore};
        use tempfile::TempDir;

        use super::*;

        async fn store() -> (impl TokenStore, TempDir) {
            let directory = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(directory.path().join("tokens.db")).await.unwrap();
            (cached(store, ROOM), directory)
        }

        keyfob::store_conformance!(#[tokio::test] => store().await);
    }
}

/// In the application's own database, with nothing but what sqlx sets.
#[cfg(feature = "sqlite")]
mod sqlite_with_pool {
    use keyfob::store::SqliteStore;
    use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
    use tempfile::TempDir;

    async fn store() -> (SqliteStore, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("app.db"));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        (SqliteStore::with_pool(pool).await.unwrap(), directory)
    }

    keyfob::store_conformance!(#[tokio::test] => store().await);
}

#[cfg(feature = "postgres")]
mod postgres {
    use keyfob::store::PostgresStore;

    use crate::support::postgres::Schema;

    async fn store() -> (PostgresStore, Schema) {
        let schema = Schema::new();
        (schema.store().await, schema)
    }

    keyfob::store_conformance!(#[tokio::test] => store().await);
}

#[cfg(feature = "mysql")]
mod mysql {
    use keyfob::store::MySqlStore;

    use crate::mysql::Tables;

    async fn store() -> (MySqlStore, Tables) {
        let tables = Tables::new();
        (tables.store().await, tables)
    }

    keyfob::store_conformance!(#[tokio::test] => store().await);
}

#[test]
fn the_macro_runs_every_clause() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/conformance");
    let mut written = BTreeSet::new();
    let mut listed = BTreeSet::new();
    for file in fs::read_dir(suite).unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&path).unwrap();
        let clauses = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        let clauses = clauses.filter_map(|line| line.split('(').next());
        written.extend(clauses.map(|clause| format!("{module} {clause}")));
        if module == "mod" {
            let lists = source.split("@all $attributes $subject\n").skip(1);
            let lists = lists.map(|list| list.split_once("    };\n").unwrap().0);
            for part in lists.flat_map(|list| list.split_terminator('}')) {
                let Some((module, clauses)) = part.split_once('{') else { continue };
                let clauses = clauses.split_whitespace();
                listed.extend(clauses.map(|clause| format!("{} {clause}", module.trim())));
            }
        }
    }
    assert!(written.len() > 90, "the clauses are found: {written:?}");
    assert_eq!(written, listed, "the list in store_conformance! has every clause, once");
}
