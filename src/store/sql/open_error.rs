use crate::{store::StoreError, token::InvalidValue};

/// The reason why a database could not be opened as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path of the file, the name of the schema or the prefix of the tables is not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The database, or the connections of the pool, have a setting with which statements mean something else, or fail.
    #[error("the setting {setting} is {found:?}, and must be {needed}")]
    Setting {
        /// The name of the setting, as the database calls it.
        setting: &'static str,
        /// Its value.
        found: String,
        /// The rule that it breaks.
        needed: &'static str,
    },
    /// No schema was given, and no schema on the `search_path` exists (PostgreSQL).
    #[error("no schema on the search_path {search_path:?} exists")]
    NoSchema {
        /// The setting `search_path`.
        search_path: String,
    },
    /// The role of the pool has no right to do with a table what the store does.
    #[error("the role {role:?} has no {right} on {table}")]
    MissingRight {
        /// The role; on MySQL the user, as `CURRENT_USER()`.
        role: String,
        /// The right, such as `UPDATE`.
        right: String,
        /// The table.
        table: String,
    },
    /// Row-level security hides rows from the role of the pool: valid tokens would be unknown (PostgreSQL).
    #[error(
        "row-level security of {table} applies to the role {role:?}, which would not see all tokens"
    )]
    RowSecurity {
        /// The role.
        role: String,
        /// The table.
        table: String,
    },
    /// A later version of keyfob has migrated the tables, and this one does not know their meaning.
    #[error(
        "the token tables are at version {found}, made by a later keyfob; this one knows up to {known}"
    )]
    Newer {
        /// The version of the tables.
        found: i64,
        /// The latest version that this keyfob knows.
        known: i64,
    },
    /// The database can't be reached, read or migrated.
    #[error("the token tables can't be set up")]
    Store(
        #[source]
        #[from]
        StoreError,
    ),
}
