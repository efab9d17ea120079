//! What SQLite reads for each statement, and how it packs tokens.

use sqlx::{AssertSqlSafe, Connection, Row, SqlStr, SqliteConnection};

use crate::store::{
    contract::{InsertOutcome, InsertRules, SharedRecord, StoredRow},
    sql::{Engine, SqlStore, Statements, Value},
};

use super::{engine::Sqlite, schema, table_name};

async fn database() -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(schema::SCHEMA).execute(&mut connection).await.unwrap();
    connection
}

/// The steps of plans that walk through a table, each with its statement.
async fn scans(connection: &mut SqliteConnection) -> Vec<(String, String)> {
    let mut scans = Vec::new();
    let statements = Statements::new::<Sqlite>(&table_name, "");
    let all = statements.spelling.all.lock().unwrap().clone();
    for statement in all {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        for row in sqlx::query(explain).fetch_all(&mut *connection).await.unwrap() {
            let step: String = row.get(3);
            // `id > ?` alone walks the whole table from there.
            let walks = step.ends_with("(id>?)") || step.ends_with("(id<?)");
            if walks || step.starts_with("SCAN keyfob") || step.starts_with("SCAN kept") {
                scans.push((statement.clone(), step));
            }
        }
    }
    scans
}

#[tokio::test]
async fn no_statement_scans_the_table() {
    let mut connection = database().await;
    let expected = |scans: Vec<(String, String)>| {
        // Keys are counted over all tokens. Tokens without uses are looked for a part of the table at a time.
        for (statement, step) in scans {
            let counts = statement.starts_with("SELECT digest_key, count(*)")
                && step.contains("USING COVERING INDEX keyfob_tokens_by_name");
            assert!(counts || statement.contains("OFFSET 4999"), "{step} in {statement}");
        }
    };
    let empty = scans(&mut connection).await;
    assert!(!empty.is_empty(), "a scan is seen as one");
    expected(empty);
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
        INSERT INTO keyfob_tokens (id, prefix, owner, name, digest, generation,
            previous_ends_on_first_use, previous_may_ask_again, abilities, created_at,
            expires_at, last_used_at,
            revoked_at, parent, notices)
        SELECT randomblob(16), 'acme', 'user:' || i % 3, 'n' || i, randomblob(32), 0, 0, 0, '', i,
            iif(i % 2, i, NULL), iif(i % 5, NULL, i), iif(i % 7, NULL, i),
            iif(i % 11, NULL, zeroblob(16)), '' FROM n";
    sqlx::query(fill).execute(&mut connection).await.unwrap();
    sqlx::raw_sql("ANALYZE").execute(&mut connection).await.unwrap();
    expected(scans(&mut connection).await);
}

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
        version: Some(7),
    }
}

async fn find_packed(
    connection: &mut SqliteConnection,
    records: &[SharedRecord],
) -> Option<Vec<SharedRecord>> {
    let statements = Statements::new::<Sqlite>(&table_name, "");
    let find = statements.spelling.all.lock().unwrap().clone();
    let find = find.iter().find(|it| it.contains("json_group_array")).unwrap();
    let ids: Vec<_> = records.iter().map(|it| it.id).collect();
    let mut arguments = sqlx::sqlite::SqliteArguments::default();
    Sqlite::bind(&mut arguments, &Value::Ids(&ids)).unwrap();
    let find: SqlStr = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(find.clone()));
    Sqlite::unpacked(&Sqlite::fetch(connection, find, arguments).await.unwrap())
}

/// Were they not, each look-up would be made twice, and nothing else would tell.
#[tokio::test]
async fn packed_tokens_are_those_that_rows_give_and_damaged_ones_none() {
    let mut connection = database().await;
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
    let records = [full, bare].map(|row| SharedRecord::from(row.into_record().unwrap()));
    let pool = sqlx::SqlitePool::connect_lazy("sqlite::memory:").unwrap();
    let store = SqlStore::<Sqlite>::new(super::Pools::shared(pool), table_name, String::new());
    for record in &records {
        let on = store.on(&mut connection);
        let inserted = on.steps().insert(record, &InsertRules::none()).await.unwrap();
        assert_eq!(inserted, InsertOutcome::Inserted);
    }
    assert_eq!(find_packed(&mut connection, &records).await.unwrap(), records);

    let damage = "UPDATE keyfob_tokens SET name = CAST(x'ff' AS TEXT) WHERE owner = 'user:43'";
    sqlx::query(damage).execute(&mut connection).await.unwrap();
    assert_eq!(find_packed(&mut connection, &records).await, None);
}
