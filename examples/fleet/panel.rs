//! What the panel keeps: servers and what is on them, all in one table.

use keyfob::{Owner, web::Problem};
use serde_json::{Map, Value, json};
use sqlx::{Sqlite, SqlitePool, query::QueryAs, sqlite::SqliteArguments};

const LONGEST_TEXT: usize = 1_000;

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Server,
    Site,
    Database,
    SshKey,
    Cron,
    Backup,
}

impl Kind {
    /// The name under which it is kept, and the member of a list of it.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Server => ("server", "servers"),
            Self::Site => ("site", "sites"),
            Self::Database => ("database", "databases"),
            Self::SshKey => ("ssh_key", "ssh_keys"),
            Self::Cron => ("cron", "crons"),
            Self::Backup => ("backup", "backups"),
        }
    }

    /// What it is on; a server is on nothing.
    const fn parent(self) -> Option<Self> {
        match self {
            Self::Server => None,
            Self::Site | Self::Database | Self::SshKey | Self::Cron => Some(Self::Server),
            Self::Backup => Some(Self::Site),
        }
    }

    /// What is known of it: texts.
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Server => &["name", "region"],
            Self::Site => &["name", "domain"],
            Self::Database | Self::Backup => &["name"],
            Self::SshKey => &["name", "public_key"],
            Self::Cron => &["name", "command", "schedule"],
        }
    }

    const fn must_have(self, field: &str) -> bool {
        matches!(self, Self::Server) && matches!(field.as_bytes(), b"name")
    }

    /// A backup takes a body for a name, and needs none.
    pub(crate) const fn needs_body(self) -> bool {
        !matches!(self, Self::Backup)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PanelError {
    #[error("the account has no such thing")]
    NotFound,
    #[error("fields are wrong")]
    Invalid(Vec<(&'static str, String)>),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<&PanelError> for Problem {
    fn from(error: &PanelError) -> Self {
        match error {
            PanelError::NotFound => Self::not_found(),
            PanelError::Invalid(fields) => Self::invalid_fields(fields.iter().cloned()),
            PanelError::Database(error) if is_busy(error) => Self::store_unavailable(),
            PanelError::Database(_) => Self::internal(),
        }
    }
}

/// SQLite or the pool did not get to it in time: worth a retry.
fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        // SQLITE_BUSY and SQLITE_LOCKED, in the low byte of the extended code.
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<u32>().ok());
            code.is_some_and(|code| matches!(code & 0xFF, 5 | 6))
        }
        _ => false,
    }
}

/// The table. Every question to it names the account that asks, so what belongs to another is not there.
#[derive(Clone)]
pub(crate) struct Panel(SqlitePool);

type Row = (i64, String);

impl Panel {
    pub(crate) async fn new(pool: SqlitePool) -> sqlx::Result<Self> {
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS panel (
                 id INTEGER PRIMARY KEY AUTOINCREMENT,
                 account TEXT NOT NULL,
                 kind TEXT NOT NULL,
                 parent INTEGER REFERENCES panel (id) ON DELETE CASCADE,
                 body TEXT NOT NULL
             );
             CREATE INDEX IF NOT EXISTS panel_by_parent ON panel (parent);
             CREATE INDEX IF NOT EXISTS panel_by_account ON panel (account, kind, parent);",
        )
        .execute(&pool)
        .await?;
        Ok(Self(pool))
    }

    pub(crate) async fn list(
        &self,
        account: &Owner,
        kind: Kind,
        parent: Option<i64>,
    ) -> Result<Value, PanelError> {
        if let (Some(parent), Some(parent_kind)) = (parent, kind.parent()) {
            self.get(account, parent_kind, parent).await?;
        }
        let (name, plural) = kind.names();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, body FROM panel WHERE account = ? AND kind = ? AND parent IS ? ORDER BY id",
        )
        .bind(account.as_str())
        .bind(name)
        .bind(parent)
        .fetch_all(&self.0)
        .await?;
        let objects: Vec<_> = rows.into_iter().map(object).collect();
        Ok(json!({ plural: objects }))
    }

    pub(crate) async fn get(
        &self,
        account: &Owner,
        kind: Kind,
        id: i64,
    ) -> Result<Value, PanelError> {
        let found =
            sqlx::query_as("SELECT id, body FROM panel WHERE id = ? AND account = ? AND kind = ?")
                .bind(id)
                .bind(account.as_str())
                .bind(kind.names().0);
        self.one(found).await
    }

    /// One statement, so that nothing is put on what is deleted meanwhile.
    pub(crate) async fn create(
        &self,
        account: &Owner,
        kind: Kind,
        parent: Option<i64>,
        members: Map<String, Value>,
    ) -> Result<Value, PanelError> {
        let body = check(kind, members, true)?;
        let created = sqlx::query_as(
            "INSERT INTO panel (account, kind, parent, body) SELECT ?1, ?2, ?3, ?4
             WHERE ?5 IS NULL OR EXISTS
                 (SELECT 1 FROM panel WHERE id = ?3 AND account = ?1 AND kind = ?5)
             RETURNING id, body",
        )
        .bind(account.as_str())
        .bind(kind.names().0)
        .bind(parent)
        .bind(body)
        .bind(kind.parent().map(|kind| kind.names().0));
        self.one(created).await
    }

    pub(crate) async fn change(
        &self,
        account: &Owner,
        kind: Kind,
        id: i64,
        members: Map<String, Value>,
    ) -> Result<Value, PanelError> {
        let body = check(kind, members, false)?;
        let changed = sqlx::query_as(
            "UPDATE panel SET body = json_patch(body, ?) WHERE id = ? AND account = ? AND kind = ?
             RETURNING id, body",
        )
        .bind(body)
        .bind(id)
        .bind(account.as_str())
        .bind(kind.names().0);
        self.one(changed).await
    }

    /// To the end, so that a commit that fails is not passed over.
    async fn one(
        &self,
        query: QueryAs<'_, Sqlite, Row, SqliteArguments>,
    ) -> Result<Value, PanelError> {
        let row = query.fetch_all(&self.0).await?.pop();
        row.map(object).ok_or(PanelError::NotFound)
    }

    /// Deletes it with all that is on it.
    pub(crate) async fn delete(
        &self,
        account: &Owner,
        kind: Kind,
        id: i64,
    ) -> Result<(), PanelError> {
        let deleted = sqlx::query("DELETE FROM panel WHERE id = ? AND account = ? AND kind = ?")
            .bind(id)
            .bind(account.as_str())
            .bind(kind.names().0)
            .execute(&self.0)
            .await?;
        if deleted.rows_affected() > 0 { Ok(()) } else { Err(PanelError::NotFound) }
    }
}

fn object((id, body): Row) -> Value {
    let mut object: Map<_, _> = serde_json::from_str(&body).unwrap_or_default();
    object.insert("id".to_owned(), id.into());
    object.into()
}

/// Takes what is known of the kind, and passes over the rest.
fn check(kind: Kind, mut members: Map<String, Value>, is_new: bool) -> Result<String, PanelError> {
    let (mut body, mut wrong) = (Map::new(), Vec::new());
    for &field in kind.fields() {
        match members.remove(field) {
            None if is_new && kind.must_have(field) => {
                wrong.push((field, "must be given".to_owned()));
            }
            None => {}
            Some(Value::String(text)) if (1..=LONGEST_TEXT).contains(&text.chars().count()) => {
                body.insert(field.to_owned(), text.into());
            }
            Some(_) => {
                wrong.push((field, format!("must be a text of 1 to {LONGEST_TEXT} characters")));
            }
        }
    }
    if wrong.is_empty() {
        Ok(Value::from(body).to_string())
    } else {
        Err(PanelError::Invalid(wrong))
    }
}
