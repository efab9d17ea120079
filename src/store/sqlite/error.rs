use crate::store::{BoxError, StoreError};

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const NOMEM: u32 = 7;
    pub(super) const READONLY: u32 = 8;
    pub(super) const INTERRUPT: u32 = 9;
    pub(super) const IOERR: u32 = 10;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const PROTOCOL: u32 = 15;
}

/// What SQLite says to a transaction in a transaction, or to the end of one where there is none, among much else.
pub(super) const NOT_POSSIBLE: &str = "1";

pub(super) fn is_not_possible(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(cause) if cause.code().as_deref() == Some(NOT_POSSIBLE))
}

/// Returns `true` if the database could not be read or written, though another connection may be able to.
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(cause) = error else { return false };
    let code = cause.code().and_then(|code| code.parse().ok());
    code.is_some_and(|code| matches!(situation(code)("".into()), StoreError::Unavailable(_)))
}

/// Tells by situation what went wrong.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    use sqlx::Error;
    match &error {
        // The last two are a connection whose transaction SQLite ended by itself: another one will do.
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::InvalidSavePointStatement
        | Error::BeginFailed => StoreError::Unavailable(error.into()),
        Error::Database(cause) => {
            let code = cause.code().and_then(|code| code.parse().ok());
            code.map_or(StoreError::Faulty as _, situation)(error.into())
        }
        _ => StoreError::Faulty(error.into()),
    }
}

/// Takes a result code, primary or extended: the low byte of an extended one is the primary one.
fn situation(code: u32) -> fn(BoxError) -> StoreError {
    match code & 0xFF {
        code::BUSY | code::LOCKED => StoreError::Busy,
        code::NOMEM
        | code::READONLY
        | code::INTERRUPT
        | code::IOERR
        | code::FULL
        | code::CANTOPEN
        | code::PROTOCOL => StoreError::Unavailable,
        _ => StoreError::Faulty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_code_is_the_situation_that_it_is() {
        let is = |code| situation(code)("cause".into());
        // SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED_SHAREDCACHE
        for code in [5, 6, 517, 262] {
            assert!(matches!(is(code), StoreError::Busy(_)), "{code}");
        }
        // SQLITE_READONLY_DBMOVED, SQLITE_IOERR_FSYNC, SQLITE_CANTOPEN_ISDIR
        for code in [7, 8, 9, 10, 13, 14, 15, 1032, 1034, 526] {
            assert!(matches!(is(code), StoreError::Unavailable(_)), "{code}");
        }
        // SQLITE_ERROR, SQLITE_CORRUPT, SQLITE_SCHEMA, SQLITE_CONSTRAINT_UNIQUE, SQLITE_NOTADB
        for code in [1, 11, 17, 2067, 26] {
            assert!(matches!(is(code), StoreError::Faulty(_)), "{code}");
        }
    }
}
