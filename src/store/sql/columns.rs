use sqlx::{ColumnIndex, Database, Decode, Encode, Row, Type, query::Query};

use crate::{
    store::{CorruptRecord, StoredRow},
    token::{TokenId, TokenRecord},
};

/// The columns of a [`StoredRow`] in the order in which every statement names, reads and binds them.
macro_rules! columns {
    () => {
        "id, prefix, owner, created_by, name, digest, digest_key, generation, rotated_at, \
         first_used_at, previous_digest, previous_digest_key, previous_ends_at, previous_ends_on_first_use, \
         previous_may_ask_again, \
         abilities, created_at, expires_at, not_before, idle_seconds, last_used_at, \
         last_used_from, suspended_since, suspended_until, suspended_reason, revoked_at, \
         revoked_by, revoked_reason, parent, allowed_addresses, rate_limit_requests, \
         rate_limit_seconds, metadata, notices, used_abilities, idempotency_key"
    };
}
pub(crate) use columns;

const COLUMNS: &str = columns!();

/// Reads the columns one after the other, by index.
struct Reader<'r, R> {
    row: &'r R,
    next: usize,
}

impl<'r, R: Row> Reader<'r, R>
where
    usize: ColumnIndex<R>,
{
    fn next<T: Decode<'r, R::Database> + Type<R::Database>>(&mut self) -> Result<T, CorruptRecord> {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(|_| {
            let name = COLUMNS.split(", ").nth(index).unwrap_or("row");
            CorruptRecord::new(None, name)
        })
    }
}

/// Reads the token of a row that has [`COLUMNS`].
pub(crate) fn record<'r, R: Row>(row: &'r R) -> Result<TokenRecord, CorruptRecord>
where
    usize: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let mut columns = Reader { row, next: 0 };
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
