use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{
    columns::{COLUMNS, listed},
    engine::Engine,
};

/// The siblings of a token: if there is one of a name, and how many there are up to a limit.
const SIBLINGS: &str = "
    (SELECT count(*) FROM (SELECT 1 FROM {tokens}
        WHERE owner = ? AND name = ? AND id <> ? AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > ?) LIMIT 1 {current}
    ) AS namesakes),
    (SELECT count(*) FROM (SELECT 1 FROM {tokens}
        WHERE owner = ? AND id <> ? AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > ?) LIMIT ? {current}
    ) AS living)";

/// Every statement that the steps run.
///
/// They are written as MySQL has them: `?` for each value, `IN (?..)` for a list, and `LOCK IN SHARE MODE` as MariaDB
/// knows it. [`Engine::render`] writes them for another engine.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(super) find: SqlStr,
    pub(super) find_packed: Option<SqlStr>,
    pub(super) find_many: Listed,
    pub(super) objections: SqlStr,
    pub(super) hold_parent: SqlStr,
    pub(super) insert: SqlStr,
    pub(super) lock_owner: Option<SqlStr>,
    pub(super) hold_owner: Option<SqlStr>,
    pub(super) forget_owner: Option<SqlStr>,
    pub(super) owner_and_name: SqlStr,
    pub(super) siblings: SqlStr,
    pub(super) lock: SqlStr,
    pub(super) write: SqlStr,
    pub(super) children: Listed,
    pub(super) lock_selected: Listed,
    pub(super) living_of_owner: SqlStr,
    pub(super) lock_all: Listed,
    pub(super) all_of_owner: SqlStr,
    pub(super) ended: SqlStr,
    pub(super) lock_ended: Listed,
    pub(super) parents: Listed,
    pub(super) revoke: Listed,
    pub(super) delete: Listed,
    pub(super) record_uses: Listed,
    pub(super) lock_used_abilities: Listed,
    pub(super) record_used_abilities: Listed,
    pub(super) count_by_key: SqlStr,
    pub(super) fingerprint: SqlStr,
    pub(super) keep_fingerprint: SqlStr,
    pub(super) tell: Option<SqlStr>,
    /// For statements that are put together while the store runs.
    pub(crate) spelling: Spelling,
}

impl Statements {
    /// The statements on tables that are called so, with what ends a `SELECT` that decides something.
    #[allow(clippy::too_many_lines, reason = "it is one list")]
    pub(crate) fn new<E: Engine>(
        table_name: &impl Fn(&str) -> String,
        current: &'static str,
    ) -> Self {
        let spelling = Spelling::new::<E>(table_name, current);
        let sql = |statement: &str| spelling.one(statement);
        let for_list = |statement: &str| spelling.for_list(statement);
        let values = listed(|_, _| "?".to_owned());
        let assignments: Vec<_> =
            COLUMNS.iter().skip(1).map(|(column, _)| format!("{column} = ?")).collect();
        let assignments = assignments.join(", ");
        Self {
            find: sql("SELECT {columns} FROM {tokens} WHERE id = ?"),
            find_packed: E::FIND_PACKED.map(sql),
            find_many: for_list("SELECT {columns} FROM {tokens} WHERE id IN (?..)"),
            objections: sql(&format!(
                "SELECT {SIBLINGS},
                    (SELECT count(*) FROM {{tokens}} WHERE id = ?),
                    (SELECT id FROM {{tokens}} WHERE owner = ? AND idempotency_key = ? {{current}})"
            )),
            hold_parent: sql("SELECT id FROM {tokens_by_id} WHERE id = ? LOCK IN SHARE MODE"),
            insert: sql(&format!(
                "INSERT INTO {{tokens}} ({{columns}}, name_folded) VALUES ({values}, ?) {}",
                E::OR_NOTHING
            )),
            lock_owner: E::LOCK_OWNER.map(sql),
            hold_owner: E::LOCK_OWNER
                .map(|_| sql("SELECT owner FROM {owners} WHERE owner = ? FOR UPDATE")),
            forget_owner: E::LOCK_OWNER.map(|_| sql("DELETE FROM {owners} WHERE owner = ?")),
            owner_and_name: sql("SELECT owner, name FROM {tokens} WHERE id = ?"),
            siblings: sql(&format!("SELECT {SIBLINGS}")),
            lock: sql("SELECT {columns} FROM {tokens_by_id} WHERE id = ? FOR UPDATE"),
            write: sql(&format!(
                "UPDATE {{tokens_by_id}} SET {assignments}, name_folded = ? WHERE id = ?"
            )),
            children: for_list(E::CHILDREN),
            lock_selected: for_list(
                "SELECT id, revoked_at FROM {tokens_by_id}
                WHERE id IN (?..) AND (? IS NULL OR owner = ?) ORDER BY id FOR UPDATE",
            ),
            living_of_owner: sql("SELECT id FROM {tokens}
                WHERE owner = ? AND revoked_at IS NULL LIMIT ? {current}"),
            lock_all: for_list(
                "SELECT id FROM {tokens_by_id} WHERE id IN (?..) ORDER BY id FOR UPDATE",
            ),
            all_of_owner: sql("SELECT id FROM {tokens} WHERE owner = ? LIMIT ? {current}"),
            ended: sql("SELECT id FROM {tokens} AS kept WHERE ends_at < ?
                    AND (SELECT 1 FROM {tokens} AS child WHERE child.parent = kept.id LIMIT 1) IS NULL
                ORDER BY ends_at LIMIT ? {current}"),
            parents: for_list("SELECT DISTINCT parent FROM {tokens} WHERE parent IN (?..)"),
            lock_ended: for_list(
                "SELECT id, parent FROM {tokens_by_id}
                WHERE id IN (?..) AND ends_at < ? ORDER BY id FOR UPDATE",
            ),
            revoke: for_list(
                "UPDATE {tokens_by_id}
                SET revoked_at = ?, revoked_by = ?, revoked_reason = ? WHERE id IN (?..)",
            ),
            delete: for_list(E::DELETE),
            record_uses: for_list(E::RECORD_USES),
            lock_used_abilities: for_list(
                "SELECT id, used_abilities, revoked_at FROM {tokens_by_id}
                WHERE id IN (?..) ORDER BY id FOR UPDATE",
            ),
            record_used_abilities: for_list(&E::WRITE_TEXTS.replace("{column}", "used_abilities")),
            count_by_key: sql("SELECT digest_key, count(*), 0 FROM {tokens}
                    WHERE revoked_at IS NULL GROUP BY digest_key
                UNION ALL
                SELECT previous_digest_key, 0, count(*) FROM {tokens}
                    WHERE revoked_at IS NULL AND previous_digest IS NOT NULL
                    GROUP BY previous_digest_key"),
            fingerprint: sql("SELECT canary FROM {canaries} WHERE key_id = ? {current}"),
            keep_fingerprint: sql(&format!(
                "INSERT INTO {{canaries}} (key_id, canary) VALUES (?, ?) {}",
                E::OR_NOTHING
            )),
            tell: E::TELL.map(sql),
            spelling,
        }
    }
}

/// Writes statements for an engine.
#[derive(Debug)]
pub(crate) struct Spelling {
    tables: [(&'static str, String); 3],
    columns: String,
    by_id: &'static str,
    text_of_bytes: &'static str,
    bigint: &'static str,
    current: &'static str,
    sizes: &'static [usize],
    longest: usize,
    render: fn(&str, usize) -> String,
    /// All that were written.
    #[cfg(test)]
    pub(crate) all: std::sync::Mutex<Vec<String>>,
}

impl Spelling {
    pub(crate) fn new<E: Engine>(
        table_name: &impl Fn(&str) -> String,
        current: &'static str,
    ) -> Self {
        Self {
            tables: ["tokens", "owners", "canaries"].map(|table| (table, table_name(table))),
            columns: listed(|name, _| name.to_owned()),
            by_id: E::BY_ID,
            text_of_bytes: E::TEXT_OF_BYTES,
            bigint: E::BIGINT,
            current,
            sizes: E::SHORTER_LISTS,
            longest: E::LONGEST_LIST,
            render: E::render,
            #[cfg(test)]
            all: std::sync::Mutex::default(),
        }
    }

    pub(super) fn one(&self, statement: &str) -> SqlStr {
        self.sized(statement, 1)
    }

    pub(super) fn for_list(&self, statement: &str) -> Listed {
        let shorter = self.sizes.iter().map(|size| (*size, self.sized(statement, *size)));
        Listed { shorter: shorter.collect(), longest: self.sized(statement, self.longest) }
    }

    fn sized(&self, statement: &str, size: usize) -> SqlStr {
        let mut statement =
            statement.replace("{tokens_by_id}", &format!("{{tokens}} {}", self.by_id));
        for (table, name) in &self.tables {
            statement = statement.replace(&format!("{{{table}}}"), name);
        }
        let statement = statement
            .replace("{columns}", &self.columns)
            .replace("{text}", self.text_of_bytes)
            .replace("{bigint}", self.bigint)
            .replace("{current}", self.current);
        let statement = (self.render)(&statement, size);
        #[cfg(test)]
        self.all.lock().unwrap().push(statement.clone());
        let statement: Arc<str> = statement.into();
        AssertSqlSafe(statement).into_sql_str()
    }
}

/// A statement with a list, once for each size of it.
#[derive(Debug)]
pub(super) struct Listed {
    shorter: Vec<(usize, SqlStr)>,
    longest: SqlStr,
}

impl Listed {
    /// The statement for a list of a length.
    pub(super) fn of(&self, length: usize) -> &SqlStr {
        let fits = self.shorter.iter().find(|(size, _)| *size >= length);
        fits.map_or(&self.longest, |(_, statement)| statement)
    }
}
