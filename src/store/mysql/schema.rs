use sqlx::{AssertSqlSafe, MySqlConnection, MySqlPool};

use crate::{
    store::{
        StoreError,
        sql::{OpenError, fold_names},
    },
    token::{InvalidValue, Rule},
};

use super::{
    engine::MySql,
    error::{failed, is_denied, is_locked},
};

/// In order.
const MIGRATIONS: [(i64, &str); 2] =
    [(1, include_str!("0001_tokens.sql")), (2, include_str!("0002_lists.sql"))];

const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// MySQL knows names of up to 64, and `tokens_readable` is the longest.
const LONGEST_PREFIX: usize = 64 - "tokens_readable".len();

/// For how long another process may migrate.
const LOCK_SECONDS: i64 = 60;

/// Tables of the same prefix in another database have another lock.
const LOCK: &str = "CONCAT('keyfob.', CRC32(CONCAT_WS('.', DATABASE(), ?)))";

const INVALID: InvalidValue = Rule::other("must be 1 to 49 of [a-z0-9_]").broken_by("table_prefix");

pub(super) fn check(prefix: &str) -> Result<&str, InvalidValue> {
    let is_prefix = (1..=LONGEST_PREFIX).contains(&prefix.len())
        && prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if is_prefix { Ok(prefix) } else { Err(INVALID) }
}

pub(super) fn sql(prefix: &str) -> Result<String, InvalidValue> {
    let prefix = check(prefix)?;
    let migrations =
        MIGRATIONS.map(|(version, migration)| migration.to_owned() + &record_version(version));
    Ok(migrations.join("\n").replace("{prefix}", prefix))
}

/// Returns the statement that records a version.
fn record_version(version: i64) -> String {
    format!(
        "\nINSERT INTO `{{prefix}}migrations` (version) VALUES ({version})
    ON DUPLICATE KEY UPDATE version = version;\n"
    )
}

/// Brings the tables to the latest version. Where they are, nothing is written: a server that can only be read will do.
pub(super) async fn migrate(pool: &MySqlPool, prefix: &str) -> Result<(), OpenError> {
    let prefix = check(prefix)?;
    let mut connection = pool.acquire().await.map_err(failed)?;
    check_session(&mut connection).await?;
    if version(&mut connection, prefix).await? == KNOWN {
        return check_rights(&mut connection, prefix).await;
    }
    // A connection that is dropped midway must not go back with a lock that it holds.
    connection.close_on_drop();
    let lock = AssertSqlSafe(format!("SELECT GET_LOCK({LOCK}, {LOCK_SECONDS})"));
    let lock: Option<i64> =
        sqlx::query_scalar(lock).bind(prefix).fetch_one(&mut *connection).await.map_err(failed)?;
    if lock != Some(1) {
        let cause = "another process migrates the token tables and does not come to an end";
        return Err(StoreError::Busy(cause.into()).into());
    }
    // Another process may have been first.
    let found = version(&mut connection, prefix).await?;
    for (version, migration) in MIGRATIONS.into_iter().filter(|(version, _)| *version > found) {
        let migration = AssertSqlSafe(migration.replace("{prefix}", prefix));
        sqlx::raw_sql(migration).execute(&mut *connection).await.map_err(failed)?;
        if version == 2 {
            let table_name = |table: &str| super::table_name(prefix, table);
            fold_names::<MySql>(&mut connection, &table_name).await.map_err(failed)?;
        }
        let record = AssertSqlSafe(record_version(version).replace("{prefix}", prefix));
        sqlx::raw_sql(record).execute(&mut *connection).await.map_err(failed)?;
    }
    let release = AssertSqlSafe(format!("DO RELEASE_LOCK({LOCK})"));
    sqlx::query(release).bind(prefix).execute(&mut *connection).await.map_err(failed)?;
    check_rights(&mut connection, prefix).await
}

/// What each right is for, on no row: the server asks for the right before it looks for rows.
const RIGHTS: [(&str, &str); 4] = [
    ("SELECT", "SELECT 1 FROM `{table}` WHERE FALSE"),
    ("INSERT", "INSERT INTO `{table}` ({column}) SELECT {column} FROM `{table}` WHERE FALSE"),
    ("UPDATE", "UPDATE `{table}` SET {column} = {column} WHERE FALSE"),
    ("DELETE", "DELETE FROM `{table}` WHERE FALSE"),
];

/// Refuses a user that lacks a right that the steps need. Rights can come from roles and patterns, so the server has to
/// say. Whatever else it refuses, such as a write where it can only be read, is for the first step to find. A table that
/// somebody has locked is not waited for.
async fn check_rights(connection: &mut MySqlConnection, prefix: &str) -> Result<(), OpenError> {
    let briefly = "SET @keyfob_table_wait = @@lock_wait_timeout, lock_wait_timeout = 1";
    sqlx::raw_sql(briefly).execute(&mut *connection).await.map_err(failed)?;
    let missing = missing_right(connection, prefix).await;
    let restore = "SET lock_wait_timeout = @keyfob_table_wait";
    sqlx::raw_sql(restore).execute(&mut *connection).await.map_err(failed)?;
    let Some((right, table)) = missing else {
        return Ok(());
    };
    let role =
        sqlx::query_scalar("SELECT CURRENT_USER()").fetch_one(connection).await.map_err(failed)?;
    Err(OpenError::MissingRight { role, right: right.to_owned(), table })
}

async fn missing_right(
    connection: &mut MySqlConnection,
    prefix: &str,
) -> Option<(&'static str, String)> {
    let tables = [("tokens", "name", 4), ("owners", "owner", 4), ("canaries", "key_id", 2)];
    for (table, column, needed) in tables {
        let table = format!("{prefix}{table}");
        for (right, statement) in &RIGHTS[..needed] {
            let statement = statement.replace("{table}", &table).replace("{column}", column);
            let outcome = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await;
            match outcome {
                Err(error) if is_denied(&error) => return Some((right, table)),
                Err(error) if is_locked(&error) => return None,
                _ => {}
            }
        }
    }
    None
}

/// The settings that the statements rely on: the name, a condition that holds if the value is right, and the rule in
/// words. The server compares, because the setting may be one that garbles what the client reads.
const SETTINGS: [(&str, &str, &str); 9] = [
    // A text of UTF-16 would be written where one of a byte a character is meant.
    (
        "character_set_connection",
        "@@character_set_connection NOT REGEXP '^(ucs2|utf16|utf32)'",
        WITH_ASCII,
    ),
    (
        "character_set_results",
        "COALESCE(@@character_set_results NOT REGEXP '^(ucs2|utf16|utf32)', 1)",
        WITH_ASCII,
    ),
    // A revocation of all tokens would end as many as a result may have rows.
    ("sql_select_limit", "@@sql_select_limit >= 18446744073709551615", WITHOUT_LIMIT),
    (
        "sql_mode",
        "NOT FIND_IN_SET('EMPTY_STRING_IS_NULL', @@sql_mode)",
        "without EMPTY_STRING_IS_NULL",
    ),
    ("sql_safe_updates", "NOT @@sql_safe_updates", "off"),
    ("sql_big_selects", "@@sql_big_selects", "on"),
    // Two equal keys in one transaction would go unnoticed until nothing of it is kept.
    ("unique_checks", "@@unique_checks", "on"),
    // Transactions that read what was committed can't be written to it.
    (
        "binlog_format",
        "NOT @@log_bin OR @@binlog_format <> 'STATEMENT'",
        "ROW or MIXED, where log_bin is on",
    ),
    // A row would not fit.
    ("innodb_page_size", "@@innodb_page_size >= 8192", "at least 8192"),
];

const WITHOUT_LIMIT: &str = "without a limit";
const WITH_ASCII: &str = "a character set whose ASCII characters have one byte";

/// The isolation level has one name on MariaDB and another on MySQL.
async fn check_session(connection: &mut MySqlConnection) -> Result<(), OpenError> {
    for (setting, is_right, needed) in SETTINGS {
        let is_right = AssertSqlSafe(format!("SELECT CAST(({is_right}) AS SIGNED)"));
        let row: Option<Option<i64>> =
            sqlx::query_scalar(is_right).fetch_optional(&mut *connection).await.map_err(failed)?;
        let Some(is_right) = row else {
            let (setting, needed) = ("sql_select_limit", WITHOUT_LIMIT);
            return Err(OpenError::Setting { setting, found: "0".to_owned(), needed });
        };
        if is_right != Some(1) {
            let found = AssertSqlSafe(format!("SELECT CAST(@@{setting} AS BINARY)"));
            let found: Option<Vec<u8>> =
                sqlx::query_scalar(found).fetch_one(&mut *connection).await.map_err(failed)?;
            let found = String::from_utf8_lossy(&found.unwrap_or_default()).into_owned();
            return Err(OpenError::Setting { setting, found, needed });
        }
    }
    let settings = "SHOW SESSION VARIABLES
        WHERE variable_name IN ('autocommit', 'tx_isolation', 'transaction_isolation')";
    let settings: Vec<(String, String)> =
        sqlx::query_as(settings).fetch_all(connection).await.map_err(failed)?;
    let are = |value| settings.iter().any(|(_, is)| is == value);
    if are("OFF") {
        let (setting, needed) = ("autocommit", "ON: what is acknowledged must be committed");
        return Err(OpenError::Setting { setting, found: "OFF".to_owned(), needed });
    }
    if are("READ-UNCOMMITTED") {
        let found = "READ-UNCOMMITTED".to_owned();
        let needed = "READ-COMMITTED or higher: a revocation that is rolled back must not count";
        return Err(OpenError::Setting { setting: "transaction_isolation", found, needed });
    }
    Ok(())
}

async fn version(connection: &mut MySqlConnection, prefix: &str) -> Result<i64, OpenError> {
    let exists = "SELECT COUNT(*) FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_name = ?";
    let history = format!("{prefix}migrations");
    let tables: i64 = sqlx::query_scalar(exists)
        .bind(&history)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if tables == 0 {
        return Ok(0);
    }
    let latest = format!("SELECT COALESCE(MAX(version), 0) FROM `{history}`");
    let found =
        sqlx::query_scalar(AssertSqlSafe(latest)).fetch_one(connection).await.map_err(failed)?;
    if found > KNOWN {
        return Err(OpenError::Newer { found, known: KNOWN });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_of_letters_that_need_no_quoting_and_leaves_room() {
        for prefix in ["a", "keyfob_", "0_", "_", &"x".repeat(49)] {
            assert_eq!(check(prefix).unwrap(), prefix);
        }
        for prefix in ["", "A", "a-", "a`", "a.", "ä", "a b", &"x".repeat(50)] {
            assert_eq!(check(prefix), Err(INVALID), "{prefix}");
        }
    }
}
