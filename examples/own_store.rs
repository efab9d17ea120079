//! A store of one's own, on the embedded engine [redb](https://docs.rs/redb).
//!
//! A token is one entry: its id, and its row as JSON. A step that changes something is one write transaction, and redb
//! runs these one after another: that makes each step atomic. What a step has to know of other tokens it finds by
//! reading them all; a store for more than some thousands keeps indexes beside, written in the same transaction.
//!
//! Nothing here awaits, so a future that is dropped has done its step or has not begun. The price is that a step holds
//! its thread while redb writes; a busy server moves the work to a thread pool.
//!
//! `cargo test --example own_store` holds it to every clause of the contract.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use keyfob::{
    Owner, TokenId, TokenName, TokenRecord, TokenState,
    store::{
        CorruptRecord, Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, KeyCount,
        Order, Page, Patch, Peek, Query, Revoked, Selection, StoreError, StoredRow, TokenStore,
        UpdateOutcome, Use,
    },
    token::{KeyId, Prefix, Revocation, TokenDigest},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, backends::InMemoryBackend};

const TOKENS: TableDefinition<u128, &[u8]> = TableDefinition::new("tokens");
const FINGERPRINTS: TableDefinition<&str, [u8; 32]> = TableDefinition::new("fingerprints");

type Tokens<'a> = redb::Table<'a, u128, &'static [u8]>;

#[derive(Debug)]
struct RedbStore {
    database: Database,
}

impl RedbStore {
    /// Every table is there from the start, so that a read need not care whether one is.
    fn new(database: Database) -> Result<Self, StoreError> {
        let transaction = database.begin_write().map_err(engine)?;
        transaction.open_table(TOKENS).map_err(engine)?;
        transaction.open_table(FINGERPRINTS).map_err(engine)?;
        transaction.commit().map_err(engine)?;
        Ok(Self { database })
    }

    fn read<T>(
        &self,
        step: impl FnOnce(&redb::ReadOnlyTable<u128, &'static [u8]>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(engine)?;
        step(&transaction.open_table(TOKENS).map_err(engine)?)
    }

    /// A step that fails is dropped before the commit, and redb forgets what it did.
    fn write<T>(
        &self,
        step: impl FnOnce(&mut Tokens<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_write().map_err(engine)?;
        let outcome = step(&mut transaction.open_table(TOKENS).map_err(engine)?)?;
        transaction.commit().map_err(engine)?;
        Ok(outcome)
    }
}

fn get(
    tokens: &impl ReadableTable<u128, &'static [u8]>,
    id: TokenId,
) -> Result<Option<TokenRecord>, StoreError> {
    let row = tokens.get(id.as_u128()).map_err(engine)?;
    Ok(row.map(|row| decode(id, row.value())?.into_record()).transpose()?)
}

fn put(tokens: &mut Tokens<'_>, record: &TokenRecord) -> Result<(), StoreError> {
    let row = serde_json::to_vec(&StoredRow::from(record));
    let row = row.map_err(|error| StoreError::Faulty(error.into()))?;
    tokens.insert(record.id.as_u128(), &*row).map_err(engine)?;
    Ok(())
}

/// All tokens, or those of one owner. One that can't be read doesn't take the others down.
fn scan(
    tokens: &impl ReadableTable<u128, &'static [u8]>,
    owner: Option<&Owner>,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    for entry in tokens.iter().map_err(engine)? {
        let (id, row) = entry.map_err(engine)?;
        let row = decode(TokenId::from_u128(id.value()), row.value());
        if let (Ok(row), Some(owner)) = (&row, owner)
            && row.owner != owner.as_str()
        {
            continue;
        }
        match row.and_then(StoredRow::into_record) {
            Ok(record) => page.records.push(record.into()),
            Err(corrupt) => page.corrupt.push(corrupt),
        }
    }
    Ok(page)
}

fn decode(id: TokenId, row: &[u8]) -> Result<StoredRow, CorruptRecord> {
    serde_json::from_slice(row).map_err(|_| CorruptRecord::new(Some(id), "row"))
}

/// Tells the core what it has to know of an error: whether the store is out of reach, or broken.
fn engine(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error @ (redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
            StoreError::Unavailable(error.into())
        }
        error => StoreError::Faulty(error.into()),
    }
}

#[async_trait]
impl TokenStore for RedbStore {
    fn peek(&self, _: TokenId) -> Peek {
        Peek::Ask
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let mut page = self.read(|tokens| scan(tokens, None))?;
        page.records.retain(|record| ids.contains(&record.id));
        page.corrupt.retain(|corrupt| corrupt.id.is_some_and(|id| ids.contains(&id)));
        Ok(page)
    }

    async fn insert(
        &self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        self.write(|tokens| {
            if tokens.get(record.id.as_u128()).map_err(engine)?.is_some() {
                return Ok(InsertOutcome::IdTaken);
            }
            let outcome = rules.decide(record, scan(tokens, Some(&record.owner))?.records);
            if outcome == InsertOutcome::Inserted {
                put(tokens, record)?;
            }
            Ok(outcome)
        })
    }

    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
        self.write(|tokens| {
            let Some(mut record) = get(tokens, id)? else {
                return Ok(UpdateOutcome::NotFound);
            };
            let others = match patch.rules() {
                Some(_) => scan(tokens, Some(&record.owner))?.records,
                None => Vec::new(),
            };
            let siblings = patch.siblings(&record, others);
            if let Err(refused) = patch.apply(&mut record, &siblings) {
                return Ok(UpdateOutcome::Refused(refused));
            }
            put(tokens, &record)?;
            Ok(UpdateOutcome::Updated(Arc::new(record)))
        })
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        self.write(|tokens| {
            let revoked = selection.decide(scan(tokens, None)?.records, limit);
            for id in &revoked.changed {
                if let Some(mut record) = get(tokens, *id)? {
                    record.revocation = Some(Box::new(revocation.clone()));
                    put(tokens, &record)?;
                }
            }
            Ok(revoked)
        })
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.write(|tokens| {
            for noted in uses {
                if let Some(mut record) = get(tokens, noted.id)?
                    && noted.apply(&mut record)
                {
                    put(tokens, &record)?;
                }
            }
            Ok(())
        })
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let all = self.read(|tokens| scan(tokens, query.filter.owner.as_ref()))?;
        Ok(Page { corrupt: all.corrupt, ..query.page(all.records) })
    }

    async fn count(&self, filter: &Filter) -> Result<Counts, StoreError> {
        let all = self.read(|tokens| scan(tokens, filter.owner.as_ref()))?;
        Ok(filter.count(all.records))
    }

    async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
        Ok(KeyCount::of(self.read(|tokens| scan(tokens, None))?.records))
    }

    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
        self.write(|tokens| {
            let deleted = deletion.decide(scan(tokens, None)?.records, limit);
            for id in &deleted.ids {
                tokens.remove(id.as_u128()).map_err(engine)?;
            }
            Ok(deleted)
        })
    }

    async fn key_fingerprint(&self, key: &KeyId, value: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        let transaction = self.database.begin_write().map_err(engine)?;
        let kept = {
            let mut fingerprints = transaction.open_table(FINGERPRINTS).map_err(engine)?;
            let kept = fingerprints.get(key.as_str()).map_err(engine)?.map(|it| it.value());
            if kept.is_none() {
                fingerprints.insert(key.as_str(), value).map_err(engine)?;
            }
            kept.unwrap_or(*value)
        };
        transaction.commit().map_err(engine)?;
        Ok(kept)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
    let store = RedbStore::new(database)?;

    let owner = Owner::new("user:42")?;
    let now = "2026-01-31T09:00:00Z".parse()?;
    let record = TokenRecord::new(
        TokenId::from_u128(42),
        Prefix::new("acme")?,
        owner.clone(),
        TokenName::new("ci")?,
        TokenDigest::from_bytes([7; 32], None),
        now,
    );
    let mut rules = InsertRules::at(now);
    (rules.unique_name, rules.limit_per_owner) = (true, Some(10));
    println!("insert: {:?}", store.insert(&record, &rules).await?);
    println!("again:  {:?}", store.insert(&record, &rules).await?);
    println!("found:  {:?}", store.find(&[record.id]).await?.records[0].name);

    let revoked =
        store.revoke(&Selection::AllOf(owner.clone()), &Revocation::new(now), 1_000).await?.changed;
    println!("revoke: {revoked:?}");
    let mut filter = Filter::new(Some(owner), now);
    filter.states = [TokenState::Revoked].into_iter().collect();
    let page = store.list(&Query::new(filter, Order::NEWEST, 10)).await?;
    println!("listed: {} revoked", page.records.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh_store() -> RedbStore {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        RedbStore::new(database).unwrap()
    }

    keyfob::store_conformance!(#[tokio::test] => fresh_store());
}
