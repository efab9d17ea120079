use sqlx::{Connection, SqliteConnection};

use crate::store::sql::{Engine, OpenError, fold_names};

use super::{engine::Sqlite, error::failed};

/// The tables of the latest version, for a database that has none: SQLite adds a column only once, so that migrations
/// could not be run again by hand.
pub(super) const SCHEMA: &str = include_str!("tables.sql");

const KNOWN: i64 = 2;

/// Brings the tables of the version before to the latest.
const MIGRATION: &str = include_str!("0002_lists.sql");

/// Brings the tables to the latest version. Where they are, nothing is written: a read-only database will do.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let found: String =
        sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut *connection).await.map_err(failed)?;
    if found != "UTF-8" {
        return Err(OpenError::Setting { setting: "encoding", found, needed: "UTF-8" });
    }
    if version(connection).await? == KNOWN {
        return Ok(());
    }
    let mut transaction = connection.begin_with(Sqlite::OWN.begin).await.map_err(failed)?;
    // Another process may have been first.
    let found = version(&mut transaction).await?;
    if found < KNOWN {
        let tables = if found == 0 { SCHEMA } else { MIGRATION };
        sqlx::raw_sql(tables).execute(&mut *transaction).await.map_err(failed)?;
        fold_names::<Sqlite>(&mut transaction, &super::table_name).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(())
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, OpenError> {
    let history = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'keyfob_migrations')";
    if !sqlx::query_scalar::<_, bool>(history).fetch_one(&mut *connection).await.map_err(failed)? {
        return Ok(0);
    }
    let latest = "SELECT coalesce(max(version), 0) FROM keyfob_migrations";
    let found = sqlx::query_scalar(latest).fetch_one(connection).await.map_err(failed)?;
    if found > KNOWN {
        return Err(OpenError::Newer { found, known: KNOWN });
    }
    Ok(found)
}
