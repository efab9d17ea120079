use std::iter;

use sqlx::{
    Arguments as _, MySqlConnection, Row as _, SqlStr,
    mysql::{MySqlArguments, MySqlRow},
};

use crate::{
    store::{
        BoxError, CorruptRecord, StoreError,
        sql::{self, Engine, Transaction, Types, Value},
    },
    token::{TokenId, TokenRecord},
};

use super::error;

/// A use, and the abilities that a token used: a row each, whose types do not hang on what is bound.
const USE: &str = "SELECT CAST(? AS BINARY(16)) AS id, CAST(? AS SIGNED) AS used_at, CAST(? AS BINARY) AS used_from";
const TEXT: &str = "SELECT CAST(? AS BINARY(16)) AS id, CAST(? AS BINARY) AS text";

/// Bounds the waits for rows and tables as [`OWN`](Engine::OWN) does, for a statement that stands alone or in a
/// transaction of the caller's. MariaDB reads this comment, and MySQL does not.
const WAITS_BRIEFLY: &str = "/*M! SET STATEMENT
    lock_wait_timeout = LEAST(@@lock_wait_timeout, 5),
    innodb_lock_wait_timeout = LEAST(@@innodb_lock_wait_timeout, 5) FOR */ ";

#[derive(Debug)]
pub(super) struct MySql;

impl Engine for MySql {
    type Lender = sql::Lender<Self>;
    type Database = sqlx::MySql;

    /// `READ COMMITTED` locks no gaps, so that owners stay out of each other's way. And if a caller gives up, the server
    /// goes on waiting for a lock, with all that the step has locked itself: for rows no longer than 5 seconds, and for
    /// a table that another statement alters, or a server that is being backed up, the same. `NO CHAIN NO RELEASE`
    /// is the default, which `completion_type` can change: the session would then stay in a transaction.
    const OWN: Transaction = Transaction {
        begin: "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
            SET @keyfob_lock_wait = @@innodb_lock_wait_timeout,
                @keyfob_table_wait = @@lock_wait_timeout,
                innodb_lock_wait_timeout = LEAST(@@innodb_lock_wait_timeout, 5),
                lock_wait_timeout = LEAST(@@lock_wait_timeout, 5);
            START TRANSACTION",
        commit: "COMMIT AND NO CHAIN NO RELEASE; SET innodb_lock_wait_timeout = @keyfob_lock_wait,
            lock_wait_timeout = @keyfob_table_wait",
        rollback:
            "ROLLBACK AND NO CHAIN NO RELEASE; SET innodb_lock_wait_timeout = @keyfob_lock_wait,
            lock_wait_timeout = @keyfob_table_wait",
    };
    /// Outside a transaction a savepoint is not refused, but is gone when it is to be released: at the beginning
    /// already, before anything is written that nobody could take back.
    const NESTED: Transaction = Transaction {
        begin: "SAVEPOINT keyfob; RELEASE SAVEPOINT keyfob; SAVEPOINT keyfob",
        commit: "RELEASE SAVEPOINT keyfob",
        rollback: "ROLLBACK TO SAVEPOINT keyfob",
    };
    const OUTSIDE: (Transaction, &'static str, Transaction) = (Self::NESTED, "42000", Self::OWN);
    const TELL: Option<&'static str> = None;
    /// sqlx forgets that it was preparing a statement, or had read half a packet.
    const OUTLIVES_DROPPED_FUTURES: bool = false;

    const LONGEST_LIST: usize = 512;
    const SHORTER_LISTS: &'static [usize] = &[1, 8, 64];

    /// [`execute`](Self::execute) sees it; `IGNORE` would pass over more than that.
    const BIGINT: &'static str = "SIGNED";
    const TEXT_OF_BYTES: &'static str = "?";
    const FIND_PACKED: Option<&'static str> = None;
    const OR_NOTHING: &'static str = "";
    const CURRENT: &'static str = "FOR UPDATE";
    const SEES_LATEST: Option<&'static str> = None;
    const BY_ID: &'static str = "FORCE INDEX (PRIMARY)";
    // Both indexes have to stay: lists of a node of this version fail without them.
    const BY_OWNER: &'static str = "FORCE INDEX (by_owner_creation, by_name)";
    const CHILDREN: &'static str = "SELECT id FROM {tokens} FORCE INDEX (by_parent)
        WHERE parent IN (?..) AND id >= ? ORDER BY id LIMIT ? {current}";
    const LOCK_OWNER: Option<&'static str> = Some(
        "INSERT INTO {owners} (owner, changes) VALUES (?, 1)
        ON DUPLICATE KEY UPDATE changes = changes + 1",
    );

    /// Spelled so, it can be told which index to take.
    const DELETE: &'static str =
        "DELETE kept FROM {tokens} AS kept FORCE INDEX (PRIMARY) WHERE kept.id IN (?..)";

    /// Row by row in the order of the list. In a small table the optimizer would rather read all, and wait for those
    /// that others have locked.
    const RECORD_USES: &'static str = "UPDATE ({uses}) AS noted
            STRAIGHT_JOIN {tokens} AS kept FORCE INDEX (PRIMARY) ON kept.id = noted.id
        SET kept.last_used_at = noted.used_at, kept.last_used_from = noted.used_from
        WHERE kept.last_used_at IS NULL OR kept.last_used_at < noted.used_at";

    const WRITE_TEXTS: &'static str = "UPDATE ({texts}) AS noted
            STRAIGHT_JOIN {tokens} AS kept FORCE INDEX (PRIMARY) ON kept.id = noted.id
        SET kept.{column} = noted.text";

    fn render(statement: &str, list_size: usize) -> String {
        let repeated = |part: &str, by: &str| vec![part; list_size].join(by);
        format!("{WAITS_BRIEFLY}{statement}")
            .replace("?..", &repeated("?", ", "))
            .replace("{uses}", &repeated(USE, " UNION ALL "))
            .replace("{texts}", &repeated(TEXT, " UNION ALL "))
    }

    fn bind(arguments: &mut MySqlArguments, value: &Value<'_>) -> Result<(), BoxError> {
        match value {
            Value::Id(id) => arguments.add(id.map(bytes)),
            Value::Integer(number) => arguments.add(number),
            Value::Bool(truth) => arguments.add(truth),
            Value::Text(bytes) | Value::Bytes(bytes) => arguments.add(bytes),
            Value::Beginning(bytes) => arguments.add(bytes),
            Value::Ids(ids) => filled(ids).try_for_each(|id| arguments.add(bytes(*id))),
            Value::Uses(uses) => filled(uses).try_for_each(|it| {
                arguments.add(bytes(it.id))?;
                arguments.add(it.at.unix_seconds())?;
                arguments.add(it.from.map(|from| from.to_string().into_bytes()))
            }),
            Value::Texts(used) => filled(used).try_for_each(|(id, used)| {
                arguments.add(bytes(*id))?;
                arguments.add(used.as_bytes())
            }),
        }
    }

    async fn fetch(
        connection: &mut MySqlConnection,
        statement: SqlStr,
        arguments: MySqlArguments,
    ) -> sqlx::Result<Vec<MySqlRow>> {
        sqlx::query_with(statement, arguments).fetch_all(connection).await
    }

    /// None is met where a new row would stand beside one that is there. What an `UPDATE` finds as it should be counts:
    /// sqlx asks the server for that.
    async fn execute(
        connection: &mut MySqlConnection,
        statement: SqlStr,
        arguments: MySqlArguments,
    ) -> sqlx::Result<u64> {
        match sqlx::query_with(statement, arguments).execute(connection).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) if error::is_taken(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn run(connection: &mut MySqlConnection, statements: SqlStr) -> sqlx::Result<()> {
        sqlx::raw_sql(statements).execute(connection).await.map(drop)
    }

    fn record(row: &MySqlRow) -> Result<TokenRecord, CorruptRecord> {
        sql::record(row, Types::OfColumns)
    }

    fn bytes(row: &MySqlRow, column: usize) -> sqlx::Result<Option<Vec<u8>>> {
        row.try_get_unchecked(column)
    }

    fn integer(row: &MySqlRow, column: usize) -> sqlx::Result<Option<i64>> {
        row.try_get_unchecked(column)
    }

    fn is_spoilt(error: &sqlx::Error) -> bool {
        error::is_spoilt(error)
    }

    fn failed(error: sqlx::Error) -> StoreError {
        error::failed(error)
    }
}

fn bytes(id: TokenId) -> Vec<u8> {
    id.to_bytes().into()
}

/// The list, and its last value again until it is as long as the statement for it.
fn filled<T>(list: &[T]) -> impl Iterator<Item = &T> {
    let size = MySql::SHORTER_LISTS.iter().find(|size| **size >= list.len());
    let missing = size.unwrap_or(&MySql::LONGEST_LIST).saturating_sub(list.len());
    list.iter().chain(list.last().into_iter().flat_map(move |last| iter::repeat_n(last, missing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_filled_with_what_it_ends_with() {
        assert_eq!(filled(&[1]).collect::<Vec<_>>(), [&1]);
        assert_eq!(filled(&[1, 2]).copied().collect::<Vec<_>>(), [1, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(filled(&[3; 65]).count(), 512);
        assert_eq!(filled(&[3; 512]).count(), 512);
    }

    #[test]
    fn a_list_is_spelled_in_the_size_that_it_is_filled_to() {
        let rendered = MySql::render("DELETE FROM t WHERE id IN (?..)", 3);
        assert!(rendered.ends_with(" FOR */ DELETE FROM t WHERE id IN (?, ?, ?)"));
        assert_eq!(MySql::render("({uses})", 8).matches('?').count(), 24);
        assert_eq!(MySql::render("({texts})", 8).matches(" UNION ALL ").count(), 7);
    }
}
