use sqlx::{ColumnIndex, Decode, Row, Type};
#[cfg(feature = "sqlite")]
use sqlx::{Database, Encode, query::Query};

use crate::{
    store::{CorruptRecord, StoredRow},
    token::{TokenId, TokenRecord},
};

#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::engine::Value;

/// The columns of a [`StoredRow`] in the order in which every statement names, reads and binds them.
macro_rules! columns {
    () => {
        concat!("id, ", fields!())
    };
}

/// The same without the id.
macro_rules! fields {
    () => {
        "prefix, owner, created_by, name, digest, digest_key, generation, rotated_at, \
         first_used_at, previous_digest, previous_digest_key, previous_ends_at, previous_ends_on_first_use, \
         previous_may_ask_again, \
         abilities, created_at, expires_at, not_before, idle_seconds, last_used_at, \
         last_used_from, suspended_since, suspended_until, suspended_reason, revoked_at, \
         revoked_by, revoked_reason, parent, allowed_addresses, rate_limit_requests, \
         rate_limit_seconds, metadata, notices, used_abilities, idempotency_key"
    };
}
#[cfg(feature = "sqlite")]
pub(crate) use {columns, fields};

pub(crate) const COLUMNS: &str = columns!();

/// Where a column stands among [`COLUMNS`].
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn index(column: &str) -> usize {
    COLUMNS.split(", ").take_while(|it| *it != column).count()
}

/// Reads the columns one after the other, by index.
struct Reader<'r, R> {
    row: &'r R,
    next: usize,
    types: Types,
}

/// Whether the type of a value says what it is.
#[derive(Clone, Copy)]
pub(crate) enum Types {
    /// In SQLite each value has its own.
    #[cfg(feature = "sqlite")]
    OfValues,
    /// On a server a column has one, and sqlx takes some for more special than they are: the bytes of a `uuid`, the
    /// text in a `VARBINARY`.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    OfColumns,
}

impl<'r, R: Row> Reader<'r, R>
where
    usize: ColumnIndex<R>,
{
    fn next<T: Decode<'r, R::Database> + Type<R::Database>>(&mut self) -> Result<T, CorruptRecord> {
        let index = self.next;
        self.next += 1;
        let value = match self.types {
            #[cfg(feature = "sqlite")]
            Types::OfValues => self.row.try_get(index),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            Types::OfColumns => self.row.try_get_unchecked(index),
        };
        value.map_err(|_| {
            let name = COLUMNS.split(", ").nth(index).unwrap_or("row");
            CorruptRecord::new(None, name)
        })
    }
}

/// Reads the token of a row that has [`COLUMNS`].
pub(crate) fn record<'r, R: Row>(row: &'r R, types: Types) -> Result<TokenRecord, CorruptRecord>
where
    usize: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let mut columns = Reader { row, next: 0, types };
    let id: Vec<u8> = columns.next()?;
    let readable = id.as_slice().try_into().ok().map(TokenId::from_bytes);
    let row = read(id, columns).map_err(|corrupt| CorruptRecord::new(readable, corrupt.field));
    row?.into_record()
}

fn read<'r, R: Row>(id: Vec<u8>, mut columns: Reader<'r, R>) -> Result<StoredRow, CorruptRecord>
where
    usize: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(StoredRow {
        id,
        prefix: columns.next()?,
        owner: columns.next()?,
        created_by: columns.next()?,
        name: columns.next()?,
        digest: columns.next()?,
        digest_key: columns.next()?,
        generation: columns.next()?,
        rotated_at: columns.next()?,
        first_used_at: columns.next()?,
        previous_digest: columns.next()?,
        previous_digest_key: columns.next()?,
        previous_ends_at: columns.next()?,
        previous_ends_on_first_use: columns.next()?,
        previous_may_ask_again: columns.next()?,
        abilities: columns.next()?,
        created_at: columns.next()?,
        expires_at: columns.next()?,
        not_before: columns.next()?,
        idle_seconds: columns.next()?,
        last_used_at: columns.next()?,
        last_used_from: columns.next()?,
        suspended_since: columns.next()?,
        suspended_until: columns.next()?,
        suspended_reason: columns.next()?,
        revoked_at: columns.next()?,
        revoked_by: columns.next()?,
        revoked_reason: columns.next()?,
        parent: columns.next()?,
        allowed_addresses: columns.next()?,
        rate_limit_requests: columns.next()?,
        rate_limit_seconds: columns.next()?,
        metadata: columns.next()?,
        notices: columns.next()?,
        used_abilities: columns.next()?,
        idempotency_key: columns.next()?,
    })
}

/// Binds a row in the order of [`COLUMNS`].
#[cfg(feature = "sqlite")]
pub(crate) fn bind<'q, DB: Database>(
    query: Query<'q, DB, DB::Arguments>,
    row: StoredRow,
) -> Query<'q, DB, DB::Arguments>
where
    bool: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
    String: Encode<'q, DB> + Type<DB>,
    Vec<u8>: Encode<'q, DB> + Type<DB>,
    Option<i64>: Encode<'q, DB>,
    Option<String>: Encode<'q, DB>,
    Option<Vec<u8>>: Encode<'q, DB>,
{
    query
        .bind(row.id)
        .bind(row.prefix)
        .bind(row.owner)
        .bind(row.created_by)
        .bind(row.name)
        .bind(row.digest)
        .bind(row.digest_key)
        .bind(row.generation)
        .bind(row.rotated_at)
        .bind(row.first_used_at)
        .bind(row.previous_digest)
        .bind(row.previous_digest_key)
        .bind(row.previous_ends_at)
        .bind(row.previous_ends_on_first_use)
        .bind(row.previous_may_ask_again)
        .bind(row.abilities)
        .bind(row.created_at)
        .bind(row.expires_at)
        .bind(row.not_before)
        .bind(row.idle_seconds)
        .bind(row.last_used_at)
        .bind(row.last_used_from)
        .bind(row.suspended_since)
        .bind(row.suspended_until)
        .bind(row.suspended_reason)
        .bind(row.revoked_at)
        .bind(row.revoked_by)
        .bind(row.revoked_reason)
        .bind(row.parent)
        .bind(row.allowed_addresses)
        .bind(row.rate_limit_requests)
        .bind(row.rate_limit_seconds)
        .bind(row.metadata)
        .bind(row.notices)
        .bind(row.used_abilities)
        .bind(row.idempotency_key)
}

/// The values of a record in the order of [`COLUMNS`].
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn values<'v>(record: &TokenRecord, row: &'v StoredRow) -> Vec<Value<'v>> {
    vec![
        record.id.into(),
        row.prefix.as_str().into(),
        row.owner.as_str().into(),
        row.created_by.as_deref().into(),
        row.name.as_str().into(),
        Value::Bytes(Some(&row.digest)),
        row.digest_key.as_deref().into(),
        row.generation.into(),
        row.rotated_at.into(),
        row.first_used_at.into(),
        Value::Bytes(row.previous_digest.as_deref()),
        row.previous_digest_key.as_deref().into(),
        row.previous_ends_at.into(),
        Value::Bool(row.previous_ends_on_first_use),
        Value::Bool(row.previous_may_ask_again),
        row.abilities.as_str().into(),
        row.created_at.into(),
        row.expires_at.into(),
        row.not_before.into(),
        row.idle_seconds.into(),
        row.last_used_at.into(),
        row.last_used_from.as_deref().into(),
        row.suspended_since.into(),
        row.suspended_until.into(),
        row.suspended_reason.as_deref().into(),
        row.revoked_at.into(),
        row.revoked_by.as_deref().into(),
        row.revoked_reason.as_deref().into(),
        Value::Id(record.parent()),
        row.allowed_addresses.as_deref().into(),
        row.rate_limit_requests.into(),
        row.rate_limit_seconds.into(),
        row.metadata.as_deref().into(),
        row.notices.as_str().into(),
        row.used_abilities.as_str().into(),
        row.idempotency_key.as_deref().into(),
    ]
}
