use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::store::{Show, Sort};

use super::{columns::COLUMNS, engine::Engine};

/// Stands for *never* in an order: before every instant, and after the place where a page begins that has none before.
const NEVER: &str = "-9223372036854775807";

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
/// knows it. [`Engine::spelled`] writes them for another engine.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(super) find: SqlStr,
    pub(super) find_many: Listed,
    pages: [[SqlStr; 4]; 3],
    pub(super) objections: SqlStr,
    pub(super) hold_parent: SqlStr,
    pub(super) insert: SqlStr,
    pub(super) lock_owner: SqlStr,
    pub(super) forget_owner: SqlStr,
    pub(super) owner_and_name: SqlStr,
    pub(super) siblings: SqlStr,
    pub(super) lock: SqlStr,
    pub(super) write: SqlStr,
    pub(super) children: Listed,
    pub(super) lock_living: Listed,
    pub(super) living_of_owner: SqlStr,
    pub(super) lock_all: Listed,
    pub(super) all_of_owner: SqlStr,
    pub(super) ended: SqlStr,
    pub(super) lock_ended: Listed,
    pub(super) revoke: Listed,
    pub(super) delete: Listed,
    pub(super) record_uses: Listed,
    pub(super) lock_used_abilities: Listed,
    pub(super) record_used_abilities: Listed,
    pub(super) expiring: SqlStr,
    pub(super) walked: SqlStr,
    pub(super) unused: SqlStr,
    pub(super) count: SqlStr,
    pub(super) count_by_key: SqlStr,
    pub(super) fingerprint: SqlStr,
    pub(super) keep_fingerprint: SqlStr,
    pub(super) tell: Option<SqlStr>,
}

impl Statements {
    /// The statements on tables that are called so, with what ends a `SELECT` that decides something.
    #[allow(clippy::too_many_lines, reason = "it is one list")]
    pub(super) fn new<E: Engine>(called: &impl Fn(&str) -> String, current: &str) -> Self {
        let sized = |statement: &str, size: usize| {
            let statement = statement
                .replace("{tokens_by_id}", &format!("{{tokens}} {}", E::BY_ID))
                .replace("{tokens}", &called("tokens"))
                .replace("{owners}", &called("owners"))
                .replace("{canaries}", &called("canaries"))
                .replace("{columns}", COLUMNS)
                .replace("{never}", NEVER)
                .replace("{current}", current);
            let statement: Arc<str> = E::spelled(&statement, size).into();
            AssertSqlSafe(statement).into_sql_str()
        };
        let sql = |statement: &str| sized(statement, 1);
        let listed = |statement: &str| {
            let sized = |size| sized(statement, size);
            let shorter = E::SHORTER_LISTS.iter().map(|size| (*size, sized(*size))).collect();
            Listed { shorter, longest: sized(E::LONGEST_LIST) }
        };
        let page = |show: &str, (after, order): (&str, &str)| {
            sql(&format!(
                "SELECT {{columns}} FROM {{tokens}} WHERE owner = ? AND {show} AND {after}
                    AND (? IS NULL OR last_used_at IS NULL OR last_used_at < ?)
                ORDER BY {order} LIMIT ?"
            ))
        };
        let pages = |show| {
            [
                ("id <= ?", "id DESC"),
                ("id >= ?", "id"),
                ("name >= ? AND (name > ? OR id > ?)", "name, id"),
                (
                    "COALESCE(last_used_at, {never}) >= ?
                        AND (COALESCE(last_used_at, {never}) > ? OR id > ?)",
                    "COALESCE(last_used_at, {never}), id",
                ),
            ]
            .map(|sort| page(show, sort))
        };
        let values = vec!["?"; COLUMNS.split(", ").count()].join(", ");
        let assignments: Vec<_> =
            COLUMNS.split(", ").skip(1).map(|column| format!("{column} = ?")).collect();
        Self {
            find: sql("SELECT {columns} FROM {tokens} WHERE id = ?"),
            find_many: listed("SELECT {columns} FROM {tokens} WHERE id IN (?..)"),
            pages: [pages("revoked_at IS NULL"), pages("revoked_at IS NOT NULL"), pages("TRUE")],
            objections: sql(&format!(
                "SELECT {SIBLINGS},
                    (SELECT count(*) FROM {{tokens}} WHERE id = ?),
                    (SELECT id FROM {{tokens}} WHERE owner = ? AND idempotency_key = ? {{current}})"
            )),
            hold_parent: sql("SELECT id FROM {tokens_by_id} WHERE id = ? LOCK IN SHARE MODE"),
            insert: sql(&format!(
                "INSERT INTO {{tokens}} ({{columns}}) VALUES ({values}) {}",
                E::OR_NOTHING
            )),
            lock_owner: sql(E::LOCK_OWNER),
            forget_owner: sql("DELETE FROM {owners} WHERE owner = ?"),
            owner_and_name: sql("SELECT owner, name FROM {tokens} WHERE id = ?"),
            siblings: sql(&format!("SELECT {SIBLINGS}")),
            lock: sql("SELECT {columns} FROM {tokens_by_id} WHERE id = ? FOR UPDATE"),
            write: sql(&format!(
                "UPDATE {{tokens_by_id}} SET {} WHERE id = ?",
                assignments.join(", ")
            )),
            children: listed("SELECT id FROM {tokens} WHERE parent IN (?..) {current}"),
            lock_living: listed(
                "SELECT id FROM {tokens_by_id}
                WHERE id IN (?..) AND revoked_at IS NULL AND (? IS NULL OR owner = ?)
                ORDER BY id FOR UPDATE",
            ),
            living_of_owner: sql("SELECT id FROM {tokens}
                WHERE owner = ? AND revoked_at IS NULL ORDER BY id {current}"),
            lock_all: listed(
                "SELECT id FROM {tokens_by_id} WHERE id IN (?..) ORDER BY id FOR UPDATE",
            ),
            all_of_owner: sql(
                "SELECT id FROM {tokens} WHERE owner = ? ORDER BY id LIMIT ? {current}",
            ),
            ended: sql("SELECT id FROM {tokens} WHERE ends_at < ?
                ORDER BY ends_at LIMIT ? {current}"),
            lock_ended: listed(
                "SELECT id FROM {tokens_by_id}
                WHERE id IN (?..) AND ends_at < ? ORDER BY id FOR UPDATE",
            ),
            revoke: listed(
                "UPDATE {tokens_by_id}
                SET revoked_at = ?, revoked_by = ?, revoked_reason = ? WHERE id IN (?..)",
            ),
            delete: listed(E::DELETE),
            record_uses: listed(E::RECORD_USES),
            lock_used_abilities: listed(
                "SELECT id, used_abilities, revoked_at FROM {tokens_by_id}
                WHERE id IN (?..) ORDER BY id FOR UPDATE",
            ),
            record_used_abilities: listed(E::RECORD_USED_ABILITIES),
            expiring: sql("SELECT {columns} FROM {tokens}
                WHERE revoked_at IS NULL AND expires_at >= ? AND (expires_at > ? OR id > ?)
                    AND expires_at <= ?
                ORDER BY expires_at, id LIMIT ?"),
            walked: sql("SELECT id FROM {tokens} WHERE id >= ? ORDER BY id LIMIT 1 OFFSET 4999"),
            unused: sql("SELECT {columns} FROM {tokens}
                WHERE revoked_at IS NULL AND created_at < ?
                    AND (last_used_at IS NULL OR last_used_at < ?) AND id >= ? AND id <= ?
                ORDER BY id LIMIT ?"),
            count: sql("SELECT count(CASE WHEN revoked_at IS NULL THEN 1 END), count(revoked_at)
                FROM {tokens} WHERE owner = ?"),
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
        }
    }

    pub(super) const fn page(&self, show: Show, sort: Sort) -> &SqlStr {
        let shown = &self.pages[match show {
            Show::NotRevoked => 0,
            Show::Revoked => 1,
            Show::Any => 2,
        }];
        &shown[match sort {
            Sort::Newest => 0,
            Sort::Oldest => 1,
            Sort::Name => 2,
            Sort::LeastRecentlyUsed => 3,
        }]
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
