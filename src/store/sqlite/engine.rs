use sqlx::{
    Arguments as _, Row as _, SqlStr, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::{
    store::{
        BoxError, CorruptRecord, StoreError,
        contract::{SharedRecord, StoredRow},
        sql::{self, Engine, Kind, Transaction, Types, Value},
    },
    token::{TokenId, TokenRecord},
};

use super::{error, pools::Pools};

#[derive(Debug)]
pub(super) struct Sqlite;

impl Engine for Sqlite {
    type Lender = Pools;
    type Database = sqlx::Sqlite;

    /// A list is one text.
    const LONGEST_LIST: usize = usize::MAX;
    const SHORTER_LISTS: &'static [usize] = &[];

    /// It begins as a writer, so that what is read is still true when it is written.
    const OWN: Transaction =
        Transaction { begin: "BEGIN IMMEDIATE", commit: "COMMIT", rollback: "ROLLBACK" };
    const NESTED: Transaction = Transaction {
        begin: "SAVEPOINT keyfob",
        commit: "RELEASE keyfob",
        rollback: "ROLLBACK TO keyfob; RELEASE keyfob",
    };
    /// Outside a transaction a savepoint would begin one that is no writer.
    const OUTSIDE: (Transaction, &'static str, Transaction) =
        (Self::OWN, error::NOT_POSSIBLE, Self::NESTED);
    const TELL: Option<&'static str> = None;
    const OUTLIVES_DROPPED_FUTURES: bool = true;

    const LOCK_OWNER: Option<&'static str> = None;
    const OR_NOTHING: &'static str = "ON CONFLICT DO NOTHING";
    const CURRENT: &'static str = "";
    const SEES_LATEST: Option<&'static str> = None;
    const BY_ID: &'static str = "";
    const BY_OWNER: &'static str = "";
    const CHILDREN: &'static str = "SELECT id FROM {tokens}
        WHERE parent IN (?..) AND id >= ? ORDER BY id LIMIT ?";
    const BIGINT: &'static str = "INTEGER";
    const TEXT_OF_BYTES: &'static str = "CAST(? AS TEXT)";

    const DELETE: &'static str = "DELETE FROM {tokens} WHERE id IN (?..)";

    /// One JSON text costs the driver a fraction of what as many rows of as many values do.
    const FIND_PACKED: Option<&'static str> =
        Some("SELECT json_group_array(json_array({packed})) FROM {tokens} WHERE id IN (?..)");

    const RECORD_USES: &'static str = "UPDATE {tokens} AS kept
        SET last_used_at = noted.used_at, last_used_from = noted.used_from
        FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS used_at, value ->> 2 AS used_from
            FROM json_each(?)) AS noted
        WHERE kept.id = noted.id
            AND (kept.last_used_at IS NULL OR kept.last_used_at < noted.used_at)";

    const WRITE_TEXTS: &'static str = "UPDATE {tokens} AS kept
        SET {column} = noted.text
        FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS text FROM json_each(?)) AS noted
        WHERE kept.id = noted.id";

    fn render(statement: &str, _: usize) -> String {
        statement
            .replace("IN (?..)", "IN (SELECT unhex(value) FROM json_each(?))")
            .replace("{packed}", &sql::listed(packed))
            .replace("FOR UPDATE", "")
            .replace("LOCK IN SHARE MODE", "")
            .replace("GREATEST(", "max(")
            .replace("key_id", "key")
    }

    fn bind(arguments: &mut SqliteArguments, value: &Value<'_>) -> Result<(), BoxError> {
        match value {
            Value::Id(id) => arguments.add(id.map(|id| id.to_bytes().to_vec())),
            Value::Integer(number) => arguments.add(*number),
            Value::Bool(truth) => arguments.add(*truth),
            Value::Text(Some(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => arguments.add(text.to_owned()),
                // It is equal to none, as it should be.
                Err(_) => arguments.add(bytes.to_vec()),
            },
            Value::Text(None) => arguments.add(None::<String>),
            Value::Beginning(bytes) => arguments.add(bytes.to_vec()),
            Value::Bytes(bytes) => arguments.add(bytes.map(<[u8]>::to_vec)),
            Value::Ids(ids) => arguments.add(json(ids.iter().map(|id| hex(*id).into()))),
            Value::Uses(uses) => arguments.add(json(uses.iter().map(|it| {
                let from = it.from.map(|from| from.to_string());
                serde_json::json!([hex(it.id), it.at.unix_seconds(), from])
            }))),
            Value::Texts(used) => {
                let used = used.iter().map(|(id, used)| serde_json::json!([hex(*id), used]));
                arguments.add(json(used))
            }
        }
    }

    /// All rows are fetched: where only the first one is, a commit that fails goes unnoticed.
    async fn fetch(
        connection: &mut SqliteConnection,
        statement: SqlStr,
        arguments: SqliteArguments,
    ) -> sqlx::Result<Vec<SqliteRow>> {
        sqlx::query_with(statement, arguments).fetch_all(connection).await
    }

    /// The end of the rows is not waited for: it would be a message more from sqlx's thread, 4 % of a verification.
    async fn fetch_row(
        connection: &mut SqliteConnection,
        statement: SqlStr,
        arguments: SqliteArguments,
    ) -> sqlx::Result<Option<SqliteRow>> {
        sqlx::query_with(statement, arguments).fetch_optional(connection).await
    }

    async fn execute(
        connection: &mut SqliteConnection,
        statement: SqlStr,
        arguments: SqliteArguments,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query_with(statement, arguments).execute(connection).await?;
        Ok(done.rows_affected())
    }

    async fn run(connection: &mut SqliteConnection, statements: SqlStr) -> sqlx::Result<()> {
        sqlx::raw_sql(statements).execute(connection).await.map(drop)
    }

    fn record(row: &SqliteRow) -> Result<TokenRecord, CorruptRecord> {
        sql::record(row, Types::OfValues)
    }

    fn bytes(row: &SqliteRow, column: usize) -> sqlx::Result<Option<Vec<u8>>> {
        row.try_get_unchecked(column)
    }

    fn integer(row: &SqliteRow, column: usize) -> sqlx::Result<Option<i64>> {
        row.try_get(column)
    }

    fn unpacked(rows: &[SqliteRow]) -> Option<Vec<SharedRecord>> {
        let rows: Vec<StoredRow> = serde_json::from_str(rows.first()?.try_get(0).ok()?).ok()?;
        rows.into_iter().map(|row| row.into_record().ok().map(SharedRecord::from)).collect()
    }

    /// Where a file can't be read or written, another connection may.
    fn is_spoilt(error: &sqlx::Error) -> bool {
        error::is_unavailable(error)
    }

    fn failed(error: sqlx::Error) -> StoreError {
        error::failed(error)
    }
}

/// A column as [`StoredRow`] is read from JSON.
fn packed(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Id | Kind::Bytes => format!("iif({column} IS NULL, NULL, hex({column}))"),
        Kind::Flag => format!("json(iif({column}, 'true', 'false'))"),
        Kind::Plain => column.to_owned(),
    }
}

fn json(list: impl Iterator<Item = serde_json::Value>) -> String {
    serde_json::Value::Array(list.collect()).to_string()
}

fn hex(id: TokenId) -> String {
    hex::encode(id.to_bytes())
}
