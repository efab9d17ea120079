//! Every statement that the store runs. Parameters are numbered in the order in which the steps bind them.

use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments};

use crate::{
    store::{
        Show, Sort,
        sql::{columns, fields},
    },
    token::TokenId,
};

pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement on one token; its id is parameter 1.
pub(super) fn on<'q>(id: TokenId, statement: &'static str) -> Statement<'q> {
    sqlx::query(statement).bind(Vec::from(id.to_bytes()))
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $($part:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $name: &str = concat!($($part),+);)+

        #[cfg(test)]
        const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

/// The siblings of token 1, of owner 2: those of name 3, and how many, at instant 4 and up to 5.
macro_rules! siblings {
    () => {
        "EXISTS (SELECT 1 FROM keyfob_tokens WHERE owner = ?2 AND name = ?3 AND id <> ?1
            AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?4)),
        (SELECT count(*) FROM (SELECT 1 FROM keyfob_tokens WHERE owner = ?2 AND id <> ?1
            AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?4)
            LIMIT coalesce(?5, 0)))"
    };
}

/// `$place` begins the page after a position: parameter 2 is its key, 3 its id, 6 a key that is no UTF-8, in hex.
macro_rules! page {
    ($show:literal, $place:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM keyfob_tokens WHERE owner = ?1 AND ",
            $show,
            " AND ",
            $place,
            " AND (?4 IS NULL OR last_used_at IS NULL OR last_used_at < ?4) ORDER BY ",
            $order,
            " LIMIT ?5"
        )
    };
}

macro_rules! pages {
    ($show:literal) => {
        [
            page!($show, "id < ?3", "id DESC"),
            page!($show, "id > ?3", "id"),
            page!($show, "(name, id) > (coalesce(CAST(unhex(?6) AS TEXT), ?2), ?3)", "name, id"),
            page!(
                $show,
                "(coalesce(last_used_at, -9223372036854775808), id) > (?2, ?3)",
                "last_used_at, id"
            ),
        ]
    };
}

/// By what is shown, then by the order.
const PAGES: [[&str; 4]; 3] =
    [pages!("revoked_at IS NULL"), pages!("revoked_at IS NOT NULL"), pages!("TRUE")];

pub(super) const fn page(show: Show, sort: Sort) -> &'static str {
    let shown = &PAGES[match show {
        Show::NotRevoked => 0,
        Show::Revoked => 1,
        Show::Any => 2,
    }];
    shown[match sort {
        Sort::Newest => 0,
        Sort::Oldest => 1,
        Sort::Name => 2,
        Sort::LeastRecentlyUsed => 3,
    }]
}

statements! {
    FIND = "SELECT ", columns!(), " FROM keyfob_tokens WHERE id = ?1";

    FIND_MANY = "SELECT ", columns!(), " FROM keyfob_tokens
        WHERE id IN (SELECT unhex(value) FROM json_each(?1))";

    /// All of them in one JSON text, which costs the driver a fraction of what as many rows of as many values do.
    FIND_PACKED = "SELECT json_group_array(json_array(
            hex(id), prefix, owner, created_by, name, hex(digest), digest_key, generation,
            rotated_at, first_used_at, iif(previous_digest IS NULL, NULL, hex(previous_digest)),
            previous_digest_key, previous_ends_at,
            json(iif(previous_ends_on_first_use, 'true', 'false')),
            json(iif(previous_may_ask_again, 'true', 'false')),
            abilities, created_at, expires_at, not_before, idle_seconds, last_used_at,
            last_used_from, suspended_since, suspended_until, suspended_reason, revoked_at,
            revoked_by, revoked_reason, iif(parent IS NULL, NULL, hex(parent)),
            allowed_addresses, rate_limit_requests, rate_limit_seconds, metadata, notices,
            used_abilities, idempotency_key))
        FROM keyfob_tokens WHERE id IN (SELECT unhex(value) FROM json_each(?1))";

    /// What stands against an insert. Parameter 6 is the idempotency key, the others are those of the siblings.
    OBJECTIONS = "SELECT ", siblings!(), ",
        EXISTS (SELECT 1 FROM keyfob_tokens WHERE id = ?1),
        (SELECT id FROM keyfob_tokens WHERE owner = ?2 AND idempotency_key = ?6)";

    SIBLINGS = "SELECT ", siblings!();

    INSERT = "INSERT INTO keyfob_tokens (", columns!(), ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

    /// Writes all columns. The parameters are those of an insert.
    WRITE = "UPDATE keyfob_tokens SET (", fields!(), ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
            ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27,
            ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36)
        WHERE id = ?1";

    REVOKE_TOKENS = "UPDATE keyfob_tokens
        SET revoked_at = ?1, revoked_by = ?2, revoked_reason = ?3
        WHERE id IN (SELECT unhex(value) FROM json_each(?4)) AND revoked_at IS NULL
            AND (?5 IS NULL OR owner = ?5)
        RETURNING id";

    /// `UNION` meets no token twice, so that it ends where parents form a circle.
    REVOKE_DESCENDANTS = "WITH RECURSIVE descendants (id) AS (
            VALUES (?4)
            UNION
            SELECT keyfob_tokens.id FROM descendants CROSS JOIN keyfob_tokens
                ON keyfob_tokens.parent = descendants.id)
        UPDATE keyfob_tokens
        SET revoked_at = ?1, revoked_by = ?2, revoked_reason = ?3
        WHERE id IN (SELECT id FROM descendants) AND id <> ?4 AND revoked_at IS NULL
        RETURNING id";

    REVOKE_ALL = "UPDATE keyfob_tokens
        SET revoked_at = ?1, revoked_by = ?2, revoked_reason = ?3
        WHERE owner = ?4 AND revoked_at IS NULL
        RETURNING id";

    RECORD_USES = "UPDATE keyfob_tokens SET last_used_at = noted.at, last_used_from = noted.origin
        FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS at, value ->> 2 AS origin
            FROM json_each(?1)) AS noted
        WHERE keyfob_tokens.id = noted.id
            AND (keyfob_tokens.last_used_at IS NULL OR keyfob_tokens.last_used_at < noted.at)";

    /// Appends to each token's list what it lacks, as far as there is room; a list of n has n - 1 spaces. Tokens that
    /// lack nothing are not written.
    RECORD_USED_ABILITIES = "UPDATE keyfob_tokens
        SET used_abilities = ltrim(used_abilities || ' ' || (
            SELECT group_concat(ability, ' ') FROM (
                SELECT value AS ability, row_number() OVER () AS number
                    FROM json_each(noted.abilities)
                    WHERE instr(' ' || used_abilities || ' ', ' ' || value || ' ') = 0)
            WHERE number <= ?2 - iif(used_abilities = '', 0,
                1 + length(used_abilities) - length(replace(used_abilities, ' ', '')))))
        FROM (SELECT unhex(value ->> 0) AS id, value -> 1 AS abilities FROM json_each(?1)) AS noted
        WHERE keyfob_tokens.id = noted.id AND revoked_at IS NULL
            AND length(used_abilities) - length(replace(used_abilities, ' ', '')) < ?2 - 1
            AND EXISTS (SELECT 1 FROM json_each(noted.abilities)
                WHERE instr(' ' || used_abilities || ' ', ' ' || value || ' ') = 0)";

    EXPIRING = "SELECT ", columns!(), " FROM keyfob_tokens
        WHERE revoked_at IS NULL AND (expires_at, id) > (?1, ?2) AND expires_at <= ?3
        ORDER BY expires_at, id LIMIT ?4";

    /// The never used ones come out of the index by id, only the others have to be sorted. Left to itself, SQLite
    /// walks the table in the order of the ids.
    UNUSED = "SELECT ", columns!(), " FROM keyfob_tokens WHERE id IN (
            SELECT id FROM keyfob_tokens INDEXED BY keyfob_tokens_by_last_use
                WHERE revoked_at IS NULL AND created_at < ?1 AND last_used_at IS NULL AND id > ?2
            UNION ALL
            SELECT id FROM keyfob_tokens INDEXED BY keyfob_tokens_by_last_use
                WHERE revoked_at IS NULL AND created_at < ?1 AND last_used_at < ?1 AND id > ?2
            ORDER BY id LIMIT ?3)
        ORDER BY id";

    COUNT = "SELECT count(*) FILTER (WHERE revoked_at IS NULL), count(revoked_at)
        FROM keyfob_tokens WHERE owner = ?1";

    /// Counts each pair of keys in one walk, and then for each key both sides of the pairs.
    COUNT_BY_KEY = "WITH pairs AS MATERIALIZED (
            SELECT digest_key, previous_digest IS NOT NULL AS has_previous, previous_digest_key,
                    count(*) AS tokens
                FROM keyfob_tokens WHERE revoked_at IS NULL GROUP BY 1, 2, 3)
        SELECT key, sum(current), sum(previous) FROM (
            SELECT digest_key AS key, tokens AS current, 0 AS previous FROM pairs
            UNION ALL
            SELECT previous_digest_key, 0, tokens FROM pairs WHERE has_previous)
        GROUP BY key ORDER BY key";

    /// The second branch leaves out what the first one has, so that each token counts once against the limit.
    PRUNE = "DELETE FROM keyfob_tokens WHERE id IN (
        SELECT id FROM keyfob_tokens WHERE revoked_at < ?1
        UNION ALL
        SELECT id FROM keyfob_tokens WHERE expires_at < ?1
            AND (revoked_at IS NULL OR revoked_at >= ?1)
        LIMIT ?2)
        RETURNING id";

    ERASE = "DELETE FROM keyfob_tokens WHERE id IN (
        SELECT id FROM keyfob_tokens WHERE owner = ?1 ORDER BY id LIMIT ?2)
        RETURNING id";

    FINGERPRINT = "SELECT canary FROM keyfob_canaries WHERE key = ?1";

    /// Changes nothing where there is one, and answers what is kept then.
    KEEP_FINGERPRINT = "INSERT INTO keyfob_canaries (key, canary) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET canary = canary RETURNING canary";
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row, SqliteConnection};

    use super::*;
    use crate::store::sqlite::schema;

    async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get(3)).collect()
    }

    async fn scans(connection: &mut SqliteConnection) -> Vec<(&'static str, String)> {
        let mut scans = Vec::new();
        let pages = PAGES.as_flattened().iter().map(|statement| ("page", *statement));
        for (name, statement) in ALL.iter().copied().chain(pages) {
            for step in plan(connection, statement).await {
                // `id > ?` alone walks the whole table from there.
                let walks = step.ends_with("(id>?)") || step.ends_with("(id<?)");
                if walks || step.starts_with("SCAN keyfob") || step.starts_with("SCAN other") {
                    scans.push((name, step));
                }
            }
        }
        scans
    }

    #[tokio::test]
    async fn no_statement_scans_the_table() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(schema::SCHEMA).execute(&mut connection).await.unwrap();
        let one = "SCAN keyfob_tokens USING COVERING INDEX keyfob_tokens_by_name".to_owned();
        let expected = [("COUNT_BY_KEY", one)];
        assert_eq!(scans(&mut connection).await, expected);

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
        assert_eq!(scans(&mut connection).await, expected);
    }
}
