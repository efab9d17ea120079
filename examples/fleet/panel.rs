//! What the panel keeps: servers and what is on them, all in one table.

use keyfob::{ApiTokens, Owner, web::Problem};
use serde_json::{Map, Value, json};
use sqlx::error::DatabaseError;

use crate::database::{
    Argument::{self, Number, Text},
    Database, Row, is_unavailable,
};

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
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for PanelError {
    fn from(error: sqlx::Error) -> Self {
        // What it was to be put on was deleted meanwhile.
        let has_gone =
            error.as_database_error().is_some_and(DatabaseError::is_foreign_key_violation);
        if has_gone { Self::NotFound } else { Self::Database(error) }
    }
}

impl From<&PanelError> for Problem {
    fn from(error: &PanelError) -> Self {
        match error {
            PanelError::NotFound => Self::not_found(),
            PanelError::Invalid(fields) => Self::invalid_fields(fields.iter().cloned()),
            PanelError::Database(error) if is_unavailable(error) => Self::store_unavailable(),
            PanelError::Database(_) => Self::internal(),
        }
    }
}

/// The table. Every question to it names the account that asks, so what belongs to another is not there.
#[derive(Clone)]
pub(crate) struct Panel {
    database: Database,
    tokens: ApiTokens,
}

impl Panel {
    pub(crate) async fn new(database: Database, tokens: ApiTokens) -> sqlx::Result<Self> {
        let columns = "account VARCHAR(255) NOT NULL,
             kind VARCHAR(16) NOT NULL,
             parent BIGINT,
             body TEXT NOT NULL,
             UNIQUE (account, kind, parent, id),
             UNIQUE (parent, id),
             FOREIGN KEY (parent) REFERENCES panel (id) ON DELETE CASCADE";
        database.create_table("panel", columns).await?;
        Ok(Self { database, tokens })
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
        let select = "SELECT id, body FROM panel
             WHERE account = ? AND kind = ? AND coalesce(parent, 0) = ? ORDER BY id";
        let of = [Text(account.as_str()), Text(name), Number(parent.unwrap_or(0))];
        let objects: Vec<_> =
            self.database.rows(select, &of).await?.into_iter().map(object).collect();
        Ok(json!({ plural: objects }))
    }

    pub(crate) async fn get(
        &self,
        account: &Owner,
        kind: Kind,
        id: i64,
    ) -> Result<Value, PanelError> {
        let select = "SELECT id, body FROM panel WHERE id = ? AND account = ? AND kind = ?";
        let row = self.database.rows(select, &this(account, kind, id)).await?.pop();
        row.map(object).ok_or(PanelError::NotFound)
    }

    pub(crate) async fn create(
        &self,
        account: &Owner,
        kind: Kind,
        parent: Option<i64>,
        members: Map<String, Value>,
    ) -> Result<Value, PanelError> {
        let body = self.check(kind, members, true)?;
        let new = [Text(kind.names().0), Text(&body)];
        let created = if let (Some(parent), Some(parent_kind)) = (parent, kind.parent()) {
            // One statement, so that nothing is put on what is deleted meanwhile.
            let insert = "INSERT INTO panel (kind, body, parent, account)
                 SELECT ?, ?, id, account FROM panel WHERE id = ? AND account = ? AND kind = ?";
            let arguments = [&new[..], &this(account, parent_kind, parent)].concat();
            self.database.insert(insert, &arguments).await
        } else {
            let insert = "INSERT INTO panel (kind, body, account) VALUES (?, ?, ?)";
            let arguments = [&new[..], &[Text(account.as_str())]].concat();
            self.database.insert(insert, &arguments).await
        };
        let id = created?.ok_or(PanelError::NotFound)?;
        Ok(object((id, body)))
    }

    pub(crate) async fn change(
        &self,
        account: &Owner,
        kind: Kind,
        id: i64,
        members: Map<String, Value>,
    ) -> Result<Value, PanelError> {
        let body = self.check(kind, members, false)?;
        let patched = self.database.json_patch();
        let update =
            format!("UPDATE panel SET body = {patched} WHERE id = ? AND account = ? AND kind = ?");
        let arguments = [&[Text(&body)][..], &this(account, kind, id)].concat();
        self.database.execute(&update, &arguments).await?;
        self.get(account, kind, id).await
    }

    /// Deletes it with all that is on it.
    pub(crate) async fn delete(
        &self,
        account: &Owner,
        kind: Kind,
        id: i64,
    ) -> Result<(), PanelError> {
        let delete = "DELETE FROM panel WHERE id = ? AND account = ? AND kind = ?";
        match self.database.execute(delete, &this(account, kind, id)).await? {
            0 => Err(PanelError::NotFound),
            _ => Ok(()),
        }
    }
}

/// The arguments of `id = ? AND account = ? AND kind = ?`.
fn this(account: &Owner, kind: Kind, id: i64) -> [Argument<'_>; 3] {
    [Number(id), Text(account.as_str()), Text(kind.names().0)]
}

fn object((id, body): Row) -> Value {
    let mut object: Map<_, _> = serde_json::from_str(&body).unwrap_or_default();
    object.insert("id".to_owned(), id.into());
    object.into()
}

impl Panel {
    /// Takes what is known of the kind, and passes over the rest.
    fn check(
        &self,
        kind: Kind,
        mut members: Map<String, Value>,
        is_new: bool,
    ) -> Result<String, PanelError> {
        let (mut body, mut wrong) = (Map::new(), Vec::new());
        for &field in kind.fields() {
            match members.remove(field) {
                None if is_new && kind.must_have(field) => {
                    wrong.push((field, "must be given".to_owned()));
                }
                None => {}
                // PostgreSQL keeps no NUL, neither as it is nor as an escape in JSON.
                Some(Value::String(text)) if text.contains('\0') => {
                    wrong.push((field, "must not contain the character U+0000".to_owned()));
                }
                Some(Value::String(text)) if self.tokens.format().contains_token(&text) => {
                    wrong.push((field, "must not contain a token".to_owned()));
                }
                Some(Value::String(text)) if (1..=LONGEST_TEXT).contains(&text.chars().count()) => {
                    body.insert(field.to_owned(), text.into());
                }
                Some(_) => {
                    wrong
                        .push((field, format!("must be a text of 1 to {LONGEST_TEXT} characters")));
                }
            }
        }
        if wrong.is_empty() {
            Ok(Value::from(body).to_string())
        } else {
            Err(PanelError::Invalid(wrong))
        }
    }
}
