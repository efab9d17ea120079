use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use crate::store::{BoxError, StoreError, sql::is_out_of_reach};

/// Whether a statement that was prepared is gone, as after `DISCARD ALL` or `DEALLOCATE ALL`, or no longer fits its
/// table. Either is found before anything is done.
pub(super) fn is_spoilt(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.code().as_deref() {
        // invalid_sql_statement_name
        Some("26000") => true,
        // feature_not_supported is said of much else.
        Some("0A000") => {
            let error = error.try_downcast_ref::<PgDatabaseError>();
            error.and_then(PgDatabaseError::routine) == Some("RevalidateCachedQuery")
        }
        _ => false,
    }
}

/// Tells by situation what went wrong.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    if is_out_of_reach(&error) {
        return StoreError::Unavailable(error.into());
    }
    if is_spoilt(&error) {
        return StoreError::Busy(error.into());
    }
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.map_or(StoreError::Faulty as _, |code| situation(&code))(error.into())
}

/// Takes an SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>; its first two characters are a
/// class.
fn situation(code: &str) -> fn(BoxError) -> StoreError {
    match code {
        // Serialization failure, deadlock, a lock that is not to be had in time.
        "40001" | "40P01" | "55P03" => StoreError::Busy,
        // A transaction that may only read, on a standby or a database that is set so; a session that was ended because
        // its transaction was idle, or went on, for too long; a statement of which nobody knows whether it is done.
        "25006" | "25P03" | "25P04" | "40003" => StoreError::Unavailable,
        _ => match code.get(..2) {
            // No connection, out of resources (disk, memory, connections), an operator's intervention (shutdown, a
            // cancelled query, not started yet), trouble outside the server such as I/O.
            Some("08" | "53" | "57" | "58") => StoreError::Unavailable,
            // Another transaction was rolled back by the server.
            Some("40") => StoreError::Busy,
            _ => StoreError::Faulty,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sqlstate_is_the_situation_that_it_is() {
        let is = |code| situation(code)("cause".into());
        // serialization_failure, deadlock_detected, transaction_rollback, lock_not_available
        for code in ["40001", "40P01", "40000", "55P03"] {
            assert!(matches!(is(code), StoreError::Busy(_)), "{code}");
        }
        // connection_failure, disk_full, out_of_memory, too_many_connections, query_canceled, admin_shutdown,
        // crash_shutdown, cannot_connect_now, io_error, read_only_sql_transaction, idle_in_transaction_session_timeout,
        // transaction_timeout, statement_completion_unknown
        for code in [
            "08006", "53100", "53200", "53300", "57014", "57P01", "57P02", "57P03", "58030",
            "25006", "25P03", "25P04", "40003",
        ] {
            assert!(matches!(is(code), StoreError::Unavailable(_)), "{code}");
        }
        // undefined_table, unique_violation, syntax_error, insufficient_privilege, in_failed_sql_transaction, none
        for code in ["42P01", "23505", "42601", "42501", "25P02", ""] {
            assert!(matches!(is(code), StoreError::Faulty(_)), "{code}");
        }
    }
}
