use std::sync::Arc;

use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    store::{
        AbilityUse, CorruptRecord, KeyCount, Page, Position, SortKey, StoreError, Use,
        sql::{self, Key, NOT_UTF_8, by_token, hex, latest, name_key},
    },
    token::{Ability, KeyId, TokenId, TokenRecord},
};

/// Is after every id.
pub(super) const LAST: &[u8] = &[0xFF; 17];
/// Is before every id.
pub(super) const FIRST: &[u8] = &[];

pub(super) fn record(row: &SqliteRow) -> Result<Arc<TokenRecord>, StoreError> {
    Ok(Arc::new(sql::record(row, sql::Types::OfValues)?))
}

/// The ids in the first column.
pub(super) fn ids(rows: &[SqliteRow]) -> Result<Vec<TokenId>, StoreError> {
    rows.iter().map(|row| id(row).ok_or(CorruptRecord::new(None, "id").into())).collect()
}

fn id(row: &SqliteRow) -> Option<TokenId> {
    row.try_get::<&[u8], _>(0).ok()?.try_into().ok().map(TokenId::from_bytes)
}

pub(super) fn key_count(row: &SqliteRow) -> Result<KeyCount, StoreError> {
    let read = || {
        let key: Option<String> = row.try_get(0).map_err(|_| "digest_key")?;
        let key = key.map(KeyId::new).transpose().map_err(|_| "digest_key")?;
        let count = |column| row.try_get::<i64, _>(column).map_err(|_| "count");
        let [current, previous] = [count(1)?, count(2)?].map(i64::unsigned_abs);
        Ok(KeyCount { key, current, previous })
    };
    read().map_err(|field| CorruptRecord::new(None, field).into())
}

pub(super) fn page(rows: Vec<SqliteRow>, limit: u32, key: Key) -> Page {
    sql::page(rows, limit, |row| position(row, key), |row| sql::record(row, sql::Types::OfValues))
}

/// Where a row stands, whether or not it can be read as a token.
fn position(row: &SqliteRow, key: Key) -> Option<Position> {
    let key = match key {
        Key::Id => SortKey::Id,
        Key::Name => SortKey::Name(name_key(row.try_get_unchecked("name").ok()?)),
        Key::Instant(column) => SortKey::Instant(row.try_get(column).ok()?),
    };
    Some(Position { key, id: id(row)? })
}

/// The name that a position is at, or else its bytes in hex.
pub(super) fn name(key: &SortKey) -> (&str, Option<&str>) {
    match key {
        SortKey::Name(name) => match name.strip_prefix(NOT_UTF_8) {
            Some(hex) => ("", Some(hex)),
            None => (name, None),
        },
        _ => ("", None),
    }
}

/// Ids for `json_each`.
pub(super) fn json_ids(ids: &[TokenId]) -> String {
    let ids = ids.iter().map(|id| hex(&id.to_bytes()).into());
    serde_json::Value::Array(ids.collect()).to_string()
}

/// Uses for `json_each`.
pub(super) fn json_uses(uses: &[Use]) -> String {
    let uses = latest(uses).into_values();
    let uses = uses.map(|it| {
        let from = it.from.map(|from| from.to_string());
        serde_json::json!([hex(&it.id.to_bytes()), it.at.unix_seconds(), from])
    });
    serde_json::Value::Array(uses.collect()).to_string()
}

/// What tokens used, for `json_each`.
pub(super) fn json_ability_uses(uses: &[AbilityUse]) -> String {
    let uses = by_token(uses).into_iter().map(|(id, abilities)| {
        let abilities: Vec<_> = abilities.into_iter().map(Ability::as_str).collect();
        serde_json::json!([hex(&id.to_bytes()), abilities])
    });
    serde_json::Value::Array(uses.collect()).to_string()
}
