use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    store::{
        CorruptRecord, Deleted, Deletion, InsertOutcome, InsertRules, KeyCount, OwnerCount, Page,
        PageQuery, Patch, Position, Selection, Sort, SortKey, StoreError, UpdateOutcome, Use,
        row::seconds,
        sql::{Key, Work},
    },
    token::{Actor, KeyId, Owner, Reason, Revocation, Timestamp, TokenId, TokenRecord},
};

use super::{
    error::failed,
    rows::{self, FIRST, LAST},
    session::Steps,
    statements::{self, Statement, on},
    transactions,
};

impl Steps<'_, '_> {
    /// Runs a statement that writes and returns rows to its end: where only the first row is fetched, a commit that
    /// fails goes unnoticed.
    async fn write_returning(self, statement: Statement<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&mut *self.lease(Work::Write).await?).await.map_err(failed)
    }

    async fn look_up(self, statement: Statement<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&mut *self.lease(Work::LookUp).await?).await.map_err(failed)
    }

    async fn read(self, statement: Statement<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&mut *self.lease(Work::Read).await?).await.map_err(failed)
    }
}

impl Steps<'_, '_> {
    pub(super) async fn find(self, ids: &[TokenId]) -> Result<Page, StoreError> {
        if let [id] = ids {
            let found = self.look_up(on(*id, statements::FIND)).await?;
            return Ok(rows::page(found, u32::MAX, Key::Id));
        }
        let ids = rows::json_ids(ids);
        let packed = self.look_up(sqlx::query(statements::FIND_PACKED).bind(&ids)).await?;
        if let Some(records) = rows::packed(&packed) {
            return Ok(Page { records, ..Page::default() });
        }
        // One of them is damaged: row by row it is told which.
        let found = self.look_up(sqlx::query(statements::FIND_MANY).bind(ids)).await?;
        Ok(rows::page(found, u32::MAX, Key::Id))
    }

    pub(super) async fn insert(
        self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        transactions::insert(self, record, rules).await
    }

    pub(super) async fn page(self, query: &PageQuery) -> Result<Page, StoreError> {
        let key = Key::from(query.sort);
        let after = query.after.as_ref();
        let mut page = sqlx::query(statements::page(query.show, query.sort));
        page = page.bind(query.owner.as_str());
        let mut not_utf_8 = None;
        page = match (key, after.map(|after| &after.key)) {
            (Key::Instant(_), Some(SortKey::Instant(Some(instant)))) => page.bind(*instant),
            (Key::Instant(_), _) => page.bind(i64::MIN),
            (_, after) => {
                let (name, hex) = after.map(rows::name).unwrap_or_default();
                not_utf_8 = hex;
                page.bind(name)
            }
        };
        let start = if query.sort == Sort::Newest { LAST } else { FIRST };
        page = page
            .bind(after.map_or(start.into(), |after| Vec::from(after.id.to_bytes())))
            .bind(seconds(query.unused_since))
            .bind(i64::from(query.limit) + 1)
            .bind(not_utf_8);
        Ok(rows::page(self.read(page).await?, query.limit, key))
    }

    pub(super) async fn update(
        self,
        id: TokenId,
        patch: &Patch,
    ) -> Result<UpdateOutcome, StoreError> {
        transactions::update(self, id, patch).await
    }

    pub(super) async fn revoke(
        self,
        selection: &Selection,
        revocation: &Revocation,
    ) -> Result<Vec<TokenId>, StoreError> {
        let with = |statement: &'static str| {
            sqlx::query(statement)
                .bind(revocation.at.unix_seconds())
                .bind(revocation.by.as_ref().map(Actor::as_str))
                .bind(revocation.reason.as_ref().map(Reason::as_str))
        };
        let revoke = match selection {
            Selection::Tokens { ids, owner } => with(statements::REVOKE_TOKENS)
                .bind(rows::json_ids(ids))
                .bind(owner.as_ref().map(Owner::as_str)),
            Selection::DescendantsOf(ancestor) => {
                with(statements::REVOKE_DESCENDANTS).bind(Vec::from(ancestor.to_bytes()))
            }
            Selection::AllOf(owner) => with(statements::REVOKE_ALL).bind(owner.as_str()),
        };
        rows::ids(&self.write_returning(revoke).await?)
    }

    pub(super) async fn record_uses(self, uses: &[Use]) -> Result<(), StoreError> {
        transactions::record_uses(self, uses).await
    }

    pub(super) async fn expiring(
        self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let start = (from.unix_seconds(), LAST.to_vec());
        let start = match after {
            Some(Position { key: SortKey::Instant(Some(instant)), id }) => {
                start.max((*instant, id.to_bytes().into()))
            }
            _ => start,
        };
        let page = sqlx::query(statements::EXPIRING)
            .bind(start.0)
            .bind(start.1)
            .bind(until.unix_seconds())
            .bind(i64::from(limit) + 1);
        Ok(rows::page(self.read(page).await?, limit, Key::Instant("expires_at")))
    }

    pub(super) async fn unused(
        self,
        since: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let page = sqlx::query(statements::UNUSED)
            .bind(since.unix_seconds())
            .bind(after.map_or(FIRST.to_vec(), |after| after.id.to_bytes().into()))
            .bind(i64::from(limit) + 1);
        Ok(rows::page(self.read(page).await?, limit, Key::Id))
    }

    pub(super) async fn count(self, owner: &Owner) -> Result<OwnerCount, StoreError> {
        let count = sqlx::query_as::<_, (i64, i64)>(statements::COUNT).bind(owner.as_str());
        let (not_revoked, revoked) =
            count.fetch_one(&mut *self.lease(Work::Read).await?).await.map_err(failed)?;
        Ok(OwnerCount { not_revoked: not_revoked.unsigned_abs(), revoked: revoked.unsigned_abs() })
    }

    pub(super) async fn count_by_key(self) -> Result<Vec<KeyCount>, StoreError> {
        let counts = self.read(sqlx::query(statements::COUNT_BY_KEY)).await?;
        counts.iter().map(rows::key_count).collect()
    }

    pub(super) async fn delete(
        self,
        deletion: &Deletion,
        limit: u32,
    ) -> Result<Deleted, StoreError> {
        let delete = match deletion {
            Deletion::EndedBefore(instant) => {
                sqlx::query(statements::PRUNE).bind(instant.unix_seconds())
            }
            Deletion::AllOf(owner) => sqlx::query(statements::ERASE).bind(owner.as_str()),
        };
        let deleted = self.write_returning(delete.bind(limit)).await?;
        Ok(Deleted::up_to(limit, rows::ids(&deleted)?))
    }

    pub(super) async fn key_fingerprint(
        self,
        key: &KeyId,
        value: &[u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let mut kept = self.read(sqlx::query(statements::FINGERPRINT).bind(key.as_str())).await?;
        if kept.is_empty() {
            let keep = sqlx::query(statements::KEEP_FINGERPRINT).bind(key.as_str());
            kept = self.write_returning(keep.bind(value.as_slice())).await?;
        }
        let bytes = kept.first().and_then(|row| row.try_get::<&[u8], _>(0).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(CorruptRecord::new(None, "key_fingerprint").into())
    }
}
