use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::{
    store::{
        CorruptRecord,
        contract::{StoredRow, folded},
    },
    token::{TokenId, TokenRecord},
};

use super::engine::Value;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Id,
    Bytes,
    Flag,
    /// A text or a number.
    Plain,
}

/// The columns of a [`StoredRow`], each once: every statement names, reads and binds them in this order.
macro_rules! columns {
    ($($name:ident: $kind:ident,)+) => {
        pub(crate) const COLUMNS: &[(&str, Kind)] = &[$((stringify!($name), Kind::$kind)),+];

        fn read<'r, R: Row>(mut columns: Reader<'r, R>) -> Result<StoredRow, CorruptRecord>
        where
            usize: ColumnIndex<R>,
            bool: Decode<'r, R::Database> + Type<R::Database>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
        {
            Ok(StoredRow { $($name: columns.next()?),+ })
        }

        fn values(row: &StoredRow) -> Vec<Value<'_>> {
            vec![$(columns!(@$kind Value::from(&row.$name))),+]
        }
    };
    (@Id $value:expr) => { $value.into_id() };
    (@$kind:ident $value:expr) => { $value };
}

columns! {
    id: Id,
    prefix: Plain,
    owner: Plain,
    created_by: Plain,
    name: Plain,
    digest: Bytes,
    digest_key: Plain,
    generation: Plain,
    rotated_at: Plain,
    first_used_at: Plain,
    previous_digest: Bytes,
    previous_digest_key: Plain,
    previous_ends_at: Plain,
    previous_ends_on_first_use: Flag,
    previous_may_ask_again: Flag,
    abilities: Plain,
    created_at: Plain,
    expires_at: Plain,
    not_before: Plain,
    idle_seconds: Plain,
    last_used_at: Plain,
    last_used_from: Plain,
    suspended_since: Plain,
    suspended_until: Plain,
    suspended_reason: Plain,
    revoked_at: Plain,
    revoked_by: Plain,
    revoked_reason: Plain,
    parent: Id,
    allowed_addresses: Plain,
    rate_limit_requests: Plain,
    rate_limit_seconds: Plain,
    metadata: Plain,
    notices: Plain,
    used_abilities: Plain,
    idempotency_key: Plain,
    version: Plain,
}

/// A record as it is written: its columns, and the name in lowercase, which is never read back.
pub(super) struct Written {
    row: StoredRow,
    name_folded: String,
}

impl From<&TokenRecord> for Written {
    fn from(record: &TokenRecord) -> Self {
        Self { row: StoredRow::from(record), name_folded: folded(record.name.as_str()) }
    }
}

impl Written {
    /// The values of [`COLUMNS`], and after them that of `name_folded`.
    pub(super) fn values(&self) -> Vec<Value<'_>> {
        let mut values = values(&self.row);
        values.push((&self.name_folded).into());
        values
    }
}

/// The columns, each written as said, with commas between them.
pub(crate) fn listed(written: impl Fn(&str, Kind) -> String) -> String {
    let columns: Vec<_> = COLUMNS.iter().map(|(name, kind)| written(name, *kind)).collect();
    columns.join(", ")
}

/// Where a column stands among [`COLUMNS`].
pub(super) fn index(column: &str) -> usize {
    COLUMNS.iter().take_while(|(name, _)| *name != column).count()
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
            let name = COLUMNS.get(index).map_or("row", |(name, _)| name);
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
    let corrupt = |corrupt: CorruptRecord| {
        let id: Option<Vec<u8>> = Reader { row, next: 0, types }.next().ok();
        let id = id.and_then(|id| id.try_into().ok()).map(TokenId::from_bytes);
        CorruptRecord::new(id, corrupt.field)
    };
    read(Reader { row, next: 0, types }).map_err(corrupt)?.into_record()
}
