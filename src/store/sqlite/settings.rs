use std::fmt;

use sqlx::{Row, SqliteConnection, SqlitePool};

/// A setting of the application's pool that puts tokens at risk.
///
/// Its text says what is at risk and what to set. keyfob changes no setting of a pool that is not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqliteWarning {
    /// The database is in memory.
    InMemory {
        /// How many connections the pool may open.
        connections: u32,
    },
    /// `journal_mode` is `memory` or `off`.
    UnsafeJournal {
        /// The mode.
        mode: String,
    },
    /// `journal_mode` is not `wal`.
    RollbackJournal {
        /// The mode.
        mode: String,
    },
    /// `synchronous` is `NORMAL` in a database in WAL mode.
    SynchronousNormal,
    /// `synchronous` is `OFF`, or `NORMAL` in a database that is not in WAL mode.
    SynchronousUnsafe,
    /// `busy_timeout` is less than a second.
    ShortBusyTimeout {
        /// The time-out.
        milliseconds: i64,
    },
}

impl fmt::Display for SqliteWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InMemory { connections: 1 } => f.write_str(
                "the database is in memory: all tokens and revocations are gone with its \
                 connection; use a file",
            ),
            Self::InMemory { connections } => write!(
                f,
                "the database is in memory and the pool may open {connections} connections: each \
                 may have a database of its own, and all is gone with the last one; use a file"
            ),
            Self::UnsafeJournal { mode } => write!(
                f,
                "journal_mode is {mode}: a crash during a write can destroy the database; set \
                 journal_mode=WAL"
            ),
            Self::RollbackJournal { mode } => write!(
                f,
                "journal_mode is {mode}: verifying waits for every write, and a power cut can \
                 undo the last revocation unless synchronous=EXTRA; set journal_mode=WAL"
            ),
            Self::SynchronousNormal => f.write_str(
                "synchronous is NORMAL: a power cut can lose the last revocations; set \
                 synchronous=FULL",
            ),
            Self::SynchronousUnsafe => f.write_str(
                "synchronous is too low: a power cut can lose the last revocations and destroy \
                 the database; set synchronous=FULL",
            ),
            Self::ShortBusyTimeout { milliseconds } => write!(
                f,
                "busy_timeout is {milliseconds} ms: writes fail as soon as another one takes \
                 longer; set busy_timeout=5000"
            ),
        }
    }
}

/// The file of the database; a database in memory has none.
pub(super) async fn has_file(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let databases = sqlx::query("PRAGMA database_list").fetch_all(connection).await?;
    let main =
        databases.iter().find(|row| row.try_get("name").is_ok_and(|name: &str| name == "main"));
    Ok(main.is_some_and(|row| row.try_get("file").is_ok_and(|file: &str| !file.is_empty())))
}

pub(super) async fn warnings(
    pool: &SqlitePool,
    connection: &mut SqliteConnection,
) -> Result<Vec<SqliteWarning>, sqlx::Error> {
    if !has_file(connection).await? {
        let connections = pool.options().get_max_connections();
        return Ok(vec![SqliteWarning::InMemory { connections }]);
    }
    let mut warnings = Vec::new();
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let wal = mode == "wal";
    match mode.as_str() {
        "wal" => (),
        "memory" | "off" => warnings.push(SqliteWarning::UnsafeJournal { mode }),
        _ => warnings.push(SqliteWarning::RollbackJournal { mode }),
    }
    match sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await? {
        1 if wal => warnings.push(SqliteWarning::SynchronousNormal),
        0 | 1 => warnings.push(SqliteWarning::SynchronousUnsafe),
        _ => (),
    }
    let milliseconds = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(connection).await?;
    if milliseconds < 1000 {
        warnings.push(SqliteWarning::ShortBusyTimeout { milliseconds });
    }
    Ok(warnings)
}
