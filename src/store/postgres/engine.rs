use sqlx::{
    Arguments as _, PgConnection, Row as _, SqlStr,
    postgres::{PgArguments, PgRow},
    types::Uuid,
};

use crate::{
    store::{
        BoxError, CorruptRecord, StoreError,
        sql::{self, Engine, Transaction, Types, Value},
    },
    token::{TokenId, TokenRecord},
};

use super::error;

#[derive(Debug)]
pub(super) struct Postgres;

impl Engine for Postgres {
    type Lender = sql::Lender<Self>;
    type Database = sqlx::Postgres;

    /// Who gave up waiting for a lock is not known to the server, where the step would go on waiting, with all that it
    /// has locked itself.
    const OWN: Transaction = Transaction {
        begin: "BEGIN ISOLATION LEVEL READ COMMITTED;
            SELECT set_config('lock_timeout', '5s', true) WHERE current_setting('lock_timeout') = '0'",
        commit: "COMMIT",
        rollback: "ROLLBACK",
    };
    const NESTED: Transaction = Transaction {
        begin: "SAVEPOINT keyfob",
        commit: "RELEASE SAVEPOINT keyfob",
        rollback: "ROLLBACK TO SAVEPOINT keyfob",
    };
    const OUTSIDE: (Transaction, &'static str, Transaction) = (Self::NESTED, "25P01", Self::OWN);
    const TELL: Option<&'static str> = Some("SELECT pg_notify(?, ?)");
    const OUTLIVES_DROPPED_FUTURES: bool = true;

    /// A list is one array.
    const LONGEST_LIST: usize = usize::MAX;
    const SHORTER_LISTS: &'static [usize] = &[];

    const BIGINT: &'static str = "bigint";
    const TEXT_OF_BYTES: &'static str = "?";
    const FIND_PACKED: Option<&'static str> = None;
    const OR_NOTHING: &'static str = "ON CONFLICT DO NOTHING";
    /// Each statement does, but where the caller's transaction wants it otherwise.
    const CURRENT: &'static str = "";
    const SEES_LATEST: Option<&'static str> =
        Some("SELECT (current_setting('transaction_isolation') = 'read committed')::int::bigint");
    /// Only rows are locked.
    const BY_ID: &'static str = "";
    const BY_OWNER: &'static str = "";
    const CHILDREN: &'static str = "SELECT id FROM (
            SELECT id FROM {tokens} WHERE parent IN (?..) AND id >= ? OFFSET 0
        ) AS children ORDER BY id LIMIT ?";
    /// It is changed, so that a transaction of the caller's which has seen less fails rather than counts too few.
    const LOCK_OWNER: Option<&'static str> = Some(
        "INSERT INTO {owners} AS kept (owner, changes) VALUES (?, 1)
        ON CONFLICT (owner) DO UPDATE SET changes = kept.changes + 1",
    );

    const DELETE: &'static str = "DELETE FROM {tokens} WHERE id IN (?..)";

    const RECORD_USES: &'static str = "WITH locked AS (
            SELECT kept.id, noted.used_at, noted.used_from
            FROM unnest(?, ?, ?) AS noted (id, used_at, used_from)
                JOIN {tokens} AS kept ON kept.id = noted.id
            WHERE kept.last_used_at IS NULL OR kept.last_used_at < noted.used_at
            ORDER BY kept.id FOR UPDATE OF kept)
        UPDATE {tokens} AS kept
        SET last_used_at = locked.used_at, last_used_from = locked.used_from
        FROM locked WHERE kept.id = locked.id";

    const WRITE_TEXTS: &'static str = "UPDATE {tokens} AS kept
        SET {column} = noted.text
        FROM unnest(?, ?) AS noted (id, text) WHERE kept.id = noted.id";

    fn render(statement: &str, _: usize) -> String {
        let statement = statement.replace("instr(", "strpos(").replace("IN (?..)", "= ANY (?)");
        let statement = statement.replace("LOCK IN SHARE MODE", "FOR SHARE");
        let mut parts = statement.split('?');
        let begin = parts.next().unwrap_or_default().to_owned();
        parts.zip(1..).fold(begin, |rendered, (part, number)| format!("{rendered}${number}{part}"))
    }

    fn bind(arguments: &mut PgArguments, value: &Value<'_>) -> Result<(), BoxError> {
        match value {
            Value::Id(id) => arguments.add(id.map(uuid)),
            Value::Integer(number) => arguments.add(number),
            Value::Bool(truth) => arguments.add(truth),
            Value::Text(text) => arguments.add(text.map(str::from_utf8).transpose()?),
            Value::Beginning(bytes) => arguments.add(longest_text(bytes)),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Ids(ids) => arguments.add(uuids(ids.iter())),
            Value::Uses(uses) => {
                arguments.add(uuids(uses.iter().map(|it| &it.id)))?;
                arguments.add(uses.iter().map(|it| it.at.unix_seconds()).collect::<Vec<_>>())?;
                let from = uses.iter().map(|it| it.from.map(|from| from.to_string()));
                arguments.add(from.collect::<Vec<_>>())
            }
            Value::Texts(used) => {
                arguments.add(uuids(used.iter().map(|(id, _)| id)))?;
                arguments.add(used.iter().map(|(_, used)| used.as_str()).collect::<Vec<_>>())
            }
        }
    }

    async fn fetch(
        connection: &mut PgConnection,
        statement: SqlStr,
        arguments: PgArguments,
    ) -> sqlx::Result<Vec<PgRow>> {
        sqlx::query_with(statement, arguments).fetch_all(connection).await
    }

    async fn execute(
        connection: &mut PgConnection,
        statement: SqlStr,
        arguments: PgArguments,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query_with(statement, arguments).execute(connection).await?;
        Ok(done.rows_affected())
    }

    async fn run(connection: &mut PgConnection, statements: SqlStr) -> sqlx::Result<()> {
        sqlx::raw_sql(statements).execute(connection).await.map(drop)
    }

    fn record(row: &PgRow) -> Result<TokenRecord, CorruptRecord> {
        sql::record(row, Types::OfColumns)
    }

    fn bytes(row: &PgRow, column: usize) -> sqlx::Result<Option<Vec<u8>>> {
        row.try_get_unchecked(column)
    }

    fn integer(row: &PgRow, column: usize) -> sqlx::Result<Option<i64>> {
        row.try_get_unchecked(column)
    }

    fn is_spoilt(error: &sqlx::Error) -> bool {
        error::is_spoilt(error)
    }

    fn failed(error: sqlx::Error) -> StoreError {
        error::failed(error)
    }
}

fn uuid(id: TokenId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

fn uuids<'i>(ids: impl Iterator<Item = &'i TokenId>) -> Vec<Uuid> {
    ids.copied().map(uuid).collect()
}

/// What of these bytes can be in a text here: it is UTF-8 and has no NUL. No text is between this and the bytes.
fn longest_text(bytes: &[u8]) -> &str {
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    text.split('\0').next().unwrap_or_default()
}
