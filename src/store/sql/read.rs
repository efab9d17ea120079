//! The steps that only read.

use std::collections::BTreeMap;

use crate::{
    store::{
        CorruptRecord, KeyCount, OwnerCount, Page, PageQuery, Position, Sort, SortKey, StoreError,
        row::seconds,
    },
    token::{KeyId, Owner, Timestamp, TokenId},
};

use super::{
    columns,
    engine::{Engine, Row, Value},
    page::{self, Key, name_key, name_of},
    session::Steps,
};

/// *Never* where a page begins: after what is before everything, before every instant. The statements know it too.
const NEVER: i64 = i64::MIN + 1;

impl<E: Engine> Steps<'_, '_, E> {
    pub(crate) async fn find(self, ids: &[TokenId]) -> Result<Page, StoreError> {
        if let [id] = ids {
            let rows = self.look_up(&self.statements().find, &[(*id).into()]).await?;
            return Ok(page_of::<E>(rows, u32::MAX, Key::Id));
        }
        let ids = distinct(ids);
        if let Some(find) = &self.statements().find_packed {
            let packed = self.look_up(find, &[ids.as_slice().into()]).await?;
            if let Some(records) = E::unpacked(&packed) {
                return Ok(Page { records, ..Page::default() });
            }
            // One of them is damaged: row by row it is told which.
        }
        let mut found = Vec::new();
        for ids in ids.chunks(E::LONGEST_LIST) {
            let statement = self.statements().find_many.of(ids.len());
            found.extend(self.look_up(statement, &[ids.into()]).await?);
        }
        Ok(page_of::<E>(found, u32::MAX, Key::Id))
    }

    pub(crate) async fn page(self, query: &PageQuery) -> Result<Page, StoreError> {
        let key = Key::from(query.sort);
        let after = query.after.as_ref();
        let id = after.map_or(TokenId::from_u128(0), |after| after.id);
        let name = match after.map(|after| &after.key) {
            Some(SortKey::Name(name)) => name_of(name),
            _ => b"".into(),
        };
        let mut values = vec![Value::from(query.owner.as_str())];
        match (key, after.map(|after| &after.key)) {
            (Key::Id, _) => match first_id(after, query.sort) {
                Some(first) => values.push(first.into()),
                None => return Ok(Page::default()),
            },
            (Key::Name, _) => {
                let name = || Value::Beginning(&name);
                values.extend([name(), name(), id.into()]);
            }
            (Key::Instant(_), Some(SortKey::Instant(instant))) => {
                let instant = instant.unwrap_or(NEVER);
                values.extend([Value::from(instant), instant.into(), id.into()]);
            }
            (Key::Instant(_), _) => {
                values.extend([Value::from(i64::MIN), i64::MIN.into(), id.into()]);
            }
        }
        let unused_since = seconds(query.unused_since);
        values.extend([Value::from(unused_since), unused_since.into(), one_more(query.limit)]);
        let rows = self.read(self.statements().page(query.show, query.sort), &values).await?;
        Ok(page_of::<E>(rows, query.limit, key))
    }

    pub(crate) async fn expiring(
        self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let start = (from.unix_seconds(), TokenId::from_u128(u128::MAX));
        let (instant, id) = match after {
            Some(Position { key: SortKey::Instant(Some(instant)), id }) => {
                start.max((*instant, *id))
            }
            _ => start,
        };
        let values = [
            instant.into(),
            instant.into(),
            id.into(),
            until.unix_seconds().into(),
            one_more(limit),
        ];
        let rows = self.read(&self.statements().expiring, &values).await?;
        Ok(page_of::<E>(rows, limit, Key::Instant("expires_at")))
    }

    /// Walks over the tokens by id, and not far at a time: no index tells who was not used, because it would have to be
    /// written with each use.
    pub(crate) async fn unused(
        self,
        since: Timestamp,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let Some(first) = first_id(after, Sort::Oldest) else {
            return Ok(Page::default());
        };
        let walked = self.read(&self.statements().walked, &[first.into()]).await?;
        let last = walked.first().map(id::<E>).transpose()?;
        let until = last.unwrap_or(TokenId::from_u128(u128::MAX));
        let since = since.unix_seconds();
        let values = [since.into(), since.into(), first.into(), until.into(), one_more(limit)];
        let rows = self.read(&self.statements().unused, &values).await?;
        let mut page = page_of::<E>(rows, limit, Key::Id);
        page.end = page.end.or_else(|| Some(Position { key: SortKey::Id, id: last? }));
        Ok(page)
    }

    pub(crate) async fn count(self, owner: &Owner) -> Result<OwnerCount, StoreError> {
        let rows = self.read(&self.statements().count, &[owner.as_str().into()]).await?;
        let row = rows.first().ok_or_else(|| E::failed(sqlx::Error::RowNotFound))?;
        Ok(OwnerCount { not_revoked: number::<E>(row, 0)?, revoked: number::<E>(row, 1)? })
    }

    pub(crate) async fn count_by_key(self) -> Result<Vec<KeyCount>, StoreError> {
        let mut counts = BTreeMap::<_, (u64, u64)>::new();
        for row in self.read(&self.statements().count_by_key, &[]).await? {
            let corrupt = CorruptRecord::new(None, "digest_key");
            let key = text::<E>(&row, 0)?.map(KeyId::new).transpose().map_err(|_| corrupt)?;
            let count = counts.entry(key).or_default();
            count.0 += number::<E>(&row, 1)?;
            count.1 += number::<E>(&row, 2)?;
        }
        let counts = counts.into_iter();
        Ok(counts.map(|(key, (current, previous))| KeyCount { key, current, previous }).collect())
    }
}

/// Each id once, in order: everyone locks tokens in the order of their ids.
pub(super) fn distinct(ids: &[TokenId]) -> Vec<TokenId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The first id that a page may have, if there can be one.
fn first_id(after: Option<&Position>, sort: Sort) -> Option<TokenId> {
    let after = after.map(|after| after.id.as_u128());
    let first = match sort {
        Sort::Newest => after.map_or(Some(u128::MAX), |id| id.checked_sub(1)),
        _ => after.map_or(Some(0), |id| id.checked_add(1)),
    };
    first.map(TokenId::from_u128)
}

/// One row more than a page has tells that there are more.
fn one_more(limit: u32) -> Value<'static> {
    (i64::from(limit) + 1).into()
}

fn page_of<E: Engine>(rows: Vec<Row<E>>, limit: u32, key: Key) -> Page {
    page::page(rows, limit, |row| position::<E>(row, key), E::record)
}

/// Where a row stands, whether or not it can be read as a token.
fn position<E: Engine>(row: &Row<E>, key: Key) -> Option<Position> {
    let key = match key {
        Key::Id => SortKey::Id,
        Key::Name => SortKey::Name(name_key(E::bytes(row, columns::index("name")).ok()??)),
        Key::Instant(column) => SortKey::Instant(E::integer(row, columns::index(column)).ok()?),
    };
    Some(Position { key, id: id::<E>(row).ok()? })
}

/// The id in the first column.
pub(super) fn id<E: Engine>(row: &Row<E>) -> Result<TokenId, StoreError> {
    optional_id::<E>(row, 0)?.ok_or_else(|| CorruptRecord::new(None, "id").into())
}

pub(super) fn optional_id<E: Engine>(
    row: &Row<E>,
    column: usize,
) -> Result<Option<TokenId>, StoreError> {
    let bytes = E::bytes(row, column).map_err(E::failed)?;
    let id = bytes.map(|bytes| bytes.try_into().map(TokenId::from_bytes)).transpose();
    id.map_err(|_| CorruptRecord::new(None, "id").into())
}

pub(super) fn text<E: Engine>(row: &Row<E>, column: usize) -> Result<Option<String>, StoreError> {
    let bytes = E::bytes(row, column).map_err(E::failed)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|_| CorruptRecord::new(None, "text").into())
}

pub(super) fn number<E: Engine>(row: &Row<E>, column: usize) -> Result<u64, StoreError> {
    let number = E::integer(row, column).map_err(E::failed)?;
    Ok(number.unwrap_or_default().unsigned_abs())
}
