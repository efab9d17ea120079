//! Every clause of the contract, on the pool and in a transaction of the application's own.

use std::thread;

use keyfob::store::TokenStore;

use super::*;

/// A schema of a test's own, gone with it.
struct Schema {
    server: String,
    name: String,
}

impl Schema {
    async fn new() -> (PoolStore, Self) {
        let server = env::var("KEYFOB_TEST_POSTGRES").unwrap();
        let name = format!("own_store_{:016x}", fastrand::u64(..));
        execute(&server, &format!("CREATE SCHEMA {name}")).await;
        let store = open(&format!("{server}?options=-csearch_path%3D{name}")).await.unwrap();
        (store, Self { server, name })
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(execute(&server, &drop));
        });
        dropping.join().unwrap();
    }
}

async fn execute(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

mod on_the_pool {
    keyfob::store_conformance!(#[tokio::test] => super::Schema::new().await);
}

mod in_a_transaction {
    use super::*;

    async fn run(clause: impl AsyncFnOnce(&dyn TokenStore)) {
        let (store, _schema) = Schema::new().await;
        let mut client = store.0.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        clause(&On::new(&transaction)).await;
        transaction.commit().await.unwrap();
        // So that nothing of the schema is locked when it is dropped.
        drop(client);
    }

    keyfob::store_conformance!(#[tokio::test] in run);
}

#[tokio::test]
async fn a_token_comes_with_what_else_is_in_the_transaction_or_not_at_all() {
    let (store, _schema) = Schema::new().await;
    let pool = store.0.clone();
    let tokens = ApiTokens::builder(store).prefix("acme").build().unwrap();
    let mut client = pool.get().await.unwrap();
    client.batch_execute("CREATE TABLE projects (name text)").await.unwrap();
    for commits in [true, false] {
        let transaction = client.transaction().await.unwrap();
        transaction.execute("INSERT INTO projects VALUES ('blog')", &[]).await.unwrap();
        let new = NewToken::new(Owner::new("project:blog").unwrap(), "first");
        let pending = tokens.issue_within(&On::new(&transaction), new).await.unwrap();
        let id = pending.record().id;
        if commits {
            transaction.commit().await.unwrap();
            let issued = pending.committed().await;
            assert!(tokens.verify(issued.plain.expose_secret()).await.is_ok());
        } else {
            transaction.rollback().await.unwrap();
            drop(pending);
        }
        assert_eq!(tokens.operator().find(id).await.unwrap().is_some(), commits);
        let projects = client.query("SELECT FROM projects", &[]).await.unwrap();
        assert_eq!(projects.len(), 1);
    }
}
