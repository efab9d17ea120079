//! Where steps run: on a connection of a pool, or on one that the caller holds.

use std::sync::Arc;

use futures_util::lock::{Mutex, MutexGuard};
use sqlx::{Connection as _, SqlStr};

use crate::{
    store::{StoreError, changed::Changed},
    token::{Owner, TokenId},
};

use super::{
    engine::{Connection, Engine, Lend, Lent, Row, Transaction, Value, arguments},
    shares::Work,
    statements::Statements,
};

/// Connections, and the statements to run on them.
#[derive(Debug)]
pub(crate) struct SqlStore<E: Engine> {
    lender: Arc<E::Lender>,
    statements: Arc<Statements>,
    /// The same for a transaction that the caller has begun.
    within: Arc<Statements>,
    /// Where other nodes are told what changed, if the engine can do that.
    pub(crate) channel: Arc<str>,
}

impl<E: Engine> Clone for SqlStore<E> {
    fn clone(&self) -> Self {
        Self {
            lender: self.lender.clone(),
            statements: self.statements.clone(),
            within: self.within.clone(),
            channel: self.channel.clone(),
        }
    }
}

impl<E: Engine> SqlStore<E> {
    /// Keeps tokens in tables that are called so.
    pub(crate) fn new(
        lender: E::Lender,
        table_name: impl Fn(&str) -> String,
        channel: String,
    ) -> Self {
        let statements = Arc::new(Statements::new::<E>(&table_name, ""));
        let within = match E::CURRENT {
            "" => statements.clone(),
            current => Statements::new::<E>(&table_name, current).into(),
        };
        let lender = Arc::new(lender);
        Self { lender, statements, within, channel: channel.into() }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn lender(&self) -> &E::Lender {
        &self.lender
    }

    pub(crate) fn on<'c>(&self, connection: &'c mut Connection<E>) -> SqlStoreOn<'c, E> {
        let store = Self { statements: self.within.clone(), ..self.clone() };
        SqlStoreOn { store, borrowed: Mutex::new(Borrowed { connection, lost: false }) }
    }

    pub(crate) fn steps(&self) -> Steps<'_, '_, E> {
        Steps { store: self, borrowed: None }
    }
}

/// The same on one connection that the caller holds, perhaps in a transaction of his own.
#[derive(Debug)]
pub(crate) struct SqlStoreOn<'c, E: Engine> {
    store: SqlStore<E>,
    borrowed: Mutex<Borrowed<'c, E>>,
}

impl<'c, E: Engine> SqlStoreOn<'c, E> {
    pub(crate) fn steps(&self) -> Steps<'_, 'c, E> {
        Steps { store: &self.store, borrowed: Some(&self.borrowed) }
    }
}

struct Borrowed<'c, E: Engine> {
    connection: &'c mut Connection<E>,
    /// A future was dropped while the server answered, and the driver no longer knows where in the answer it is; or
    /// the server has ended the whole transaction, and what follows would be none of it.
    lost: bool,
}

/// Everything that a store does, with where it does it.
pub(crate) struct Steps<'s, 'c, E: Engine> {
    pub(super) store: &'s SqlStore<E>,
    borrowed: Option<&'s Mutex<Borrowed<'c, E>>>,
}

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    async fn lease(&self, work: Work) -> Result<StepConnection<'s, 'c, E>, StoreError> {
        let lender = &*self.store.lender;
        let connection = match self.borrowed {
            None => Leased::Pooled(lender.lend(work).await.map_err(E::failed)?),
            Some(borrowed) => Leased::Borrowed(borrowed.lock().await),
        };
        match &connection {
            Leased::Borrowed(borrowed) if borrowed.lost => {
                let cause = "a step on this connection was cut off, and its transaction with it";
                Err(StoreError::Unavailable(cause.into()))
            }
            _ => {
                let mut lease =
                    StepConnection { lender, connection, transaction: None, waits: false };
                if self.borrowed.is_none() && lender.lends_unprepared() {
                    lease.unprepare().await.map_err(E::failed)?;
                }
                Ok(lease)
            }
        }
    }

    /// Begins a transaction; one that is open already gets a savepoint, so that an error does not end it.
    pub(super) async fn begin(&self) -> Result<StepConnection<'s, 'c, E>, StoreError> {
        let mut lease = self.lease(Work::Write).await?;
        if self.borrowed.is_none() {
            lease.enter(E::OWN).await.map_err(E::failed)?;
            return Ok(lease);
        }
        // The driver does not know of a transaction that was begun past it.
        if lease.connection().map_err(E::failed)?.is_in_transaction() {
            lease.enter(E::NESTED).await.map_err(E::failed)?;
            return Ok(lease);
        }
        let (first, code, second) = E::OUTSIDE;
        let mut entered = lease.enter(first).await;
        if let Err(sqlx::Error::Database(error)) = &entered
            && error.code().as_deref() == Some(code)
        {
            entered = lease.enter(second).await;
        }
        entered.map_err(E::failed)?;
        Ok(lease)
    }

    pub(super) fn statements(&self) -> &'s Statements {
        &self.store.statements
    }

    pub(super) async fn read(
        &self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<Row<E>>, StoreError> {
        self.lease(Work::Read).await?.fetch(statement, values).await
    }

    /// As [`read`](Self::read), what verification waits for.
    pub(super) async fn look_up(
        &self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<Row<E>>, StoreError> {
        self.lease(Work::LookUp).await?.fetch(statement, values).await
    }

    /// As [`look_up`](Self::look_up), of the one row of a key.
    pub(super) async fn look_up_row(
        &self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Option<Row<E>>, StoreError> {
        self.lease(Work::LookUp).await?.fetch_row(statement, values).await
    }

    /// Runs one statement that writes; tells whether it met any row.
    pub(super) async fn write(
        &self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<bool, StoreError> {
        if self.borrowed.is_none() {
            return self.lease(Work::Write).await?.execute(statement, values).await;
        }
        let mut step = self.begin().await?;
        let outcome = step.execute(statement, values).await;
        step.end(outcome).await
    }

    /// Refuses to look for tokens in a transaction of the caller's that would not see all of them.
    pub(super) async fn require_latest(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
    ) -> Result<(), StoreError> {
        let Some(ask) = E::SEES_LATEST.filter(|_| self.borrowed.is_some()) else { return Ok(()) };
        let rows = step.fetch(&SqlStr::from_static(ask), &[]).await?;
        let sees = rows.first().map(|row| E::integer(row, 0)).transpose().map_err(E::failed)?;
        if sees.flatten() == Some(1) {
            return Ok(());
        }
        let cause = "a transaction above READ COMMITTED does not see all of the tokens to revoke";
        Err(StoreError::Faulty(cause.into()))
    }

    /// Tells other nodes, once the step is committed, that these tokens have changed, which are of this owner if there
    /// is one.
    pub(super) async fn tell(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        ids: &[TokenId],
        owner: Option<&Owner>,
    ) -> Result<(), StoreError> {
        let Some(tell) = &self.statements().tell else { return Ok(()) };
        if !ids.is_empty() {
            let changed = Changed::of(ids, owner).to_string();
            step.fetch(tell, &[self.store.channel.as_ref().into(), changed.as_str().into()])
                .await?;
        }
        Ok(())
    }
}

/// A connection while a step uses it. Where the step is dropped before its end, a connection of the pool is closed,
/// unless the driver finds its way back by itself: sqlx's own transactions are left open where their beginning is
/// dropped.
pub(super) struct StepConnection<'s, 'c, E: Engine> {
    lender: &'s E::Lender,
    connection: Leased<'s, 'c, E>,
    transaction: Option<Transaction>,
    /// Whether the server has been asked something that it has not answered yet.
    waits: bool,
}

enum Leased<'s, 'c, E: Engine> {
    Pooled(<E::Lender as Lend<E>>::Lent),
    Borrowed(MutexGuard<'s, Borrowed<'c, E>>),
}

impl<E: Engine> StepConnection<'_, '_, E> {
    fn connection(&mut self) -> sqlx::Result<&mut Connection<E>> {
        match &mut self.connection {
            Leased::Pooled(lent) => lent.connection().ok_or(sqlx::Error::PoolClosed),
            Leased::Borrowed(borrowed) => Ok(borrowed.connection),
        }
    }

    pub(super) async fn fetch(
        &mut self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<Row<E>>, StoreError> {
        let arguments = arguments::<E>(values).map_err(StoreError::Faulty)?;
        let connection = self.asks().map_err(E::failed)?;
        let rows = E::fetch(connection, statement.clone(), arguments).await;
        self.answered(rows).await
    }

    pub(super) async fn fetch_row(
        &mut self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Option<Row<E>>, StoreError> {
        let arguments = arguments::<E>(values).map_err(StoreError::Faulty)?;
        let connection = self.asks().map_err(E::failed)?;
        let row = E::fetch_row(connection, statement.clone(), arguments).await;
        self.answered(row).await
    }

    /// Tells whether any row was met.
    pub(super) async fn execute(
        &mut self,
        statement: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<bool, StoreError> {
        let arguments = arguments::<E>(values).map_err(StoreError::Faulty)?;
        let connection = self.asks().map_err(E::failed)?;
        let met = E::execute(connection, statement.clone(), arguments).await;
        self.answered(met).await.map(|rows| rows > 0)
    }

    async fn run(&mut self, statement: &'static str) -> sqlx::Result<()> {
        let done = E::run(self.asks()?, SqlStr::from_static(statement)).await;
        self.waits = false;
        done
    }

    async fn unprepare(&mut self) -> sqlx::Result<()> {
        let done = self.asks()?.clear_cached_statements().await;
        self.waits = false;
        done
    }

    fn asks(&mut self) -> sqlx::Result<&mut Connection<E>> {
        self.waits = true;
        self.connection()
    }

    /// A connection whose server has forgotten what was prepared on it is closed; one that the caller holds prepares
    /// anew.
    async fn answered<T>(&mut self, answer: sqlx::Result<T>) -> Result<T, StoreError> {
        self.waits = false;
        if let Err(error) = &answer
            && E::is_spoilt(error)
        {
            self.lender.distrust_prepared();
            match &mut self.connection {
                Leased::Pooled(lent) => lent.discard(),
                // Where even that fails, so will whatever comes next.
                Leased::Borrowed(_) => drop(self.unprepare().await),
            }
        }
        answer.map_err(E::failed)
    }

    async fn enter(&mut self, transaction: Transaction) -> sqlx::Result<()> {
        let begin = self.transaction.insert(transaction).begin;
        self.run(begin).await
    }

    /// Takes back what was done.
    pub(super) async fn take_back(mut self) {
        if let Some(Transaction { rollback, .. }) = self.transaction
            && self.run(rollback).await.is_ok()
        {
            self.transaction = None;
        }
    }

    /// Commits what was done, or takes it back where it failed.
    pub(super) async fn end<T>(mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(Transaction { commit, rollback, .. }) = self.transaction else {
            return outcome;
        };
        let outcome = match outcome {
            Ok(done) => self.run(commit).await.map(|()| done).map_err(E::failed),
            Err(error) => Err(error),
        };
        // A connection that can't even take back is closed, or left alone.
        if outcome.is_ok() || self.run(rollback).await.is_ok() {
            self.transaction = None;
        }
        outcome
    }
}

impl<E: Engine> Drop for StepConnection<'_, '_, E> {
    fn drop(&mut self) {
        if !self.waits && self.transaction.is_none() {
            return;
        }
        let is_lost = !E::OUTLIVES_DROPPED_FUTURES || self.transaction.is_some();
        match &mut self.connection {
            Leased::Pooled(lent) => lent.leave(is_lost),
            Leased::Borrowed(borrowed) => borrowed.lost |= is_lost,
        }
    }
}
