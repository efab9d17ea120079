use sqlx::mysql::MySqlDatabaseError;

use crate::store::{BoxError, StoreError, sql::is_out_of_reach};

/// Whether a new row would be equal to one that is there in what is unique.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    number(error) == Some(1062)
}

/// Whether a statement that was prepared is gone, or has to be prepared anew. Either is found before anything is done.
pub(super) fn is_spoilt(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1243 | 1615))
}

/// Whether the user may not do this with a table, or with a column.
pub(super) fn is_denied(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1142 | 1143))
}

/// Whether a lock was not to be had in time.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    number(error) == Some(1205)
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let cause = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(cause.number())
}

/// Tells by situation what went wrong.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    if is_out_of_reach(&error) {
        return StoreError::Unavailable(error.into());
    }
    number(&error).map_or(StoreError::Faulty as _, situation)(error.into())
}

/// Takes the number of an error. MySQL and MariaDB share those below 1900:
/// <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
fn situation(number: u16) -> fn(BoxError) -> StoreError {
    match number {
        // A record that was changed since the transaction first looked, a lock that is not to be had in time, a
        // deadlock, a prepared statement that is gone, a table that was altered meanwhile, a statement that has to be
        // prepared anew, a lock that is not to be had at once, a group of servers that could not agree on a commit.
        1020 | 1205 | 1213 | 1243 | 1412 | 1615 | 3572 | 3100 | 3101 => StoreError::Busy,
        // A savepoint that is gone, with the transaction in which it was.
        1305
        // Out of disk, memory, connections, threads, locks, transactions or prepared statements, for the server or for
        // the account.
        | 1021 | 1037 | 1038 | 1040 | 1041 | 1114 | 1135 | 1203 | 1206 | 1226 | 1461 | 1637
        // A node of a cluster that is not ready, a shutdown, a connection that was cut or idle for too long, trouble on
        // the network, a host from which too many connections were cut; as proxies tell it, 2006 and 2013.
        | 1042 | 1043 | 1047 | 1053 | 1080 | 1129 | 1152 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 | 3032 | 3169 | 4031
        // Interrupted, by an operator or a time limit of the server's.
        | 1317 | 1969 | 3024
        // May only be read: the server, the transaction, the server again.
        | 1290 | 1792 | 1836 => StoreError::Unavailable,
        _ => StoreError::Faulty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_the_situation_that_it_is() {
        let is = |number| situation(number)("cause".into());
        // ER_CHECKREAD, ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_UNKNOWN_STMT_HANDLER, ER_TABLE_DEF_CHANGED,
        // ER_NEED_REPREPARE, ER_LOCK_NOWAIT, ER_RUN_HOOK_ERROR, ER_TRANSACTION_ROLLBACK_DURING_COMMIT
        for number in [1020, 1205, 1213, 1243, 1412, 1615, 3572, 3100, 3101] {
            assert!(matches!(is(number), StoreError::Busy(_)), "{number}");
        }
        // ER_SP_DOES_NOT_EXIST, ER_DISK_FULL, ER_OUTOFMEMORY, ER_OUT_OF_SORTMEMORY, ER_CON_COUNT_ERROR,
        // ER_OUT_OF_RESOURCES, ER_RECORD_FILE_FULL, ER_CANT_CREATE_THREAD, ER_TOO_MANY_USER_CONNECTIONS,
        // ER_LOCK_TABLE_FULL, ER_USER_LIMIT_REACHED, ER_MAX_PREPARED_STMT_COUNT_REACHED, ER_TOO_MANY_CONCURRENT_TRXS,
        // ER_BAD_HOST_ERROR, ER_HANDSHAKE_ERROR, ER_UNKNOWN_COM_ERROR (as Galera uses it), ER_SERVER_SHUTDOWN,
        // ER_FORCING_CLOSE, ER_HOST_IS_BLOCKED, ER_ABORTING_CONNECTION, ER_NET_READ_ERROR, ER_NET_WRITE_INTERRUPTED,
        // ER_NEW_ABORTING_CONNECTION, ER_CONNECTION_KILLED, CR_SERVER_GONE_ERROR, CR_SERVER_LOST,
        // ER_SERVER_OFFLINE_MODE, ER_SESSION_WAS_KILLED, ER_CLIENT_INTERACTION_TIMEOUT, ER_QUERY_INTERRUPTED,
        // ER_STATEMENT_TIMEOUT, ER_QUERY_TIMEOUT, ER_OPTION_PREVENTS_STATEMENT,
        // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE
        for number in [
            1305, 1021, 1037, 1038, 1040, 1041, 1114, 1135, 1203, 1206, 1226, 1461, 1637, 1042,
            1043, 1047, 1053, 1080, 1129, 1152, 1158, 1161, 1184, 1927, 2006, 2013, 3032, 3169,
            4031, 1317, 1969, 3024, 1290, 1792, 1836,
        ] {
            assert!(matches!(is(number), StoreError::Unavailable(_)), "{number}");
        }
        // ER_ACCESS_DENIED_ERROR, ER_NO_DB_ERROR, ER_BAD_FIELD_ERROR, ER_DUP_ENTRY, ER_PARSE_ERROR, ER_NO_SUCH_TABLE,
        // ER_DATA_TOO_LONG, ER_BINLOG_STMT_MODE_AND_ROW_ENGINE, none
        for number in [1045, 1046, 1054, 1062, 1064, 1146, 1406, 1665, 0] {
            assert!(matches!(is(number), StoreError::Faulty(_)), "{number}");
        }
    }
}
