//! The steps, each on a connection; and the store, which takes each step in a transaction of its own.
//!
//! Locks are taken in the order owner, parent, tokens by id. The owner's lock is an advisory one: whoever adds a token, or
//! changes what the rules of an insert count, holds it until the transaction ends.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use deadpool_postgres::{Client, GenericClient, Pool, PoolError, Transaction};
use keyfob::{
    Owner, TokenId, TokenRecord,
    store::{
        CorruptRecord, KeyCount, StoreError, TokenStore,
        contract::{
            Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, Page, Patch, Peek,
            Query, Revoked, Selection, Siblings, StoredRow, UpdateOutcome, Use,
        },
    },
    token::{Actor, KeyId, Reason, Revocation},
};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_postgres::{
    Row,
    error::SqlState,
    types::{Json, ToSql},
};

/// The tokens that have ended before an instant and have no children.
const ENDED: &str = "least((it.token->>'revoked_at')::bigint, (it.token->>'expires_at')::bigint) < $1 \
                     AND NOT EXISTS (SELECT FROM api_tokens child WHERE child.parent = it.id)";

type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

/// The steps on a connection, or in a transaction: that of the step, or the application's own.
///
/// A step that fails in the application's transaction ends that: PostgreSQL does no more in it. One that is refused
/// leaves it as it was.
pub struct On<'c, C> {
    connection: &'c C,
    /// Steps at the same time would mix their statements.
    turn: Mutex<()>,
}

impl<'c, C: GenericClient> On<'c, C> {
    pub fn new(connection: &'c C) -> Self {
        Self { connection, turn: Mutex::new(()) }
    }

    async fn rows(&self, statement: &str, values: Values<'_>) -> Result<Vec<Row>, StoreError> {
        let statement = self.connection.prepare_cached(statement).await.map_err(engine)?;
        self.connection.query(&statement, values).await.map_err(engine)
    }

    /// The tokens for which a condition holds.
    async fn read(&self, condition: &str, values: Values<'_>) -> Result<Page, StoreError> {
        let statement = format!("SELECT id, token FROM api_tokens WHERE {condition}");
        let mut page = Page::default();
        for row in self.rows(&statement, values).await? {
            match decode(&row) {
                Ok(record) => page.records.push(record.into()),
                Err(corrupt) => page.corrupt.push(corrupt),
            }
        }
        Ok(page)
    }

    /// All tokens, or those of an owner.
    async fn all_of(&self, owner: Option<&Owner>) -> Result<Page, StoreError> {
        match owner {
            Some(owner) => self.read("owner = $1", &[&owner.as_str()]).await,
            None => self.read("true", &[]).await,
        }
    }

    /// What is read after this was written by everybody who held the lock before. In a transaction above
    /// `READ COMMITTED` it would not be: that goes on with what it saw first.
    async fn lock_owner(&self, owner: &str) -> Result<(), StoreError> {
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0)), \
                    current_setting('transaction_isolation')";
        match self.rows(lock, &[&owner]).await?[..] {
            [ref row] if row.get::<_, &str>(1) == "read committed" => Ok(()),
            _ => Err(StoreError::Faulty("the transaction is not at READ COMMITTED".into())),
        }
    }

    /// The tokens with these ids that there are, in order of the ids and locked: each with `true` if it is revoked.
    async fn lock(&self, ids: &[Vec<u8>]) -> Result<Vec<(TokenId, bool)>, StoreError> {
        let statement = "SELECT id, token->>'revoked_at' IS NOT NULL FROM api_tokens \
                         WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        let rows = self.rows(statement, &[&ids]).await?;
        Ok(rows.iter().map(|row| (id_of(row), row.get(1))).collect())
    }

    async fn write(&self, record: &TokenRecord) -> Result<(), StoreError> {
        let token = Json(StoredRow::from(record));
        self.rows("UPDATE api_tokens SET token = $2 WHERE id = $1", &[&bytes(record.id), &token])
            .await?;
        Ok(())
    }
}

#[async_trait]
impl<C: GenericClient> TokenStore for On<'_, C> {
    fn peek(&self, _: TokenId) -> Peek {
        Peek::Miss
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let _turn = self.turn.lock().await;
        self.read("id = ANY($1)", &[&all_bytes(ids)]).await
    }

    async fn insert(
        &self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        let _turn = self.turn.lock().await;
        let (id, owner) = (bytes(record.id), record.owner.as_str());
        let parent = record.parent().map(bytes);
        self.lock_owner(owner).await?;
        if parent.is_some() {
            // Whoever revokes the parent waits and then sees this token, or this one waits and its issuer sees that.
            self.rows("SELECT FROM api_tokens WHERE id = $1 FOR SHARE", &[&parent]).await?;
        }
        if !self.rows("SELECT FROM api_tokens WHERE id = $1", &[&id]).await?.is_empty() {
            return Ok(InsertOutcome::IdTaken);
        }
        let outcome = rules.decide(record, self.all_of(Some(&record.owner)).await?.records);
        if outcome != InsertOutcome::Inserted {
            return Ok(outcome);
        }
        let insert = "INSERT INTO api_tokens (id, owner, parent, token) VALUES ($1, $2, $3, $4) \
                      ON CONFLICT DO NOTHING RETURNING id";
        let token = Json(StoredRow::from(record));
        let inserted = self.rows(insert, &[&id, &owner, &parent, &token]).await?;
        Ok(if inserted.is_empty() { InsertOutcome::IdTaken } else { outcome })
    }

    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
        let _turn = self.turn.lock().await;
        if patch.rules().is_some() {
            // It never changes, so it can be read before it is locked.
            let found =
                self.rows("SELECT owner FROM api_tokens WHERE id = $1", &[&bytes(id)]).await?;
            if let Some(row) = found.first() {
                self.lock_owner(row.get(0)).await?;
            }
        }
        let locked = self.read("id = $1 FOR UPDATE", &[&bytes(id)]).await?;
        if let Some(corrupt) = locked.corrupt.into_iter().next() {
            return Err(corrupt.into());
        }
        let Some(record) = locked.records.into_iter().next() else {
            return Ok(UpdateOutcome::NotFound);
        };
        let siblings = match patch.rules() {
            Some(_) => patch.siblings(&record, self.all_of(Some(&record.owner)).await?.records),
            None => Siblings::default(),
        };
        let mut record = record.into_record();
        if let Err(refused) = patch.apply(&mut record, &siblings) {
            return Ok(UpdateOutcome::Refused(refused));
        }
        self.write(&record).await?;
        Ok(UpdateOutcome::Updated(Arc::new(record)))
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        let _turn = self.turn.lock().await;
        let most = i64::from(limit);
        let found = match selection {
            Selection::Tokens { ids, owner } => {
                let owner = owner.as_ref().map(Owner::as_str);
                let find =
                    "SELECT id FROM api_tokens WHERE id = ANY($1) AND owner = coalesce($2, owner)";
                self.rows(find, &[&all_bytes(ids), &owner]).await?
            }
            Selection::ChildrenOf { parents, after } => {
                let find = "SELECT id FROM api_tokens WHERE parent = ANY($1) \
                            AND ($2::bytea IS NULL OR id > $2) ORDER BY id LIMIT $3";
                self.rows(find, &[&all_bytes(parents), &after.map(bytes), &most]).await?
            }
            Selection::AllOf(owner) => {
                // No token is added meanwhile.
                self.lock_owner(owner.as_str()).await?;
                let find = "SELECT id FROM api_tokens WHERE owner = $1 \
                            AND token->>'revoked_at' IS NULL ORDER BY id LIMIT $2";
                self.rows(find, &[&owner.as_str(), &most]).await?
            }
            _ => return Err(StoreError::Faulty("a selection that is not known here".into())),
        };
        let ids: Vec<Vec<u8>> = found.iter().map(|row| row.get(0)).collect();
        let mut revoked = selection.step(self.lock(&ids).await?, limit);
        // Somebody else may have revoked what was found before it was locked here.
        let is_named = matches!(selection, Selection::Tokens { .. });
        revoked.more |= !is_named && ids.len() >= limit as usize;
        // Without reading the token, so that one that is damaged can be revoked.
        let end = Json(json!({
            "revoked_at": revocation.at.unix_seconds(),
            "revoked_by": revocation.by.as_ref().map(Actor::as_str),
            "revoked_reason": revocation.reason.as_ref().map(Reason::as_str),
        }));
        let update = "UPDATE api_tokens SET token = token || $2 WHERE id = ANY($1)";
        self.rows(update, &[&all_bytes(&revoked.changed), &end]).await?;
        Ok(revoked)
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let ids: Vec<_> = uses.iter().map(|it| it.id).collect();
        let locked = self.read("id = ANY($1) ORDER BY id FOR UPDATE", &[&all_bytes(&ids)]).await?;
        for record in locked.records {
            let (id, mut record) = (record.id, record.into_record());
            let mut is_news = false;
            for noted in uses.iter().filter(|it| it.id == id) {
                is_news |= noted.apply(&mut record);
            }
            if is_news {
                self.write(&record).await?;
            }
        }
        Ok(())
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let _turn = self.turn.lock().await;
        let all = self.all_of(query.filter.owner.as_ref()).await?;
        // Damaged tokens have no place in an order: they are on the first page.
        let mut corrupt = if query.after.is_none() { all.corrupt } else { Vec::new() };
        corrupt.truncate(query.limit.saturating_sub(1) as usize);
        let mut query = query.clone();
        query.limit -= u32::try_from(corrupt.len()).unwrap_or(0);
        Ok(Page { corrupt, ..query.page(all.records) })
    }

    async fn count(&self, filter: &Filter) -> Result<Counts, StoreError> {
        let _turn = self.turn.lock().await;
        Ok(filter.count(self.all_of(filter.owner.as_ref()).await?.records))
    }

    async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
        let _turn = self.turn.lock().await;
        Ok(KeyCount::of(self.all_of(None).await?.records))
    }

    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
        let _turn = self.turn.lock().await;
        let (which, value): (_, &(dyn ToSql + Sync)) = match deletion {
            Deletion::EndedBefore(instant) => (ENDED, &instant.unix_seconds()),
            Deletion::AllOf(owner) => {
                self.lock_owner(owner.as_str()).await?;
                ("it.owner = $1", &owner.as_str())
            }
            _ => return Err(StoreError::Faulty("a deletion that is not known here".into())),
        };
        let find = format!("SELECT it.id FROM api_tokens it WHERE {which} ORDER BY it.id LIMIT $2");
        let found = self.rows(&find, &[value, &i64::from(limit)]).await?;
        let ids: Vec<Vec<u8>> = found.iter().map(|row| row.get(0)).collect();
        self.lock(&ids).await?;
        // Once more by the condition: before the lock, a token may have got a later expiry, or a child.
        let delete = format!(
            "DELETE FROM api_tokens it WHERE {which} AND it.id = ANY($2) \
             RETURNING it.id, it.parent IS NOT NULL"
        );
        let gone = self.rows(&delete, &[value, &ids]).await?;
        let mut deleted = deletion.step(gone.iter().map(|row| (id_of(row), row.get(1))), limit);
        // Somebody else may have deleted what was found before it was locked here.
        deleted.more |= ids.len() >= limit as usize;
        Ok(deleted)
    }

    async fn key_fingerprint(&self, key: &KeyId, value: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        let _turn = self.turn.lock().await;
        let insert = "INSERT INTO api_token_keys VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.rows(insert, &[&key.as_str(), &&value[..]]).await?;
        let kept = "SELECT fingerprint FROM api_token_keys WHERE key_id = $1";
        let kept = self.rows(kept, &[&key.as_str()]).await?;
        let kept: Option<[u8; 32]> =
            kept.first().and_then(|row| row.get::<_, &[u8]>(0).try_into().ok());
        kept.ok_or_else(|| {
            StoreError::Faulty("the fingerprint that is kept has not 32 bytes".into())
        })
    }
}

impl<C> fmt::Debug for On<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").finish_non_exhaustive()
    }
}

/// The store: each step takes a connection of the pool.
pub struct PoolStore(pub Pool);

impl PoolStore {
    async fn client(&self) -> Result<Client, StoreError> {
        self.0.get().await.map_err(|error| match error {
            PoolError::Backend(error) => engine(error),
            error => StoreError::Unavailable(error.into()),
        })
    }
}

/// Each step that writes is a transaction. One that is dropped is rolled back.
macro_rules! in_transactions {
    ($($step:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl TokenStore for PoolStore {
            fn peek(&self, _: TokenId) -> Peek {
                Peek::Miss
            }

            async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
                On::new(&self.client().await?).find(ids).await
            }

            $(async fn $step(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let mut client = self.client().await?;
                let transaction: Transaction<'_> = client.transaction().await.map_err(engine)?;
                let answer = On::new(&transaction).$step($($argument),*).await?;
                transaction.commit().await.map_err(engine)?;
                Ok(answer)
            })+
        }
    };
}

in_transactions! {
    insert(record: &TokenRecord, rules: &InsertRules) -> InsertOutcome;
    update(id: TokenId, patch: &Patch) -> UpdateOutcome;
    revoke(selection: &Selection, revocation: &Revocation, limit: u32) -> Revoked;
    record_uses(uses: &[Use]) -> ();
    list(query: &Query) -> Page;
    count(filter: &Filter) -> Counts;
    count_by_key() -> Vec<KeyCount>;
    delete(deletion: &Deletion, limit: u32) -> Deleted;
    key_fingerprint(key: &KeyId, value: &[u8; 32]) -> [u8; 32];
}

impl fmt::Debug for PoolStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolStore").finish_non_exhaustive()
    }
}

fn decode(row: &Row) -> Result<TokenRecord, CorruptRecord> {
    let damaged = |_| CorruptRecord::new(Some(id_of(row)), "token");
    row.try_get::<_, Json<StoredRow>>(1).map_err(damaged)?.0.into_record()
}

fn bytes(id: TokenId) -> Vec<u8> {
    id.to_bytes().into()
}

fn all_bytes(ids: &[TokenId]) -> Vec<Vec<u8>> {
    ids.iter().copied().map(bytes).collect()
}

fn id_of(row: &Row) -> TokenId {
    let bytes: &[u8] = row.get(0);
    TokenId::from_u128(bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

/// Tells the core what it has to know of an error: to be tried again, out of reach, or broken.
fn engine(error: tokio_postgres::Error) -> StoreError {
    let busy = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    match error.code() {
        Some(code) if busy.contains(code) => StoreError::Busy(error.into()),
        // The server shuts down, or begins to.
        Some(code) if code.code().starts_with("57P") => StoreError::Unavailable(error.into()),
        Some(_) => StoreError::Faulty(error.into()),
        None => StoreError::Unavailable(error.into()),
    }
}
