use std::sync::Arc;

use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    store::{
        CorruptRecord, KeyCount, Page, Position, SortKey, StoreError, StoredRow, Use,
        sql::{self, Key, NOT_UTF_8, name_key},
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

/// The tokens in a JSON text, if each can be read.
pub(super) fn packed(rows: &[SqliteRow]) -> Option<Vec<Arc<TokenRecord>>> {
    let rows: Vec<StoredRow> = serde_json::from_str(rows.first()?.try_get(0).ok()?).ok()?;
    rows.into_iter().map(|row| row.into_record().ok().map(Arc::new)).collect()
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
    let ids = ids.iter().map(|id| hex::encode(id.to_bytes()).into());
    serde_json::Value::Array(ids.collect()).to_string()
}

/// Uses for `json_each`, each token once.
pub(super) fn json_uses(uses: &[Use]) -> String {
    let uses = uses.iter().map(|it| {
        let from = it.from.map(|from| from.to_string());
        serde_json::json!([hex::encode(it.id.to_bytes()), it.at.unix_seconds(), from])
    });
    serde_json::Value::Array(uses.collect()).to_string()
}

/// Those abilities that tokens used, for `json_each`; `None` if there are none.
pub(super) fn json_used_abilities(uses: &[Use]) -> Option<String> {
    let uses = uses.iter().filter(|it| !it.abilities.is_empty()).map(|it| {
        let abilities: Vec<_> = it.abilities.iter().map(Ability::as_str).collect();
        serde_json::json!([hex::encode(it.id.to_bytes()), abilities])
    });
    let uses: Vec<_> = uses.collect();
    (!uses.is_empty()).then(|| serde_json::Value::Array(uses).to_string())
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;
    use crate::store::{
        sql::bind,
        sqlite::{schema, statements},
    };

    fn everything() -> StoredRow {
        let text = |text: &str| Some(text.to_owned());
        StoredRow {
            id: vec![0xAB; 16],
            prefix: "acme".into(),
            owner: "user:\"42\"\\é".into(),
            created_by: text("admin:7"),
            name: "ci".into(),
            digest: vec![0x01; 32],
            digest_key: text("2026"),
            generation: i64::from(u32::MAX),
            rotated_at: Some(1_001),
            first_used_at: Some(1_002),
            previous_digest: Some(vec![0xF0; 32]),
            previous_digest_key: text("2025"),
            previous_ends_at: Some(1_003),
            previous_ends_on_first_use: true,
            previous_may_ask_again: true,
            abilities: "servers:read servers:write".into(),
            created_at: -1_004,
            expires_at: Some(253_402_300_799),
            not_before: Some(1_005),
            idle_seconds: Some(1_006),
            last_used_at: Some(1_007),
            last_used_from: text("2001:db8::1"),
            suspended_since: Some(1_008),
            suspended_until: Some(1_009),
            suspended_reason: text("abuse"),
            revoked_at: Some(1_010),
            revoked_by: text("admin:8"),
            revoked_reason: text("leaked"),
            parent: Some(vec![0x0C; 16]),
            allowed_addresses: text("192.0.2.0/24"),
            rate_limit_requests: Some(60),
            rate_limit_seconds: Some(3_600),
            metadata: text(r#"{"a":[1,2.5,"\"b\""]}"#),
            notices: "7 14".into(),
            used_abilities: "servers:read".into(),
            idempotency_key: text("once"),
        }
    }

    async fn find(
        connection: &mut SqliteConnection,
        ids: &[TokenId],
    ) -> Option<Vec<Arc<TokenRecord>>> {
        let find = sqlx::query(statements::FIND_PACKED).bind(json_ids(ids));
        packed(&find.fetch_all(connection).await.unwrap())
    }

    /// Were they not, each look-up would be made twice, and nothing else would tell.
    #[tokio::test]
    async fn packed_tokens_are_those_that_rows_give_and_damaged_ones_none() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(schema::SCHEMA).execute(&mut connection).await.unwrap();
        let full = everything();
        let columns = serde_json::to_value(&full).unwrap();
        let is_empty = |column: &serde_json::Value| column.is_null() || *column == false;
        assert!(!columns.as_object().unwrap().values().any(is_empty), "{columns}");
        let bare = StoredRow {
            id: vec![0xAC; 16],
            digest: vec![0x02; 32],
            owner: "user:43".into(),
            name: full.name.clone(),
            prefix: full.prefix.clone(),
            ..StoredRow::default()
        };
        let expected = [&full, &bare].map(|row| Arc::new(row.clone().into_record().unwrap()));
        let ids = expected.each_ref().map(|it| it.id);
        for row in [full, bare] {
            let insert = bind(sqlx::query(statements::INSERT), row);
            insert.execute(&mut connection).await.unwrap();
        }
        assert_eq!(find(&mut connection, &ids).await.unwrap(), expected);

        let damage = "UPDATE keyfob_tokens SET name = CAST(x'ff' AS TEXT) WHERE owner = 'user:43'";
        sqlx::query(damage).execute(&mut connection).await.unwrap();
        assert_eq!(find(&mut connection, &ids).await, None);
    }
}
