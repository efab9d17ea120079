use sqlx::{Connection, SqliteConnection};

use super::{SqliteOpenError, session};

pub(super) const SCHEMA: &str = include_str!("0001_tokens.sql");

/// In order; each one notes its version itself, so that running them by hand is the same.
const MIGRATIONS: [(i64, &str); 1] = [(1, SCHEMA)];

const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Brings the tables to the latest version. Where they are, nothing is written: a read-only database will do.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), SqliteOpenError> {
    let found: String = sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut *connection).await?;
    if found != "UTF-8" {
        return Err(SqliteOpenError::Encoding { found });
    }
    if version(connection).await? == KNOWN {
        return Ok(());
    }
    let mut transaction = connection.begin_with(session::BEGIN).await?;
    // Another process may have been first.
    let found = version(&mut transaction).await?;
    for (_, migration) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, SqliteOpenError> {
    let history = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'keyfob_migrations')";
    if !sqlx::query_scalar::<_, bool>(history).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    let latest = "SELECT coalesce(max(version), 0) FROM keyfob_migrations";
    let found = sqlx::query_scalar(latest).fetch_one(connection).await?;
    if found > KNOWN {
        return Err(SqliteOpenError::Newer { found, known: KNOWN });
    }
    Ok(found)
}
