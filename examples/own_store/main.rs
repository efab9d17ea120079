//! A store of one's own, for applications that have PostgreSQL by `tokio-postgres` and `deadpool`, and no sqlx.
//!
//! ```sh
//! DATABASE_URL=postgres://localhost/app cargo run --example own_store
//! ```
//!
//! The contract is [`keyfob::store::TokenStore`]. A store adds storage and atomicity: `store.rs` locks what a step is
//! about, lets a pure rule of keyfob decide, and writes the outcome. Lists and counts read all tokens of an owner here; a
//! store for more than some thousands of them puts filter and order into its SQL.
//!
//! `scripts/servers run cargo test --example own_store --features postgres` holds it to every clause of the contract.

mod store;

use std::{env, error::Error};

use deadpool_postgres::{Manager, Pool};
use keyfob::{ApiTokens, NewToken, Owner};
use tokio_postgres::{Config, NoTls};

use self::store::{On, PoolStore};

/// Makes the tables where they are not there.
async fn open(url: &str) -> Result<PoolStore, Box<dyn Error>> {
    let mut config: Config = url.parse()?;
    // So that nobody whose step was dropped goes on waiting for a lock with a connection of the pool.
    let options = format!("{} -c lock_timeout=5s", config.get_options().unwrap_or_default());
    config.options(options);
    let pool = Pool::builder(Manager::new(config, NoTls)).max_size(8).build()?;
    pool.get().await?.batch_execute(include_str!("schema.sql")).await?;
    Ok(PoolStore(pool))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").map_err(
        |_| "DATABASE_URL is not set: name a database, such as postgres://localhost/app",
    )?;
    let store = open(&url).await?;
    let pool = store.0.clone();
    let tokens = ApiTokens::builder(store).prefix("acme").build()?;
    let background = tokio::spawn(tokens.background());

    // The application's own statement and the first token of a project happen together, or not at all.
    let mut client = pool.get().await?;
    client.batch_execute("CREATE TEMPORARY TABLE projects (name text)").await?;
    let transaction = client.transaction().await?;
    transaction.execute("INSERT INTO projects VALUES ('blog')", &[]).await?;
    let new = NewToken::new(Owner::new("project:blog")?, "first");
    let pending = tokens.issue_within(&On::new(&transaction), new).await?;
    transaction.commit().await?;
    let issued = pending.committed().await;
    println!("issued:   {}", issued.record.public_part());

    let verified = tokens.verify(issued.plain.expose_secret()).await?;
    println!("verified: {} of {}", verified.name(), verified.owner());
    tokens.owned_by(verified.owner()).revoke(verified.id()).await?;
    let refused = tokens.verify(issued.plain.expose_secret()).await;
    println!("revoked:  {}", refused.err().map_or("still good".into(), |it| it.to_string()));

    tokens.close().await?;
    background.await?;
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests;
