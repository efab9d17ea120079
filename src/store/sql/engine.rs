use std::{fmt, future::Future};

use sqlx::{Database, SqlStr, database::HasStatementCache};

use crate::{
    store::{
        BoxError, CorruptRecord, StoreError,
        contract::{SharedRecord, Use},
    },
    token::{TokenId, TokenRecord},
};

use super::shares::Work;

/// What a database is to the steps that all of them share: how it lends connections, takes values, gives rows, spells
/// statements and fails.
pub(crate) trait Engine: fmt::Debug + Send + Sync + Sized + 'static {
    type Lender: Lend<Self>;

    type Database: Database<Arguments: Default + Send, Row: Send + Sync> + HasStatementCache;

    /// How many values a list in a statement may have; a longer one is cut.
    const LONGEST_LIST: usize;

    /// A list is filled up to the next of these sizes, so that there are few statements to prepare.
    const SHORTER_LISTS: &'static [usize];

    /// A transaction in which each statement sees what was committed before it.
    const OWN: Transaction;

    /// A part of a transaction that the caller has begun.
    const NESTED: Transaction;

    /// Where the driver knows of no transaction: the one that is begun, and the one that is begun in its place after an
    /// error with this code.
    const OUTSIDE: (Transaction, &'static str, Transaction);

    /// Tells other nodes something once the transaction is committed: takes a channel and a text.
    const TELL: Option<&'static str>;

    /// Whether a connection is good after the future of a single statement was dropped.
    const OUTLIVES_DROPPED_FUTURES: bool;

    /// Writes a statement, given as MySQL has it, for this engine, with lists of a size.
    fn render(statement: &str, list_size: usize) -> String;

    /// Locks the row of an owner, making it where there is none. `None`: a transaction locks all owners.
    const LOCK_OWNER: Option<&'static str>;

    /// The type of a number of 64 bits, in a cast.
    const BIGINT: &'static str;

    /// A text that is bound as its bytes, because it can be none.
    const TEXT_OF_BYTES: &'static str;

    /// Finds many tokens in one row, which [`unpacked`](Self::unpacked) reads.
    const FIND_PACKED: Option<&'static str>;

    /// Follows an `INSERT` that is to be passed over where something is there already, if
    /// [`execute`](Self::execute) needs to be told.
    const OR_NOTHING: &'static str;

    /// Makes a `SELECT` in a transaction of the caller's see what was committed last, whatever that saw before, and
    /// keeps it so.
    const CURRENT: &'static str;

    /// Tells a transaction of the caller's by 1 or 0 whether each of its statements sees what was committed last, where
    /// that can't be brought about.
    const SEES_LATEST: Option<&'static str>;

    /// Follows the table where tokens are locked by their ids, so that another index is not locked first.
    const BY_ID: &'static str;

    /// Follows the table in a list of one owner's tokens, so that no tokens of other owners are read.
    const BY_OWNER: &'static str;

    /// The ids of the tokens that were issued on behalf of others, from one id on and in their order: takes a list, an
    /// id and a number. They are found by their parents, and not by another index for their order.
    const CHILDREN: &'static str;

    /// Deletes tokens by their ids: takes a list.
    const DELETE: &'static str;

    /// Writes uses where they are later than what is there, in the order of the list: takes [`Value::Uses`].
    const RECORD_USES: &'static str;

    /// Writes a text of each of several tokens, in `{column}`: takes [`Value::Texts`].
    const WRITE_TEXTS: &'static str;

    fn bind(arguments: &mut Arguments<Self>, value: &Value<'_>) -> Result<(), BoxError>;

    fn fetch(
        connection: &mut Connection<Self>,
        statement: SqlStr,
        arguments: Arguments<Self>,
    ) -> impl Future<Output = sqlx::Result<Vec<Row<Self>>>> + Send;

    /// Returns the one row of a statement that reads by a key, if there is one.
    fn fetch_row(
        connection: &mut Connection<Self>,
        statement: SqlStr,
        arguments: Arguments<Self>,
    ) -> impl Future<Output = sqlx::Result<Option<Row<Self>>>> + Send {
        async { Ok(Self::fetch(connection, statement, arguments).await?.into_iter().next()) }
    }

    /// Tells how many rows were met.
    fn execute(
        connection: &mut Connection<Self>,
        statement: SqlStr,
        arguments: Arguments<Self>,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Runs statements without parameters.
    fn run(
        connection: &mut Connection<Self>,
        statements: SqlStr,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    fn record(row: &Row<Self>) -> Result<TokenRecord, CorruptRecord>;

    fn bytes(row: &Row<Self>, column: usize) -> sqlx::Result<Option<Vec<u8>>>;

    fn integer(row: &Row<Self>, column: usize) -> sqlx::Result<Option<i64>>;

    /// The tokens in the row of [`FIND_PACKED`](Self::FIND_PACKED), if each can be read.
    fn unpacked(_: &[Row<Self>]) -> Option<Vec<SharedRecord>> {
        None
    }

    /// Returns `true` if a connection will do no more as it is. On a server it has lost its prepared statements, which
    /// proves that nothing was done.
    fn is_spoilt(error: &sqlx::Error) -> bool;

    /// Tells by situation what went wrong.
    fn failed(error: sqlx::Error) -> StoreError;
}

/// Lends the connections of pools to the steps of a store.
pub(crate) trait Lend<E: Engine>: fmt::Debug + Send + Sync + 'static {
    type Lent: Lent<E>;

    fn lend(&self, work: Work) -> impl Future<Output = sqlx::Result<Self::Lent>> + Send;

    /// A connection has lost what was prepared on it: others may have as well.
    fn distrust_prepared(&self) {}

    /// Returns `true` if a connection is to be lent without its prepared statements.
    fn lends_unprepared(&self) -> bool {
        false
    }
}

/// A connection, while a step uses it.
pub(crate) trait Lent<E: Engine>: Send {
    /// `None` once it is closed.
    fn connection(&mut self) -> Option<&mut Connection<E>>;

    /// Closes it, and lets the pool open another one.
    fn discard(&mut self);

    /// Gives it back before the answer is there that nobody waits for any more; `is_lost` if it is then of no more use.
    fn leave(&mut self, is_lost: bool);
}

/// How a transaction, or a part of one, begins and ends.
#[derive(Clone, Copy)]
pub(crate) struct Transaction {
    pub(crate) begin: &'static str,
    pub(crate) commit: &'static str,
    pub(crate) rollback: &'static str,
}

pub(crate) type Arguments<E> = <<E as Engine>::Database as Database>::Arguments;
pub(crate) type Connection<E> = <<E as Engine>::Database as Database>::Connection;
pub(crate) type Row<E> = <<E as Engine>::Database as Database>::Row;

/// What a statement takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'v> {
    Id(Option<TokenId>),
    Integer(Option<i64>),
    Bool(bool),
    /// The bytes of a text. One that was damaged where it is kept is also asked for.
    Text(Option<&'v [u8]>),
    /// Where texts begin that come after it, whether or not there can be such a text.
    Beginning(&'v [u8]),
    Bytes(Option<&'v [u8]>),
    /// At most as many as a list may have; as are the following.
    Ids(&'v [TokenId]),
    Uses(&'v [Use]),
    /// A text for each token.
    Texts(&'v [(TokenId, String)]),
}

impl From<TokenId> for Value<'_> {
    fn from(id: TokenId) -> Self {
        Self::Id(Some(id))
    }
}

/// The values of a statement, as a driver takes them.
pub(super) fn arguments<E: Engine>(values: &[Value<'_>]) -> Result<Arguments<E>, BoxError> {
    let mut arguments = Arguments::<E>::default();
    for value in values {
        E::bind(&mut arguments, value)?;
    }
    Ok(arguments)
}

impl Value<'_> {
    /// The same bytes as an id.
    pub(super) fn into_id(self) -> Self {
        let Self::Bytes(bytes) = self else { return self };
        Self::Id(bytes.and_then(|bytes| bytes.try_into().ok()).map(TokenId::from_bytes))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<&i64> for Value<'_> {
    fn from(number: &i64) -> Self {
        Self::Integer(Some(*number))
    }
}

impl From<&Option<i64>> for Value<'_> {
    fn from(number: &Option<i64>) -> Self {
        Self::Integer(*number)
    }
}

impl From<&bool> for Value<'_> {
    fn from(truth: &bool) -> Self {
        Self::Bool(*truth)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(Some(text.as_bytes()))
    }
}

impl<'v> From<&'v Option<String>> for Value<'v> {
    fn from(text: &'v Option<String>) -> Self {
        Self::Text(text.as_ref().map(String::as_bytes))
    }
}

impl<'v> From<&'v Vec<u8>> for Value<'v> {
    fn from(bytes: &'v Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl<'v> From<&'v Option<Vec<u8>>> for Value<'v> {
    fn from(bytes: &'v Option<Vec<u8>>) -> Self {
        Self::Bytes(bytes.as_deref())
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl From<Option<TokenId>> for Value<'_> {
    fn from(id: Option<TokenId>) -> Self {
        Self::Id(id)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(Some(text.as_bytes()))
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        Self::Text(text.map(str::as_bytes))
    }
}

impl<'v> From<&'v [u8; 32]> for Value<'v> {
    fn from(bytes: &'v [u8; 32]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl<'v> From<&'v [TokenId]> for Value<'v> {
    fn from(ids: &'v [TokenId]) -> Self {
        Self::Ids(ids)
    }
}
