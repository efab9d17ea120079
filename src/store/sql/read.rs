//! The steps that only read.

use std::collections::BTreeMap;

use crate::{
    store::{
        CorruptRecord, KeyCount, StoreError,
        contract::{Page, Peek},
    },
    token::{KeyId, TokenId},
};

use super::{
    engine::{Engine, Row},
    list::page,
    session::Steps,
};

impl<E: Engine> Steps<'_, '_, E> {
    /// Nothing is in memory.
    #[allow(clippy::unused_self, reason = "a store may have something in memory")]
    pub(crate) fn peek(self, _: TokenId) -> Peek {
        Peek::Miss
    }

    pub(crate) async fn find(self, ids: &[TokenId]) -> Result<Page, StoreError> {
        if let [id] = ids {
            let row = self.look_up_row(&self.statements().find, &[(*id).into()]).await?;
            return Ok(page::<E>(row.into_iter().collect(), u32::MAX, |_| None));
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
        Ok(page::<E>(found, u32::MAX, |_| None))
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
