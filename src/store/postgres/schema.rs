use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::{
    store::sql::{OpenError, fold_names},
    token::{InvalidValue, Rule},
};

use super::{engine::Postgres, error::failed};

/// In order.
const MIGRATIONS: [(i64, &str); 2] =
    [(1, include_str!("0001_tokens.sql")), (2, include_str!("0002_lists.sql"))];

const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Any number, as long as everyone has the same: `keyfob` in ASCII.
const LOCK: i64 = 0x6b65_7966_6f62;

/// The longest name that PostgreSQL knows, of a schema or a channel.
const LONGEST_NAME: usize = 63;

const INVALID: InvalidValue =
    Rule::other("must be 1 to 63 of [a-z0-9_] that do not begin with a digit").broken_by("schema");

fn check(schema: &str) -> Result<&str, InvalidValue> {
    let is_name = (1..=LONGEST_NAME).contains(&schema.len())
        && !schema.starts_with(|first: char| first.is_ascii_digit())
        && schema.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if is_name { Ok(schema) } else { Err(INVALID) }
}

fn quoted(schema: &str) -> String {
    format!("\"{}\"", schema.replace('"', "\"\""))
}

pub(super) fn table_name(schema: &str, table: &str) -> String {
    format!("{}.keyfob_{table}", quoted(schema))
}

/// The channel on which those who keep tokens in a schema tell each other what changed.
pub(super) fn channel(schema: &str) -> String {
    let channel = format!("keyfob_{schema}");
    if channel.len() <= LONGEST_NAME {
        return channel;
    }
    format!("keyfob_{:08x}", crc32fast::hash(schema.as_bytes()))
}

pub(super) fn sql(schema: Option<&str>) -> Result<String, InvalidValue> {
    let migrations =
        MIGRATIONS.map(|(version, migration)| migration.to_owned() + &record_version(version));
    let migrations = migrations.join("\n");
    let Some(schema) = schema else { return Ok(migrations) };
    let schema = check(schema)?;
    Ok(format!(
        "CREATE SCHEMA IF NOT EXISTS \"{schema}\";\nSET search_path TO \"{schema}\";\n\n{migrations}"
    ))
}

/// Returns the statement that records a version.
fn record_version(version: i64) -> String {
    format!(
        "\nINSERT INTO keyfob_migrations (version) VALUES ({version}) ON CONFLICT DO NOTHING;\n"
    )
}

/// Brings the tables to the latest version, and tells the schema that they are in. Where they are, nothing is written:
/// a database that can only be read will do.
pub(super) async fn migrate(pool: &PgPool, schema: Option<&str>) -> Result<String, OpenError> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    check_encoding(&mut connection).await?;
    let schema = match schema {
        Some(schema) => check(schema)?.to_owned(),
        None => on_the_search_path(&mut connection).await?,
    };
    if version(&mut connection, &schema).await? == KNOWN {
        check_rights(&mut connection, &schema).await?;
        return Ok(schema);
    }
    // A connection that is dropped midway must not go back with a lock that it holds.
    connection.close_on_drop();
    let mut transaction =
        connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(failed)?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(&mut *transaction).await.map_err(failed)?;
    // Another process may have been first.
    let found = version(&mut transaction, &schema).await?;
    let place = quoted(&schema);
    let exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    if !does_exist(&mut transaction, exists, &schema).await? {
        let make = format!("CREATE SCHEMA IF NOT EXISTS {place}");
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *transaction).await.map_err(failed)?;
    }
    let path = format!("SET LOCAL search_path TO {place}");
    sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut *transaction).await.map_err(failed)?;
    for (version, migration) in MIGRATIONS.into_iter().filter(|(version, _)| *version > found) {
        sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(failed)?;
        if version == 2 {
            let table_name = |table: &str| table_name(&schema, table);
            fold_names::<Postgres>(&mut transaction, &table_name).await.map_err(failed)?;
        }
        sqlx::raw_sql(AssertSqlSafe(record_version(version)))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    check_rights(&mut transaction, &schema).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(schema)
}

/// Owners and names may have any character.
async fn check_encoding(connection: &mut PgConnection) -> Result<(), OpenError> {
    for setting in ["server_encoding", "client_encoding"] {
        let found = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
        let found: String = found.fetch_one(&mut *connection).await.map_err(failed)?;
        if found != "UTF8" {
            return Err(OpenError::Setting { setting, found, needed: "UTF8" });
        }
    }
    Ok(())
}

/// Refuses a role that lacks a right that the steps need. In a database that can only be read, nothing is written.
async fn check_rights(connection: &mut PgConnection, schema: &str) -> Result<(), OpenError> {
    const ALL: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];
    let role: String = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let read_only = "SELECT current_setting('transaction_read_only') = 'on'";
    let read_only: bool =
        sqlx::query_scalar(read_only).fetch_one(&mut *connection).await.map_err(failed)?;
    for (table, needed) in [("tokens", &ALL[..]), ("owners", &ALL), ("canaries", &ALL[..2])] {
        let table = table_name(schema, table);
        for right in &needed[..if read_only { 1 } else { needed.len() }] {
            // A table that is not there is for the first step to find.
            let has = "SELECT coalesce(has_table_privilege(to_regclass($1), $2), true)";
            let has = sqlx::query_scalar(has).bind(&table).bind(right);
            if !has.fetch_one(&mut *connection).await.map_err(failed)? {
                return Err(OpenError::MissingRight { role, right: (*right).to_owned(), table });
            }
        }
        let hides = "SELECT coalesce(row_security_active(to_regclass($1)), false)";
        if sqlx::query_scalar(hides)
            .bind(&table)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?
        {
            return Err(OpenError::RowSecurity { role, table });
        }
    }
    Ok(())
}

/// The schema that has the tables, or else the one that they would be made in.
async fn on_the_search_path(connection: &mut PgConnection) -> Result<String, OpenError> {
    let schema = "SELECT coalesce(
        (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE pg_class.oid = to_regclass('keyfob_migrations')),
        current_schema())";
    let found: Option<String> =
        sqlx::query_scalar(schema).fetch_one(&mut *connection).await.map_err(failed)?;
    let Some(schema) = found else {
        let search_path = "SELECT current_setting('search_path')";
        let search_path =
            sqlx::query_scalar(search_path).fetch_one(connection).await.map_err(failed)?;
        return Err(OpenError::NoSchema { search_path });
    };
    Ok(schema)
}

async fn version(connection: &mut PgConnection, schema: &str) -> Result<i64, OpenError> {
    let history = table_name(schema, "migrations");
    let exists = "SELECT EXISTS (SELECT FROM pg_tables
        WHERE schemaname = $1 AND tablename = 'keyfob_migrations')";
    if !does_exist(connection, exists, schema).await? {
        return Ok(0);
    }
    let latest = format!("SELECT coalesce(max(version), 0) FROM {history}");
    let found =
        sqlx::query_scalar(AssertSqlSafe(latest)).fetch_one(connection).await.map_err(failed)?;
    if found > KNOWN {
        return Err(OpenError::Newer { found, known: KNOWN });
    }
    Ok(found)
}

/// The catalogs are asked, because `to_regclass` remembers what there was before a lock was waited for.
async fn does_exist(
    connection: &mut PgConnection,
    exists: &'static str,
    schema: &str,
) -> Result<bool, OpenError> {
    Ok(sqlx::query_scalar(exists).bind(schema).fetch_one(connection).await.map_err(failed)?)
}
