//! The documents, as templates.

use std::{borrow::Cow, sync::Arc};

use askama::Template;

use crate::token::{Timestamp, TokenRecord, TokenState};

use super::{
    choices::Access,
    draft::description,
    filter::ListFilter,
    form_view::FormView,
    marks::Mark,
    markup::{AsMarkup, Chosen, Markup, Time, visible},
    options::{PageOptions, Snippet},
    texts::Texts,
};

/// Everything that all documents of a request need.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) t: Arc<Texts>,
    pub(super) options: Arc<PageOptions>,
    /// The path that the browser sees the page at.
    pub(super) mount: String,
    pub(super) is_in_layout: bool,
    pub(super) creates: bool,
    pub(super) changes: bool,
}

impl Site {
    /// The path of the list.
    pub(super) fn home(&self) -> &str {
        if self.mount.is_empty() { "/" } else { &self.mount }
    }

    /// The mount as the list names it, which lies there itself: the links in each row are shorter so. A layout can name
    /// another base.
    fn below(&self) -> String {
        match self.mount.rsplit_once('/') {
            Some((_, last)) if !self.is_in_layout => format!("./{last}"),
            _ => self.mount.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "document.html")]
pub(super) struct Whole<'d> {
    pub(super) site: &'d Site,
    pub(super) title: &'d str,
    pub(super) head: Markup,
    pub(super) main: Markup,
}

#[derive(Template)]
#[template(path = "main.html")]
pub(super) struct Main<'d> {
    pub(super) site: &'d Site,
    pub(super) content: Markup,
}

#[derive(Template)]
#[template(path = "list.html")]
#[allow(clippy::struct_excessive_bools, reason = "each is shown in another place")]
pub(super) struct List<'d> {
    pub(super) site: &'d Site,
    /// There is no token at all.
    pub(super) is_empty: bool,
    pub(super) is_full: bool,
    pub(super) outcome: Option<Markup>,
    pub(super) curl: Option<String>,
    pub(super) limit: Option<(u64, u64)>,
    pub(super) notices: Vec<Notice>,
    pub(super) filter: &'d ListFilter,
    pub(super) states: Vec<(&'static str, String, bool)>,
    pub(super) abilities: Vec<&'static str>,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    pub(super) matching: u64,
    pub(super) revocable: u64,
    pub(super) chips: Vec<String>,
    pub(super) has_boxes: bool,
    pub(super) unreadable: usize,
    pub(super) first: Option<String>,
    pub(super) first_label: String,
    pub(super) next: Option<String>,
    pub(super) next_label: String,
}

#[derive(Debug)]
pub(super) struct Notice {
    pub(super) query: &'static str,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) label: String,
    pub(super) sorted: Option<&'static str>,
    pub(super) query: Option<String>,
    pub(super) hint: String,
}

/// A token in the list.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is shown in another place")]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) public_part: String,
    pub(super) description: Option<Markup>,
    pub(super) access: Access,
    pub(super) last_used: Option<Time>,
    pub(super) used_from: Option<String>,
    pub(super) created: Time,
    pub(super) created_by: Option<String>,
    pub(super) expires: Option<Time>,
    pub(super) marks: Vec<Mark>,
    pub(super) is_revoked: bool,
    pub(super) can_rotate: bool,
    pub(super) is_new: bool,
    pub(super) state: TokenState,
}

impl Row {
    pub(super) fn new(
        record: &TokenRecord,
        access: Access,
        marks: Vec<Mark>,
        now: Timestamp,
    ) -> Self {
        let state = record.state_at(now);
        let description = description(record).map(|it| Chosen(&it).as_markup());
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            public_part: record.public_part(),
            description,
            access,
            last_used: record.last_used_at.map(Time),
            used_from: record.last_used_from.map(|it| it.to_string()),
            created: Time(record.created_at),
            created_by: record.created_by().map(ToString::to_string),
            expires: record.expires_at.map(Time),
            marks,
            is_revoked: state == TokenState::Revoked,
            can_rotate: can_rotate(state),
            is_new: false,
            state,
        }
    }

    /// The name, in an element with a direction of its own.
    fn shown_name(&self) -> Cow<'_, str> {
        visible(&self.name)
    }

    fn is_resting(&self) -> bool {
        matches!(self.state, TokenState::Revoked | TokenState::Expired | TokenState::Idle)
    }
}

pub(super) fn can_rotate(state: TokenState) -> bool {
    matches!(state, TokenState::Active | TokenState::Suspended | TokenState::NotYetValid)
}

#[derive(Template)]
#[template(path = "create.html")]
pub(super) struct Create<'d> {
    pub(super) site: &'d Site,
    pub(super) form: FormView,
}

/// The one document with a secret.
#[derive(Template)]
#[template(path = "issued.html")]
pub(super) struct Issued<'d> {
    pub(super) site: &'d Site,
    pub(super) heading: String,
    pub(super) plain: &'d str,
    pub(super) name: Chosen<'d>,
    pub(super) access: Access,
    pub(super) expires: Option<Time>,
    pub(super) grace: Option<Markup>,
    pub(super) snippets: Vec<Snippet>,
    pub(super) variable: &'d str,
    pub(super) done: String,
}

#[derive(Template)]
#[template(path = "token.html")]
#[allow(clippy::struct_excessive_bools, reason = "each is shown in another place")]
pub(super) struct Token<'d> {
    pub(super) site: &'d Site,
    pub(super) id: String,
    pub(super) version: u32,
    pub(super) name: Chosen<'d>,
    pub(super) outcome: Option<Markup>,
    pub(super) conflict: Option<Markup>,
    pub(super) facts: Vec<(String, Markup)>,
    pub(super) access: Access,
    pub(super) marks: Vec<Mark>,
    pub(super) form: FormView,
    pub(super) is_revoked: bool,
    pub(super) is_suspended: bool,
    pub(super) can_change: bool,
    /// A form shows all that restricts it.
    pub(super) can_be_copied: bool,
    pub(super) can_rotate: bool,
}

#[derive(Template)]
#[template(path = "revoke.html")]
pub(super) struct Revoke<'d> {
    pub(super) site: &'d Site,
    pub(super) id: String,
    pub(super) name: &'d str,
    pub(super) last_used: Option<Time>,
    pub(super) used_from: Option<String>,
}

#[derive(Template)]
#[template(path = "revoke_several.html")]
pub(super) struct RevokeSeveral<'d> {
    pub(super) site: &'d Site,
    pub(super) count: u64,
    pub(super) named: Vec<Named>,
    pub(super) rest: u64,
    pub(super) ids: Vec<String>,
    pub(super) is_all: bool,
    pub(super) is_wrong_number: bool,
}

#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: Markup,
    pub(super) is_recent: bool,
}

#[derive(Template)]
#[template(path = "rotate.html")]
pub(super) struct Rotate<'d> {
    pub(super) site: &'d Site,
    pub(super) id: String,
    pub(super) version: u32,
    pub(super) name: &'d str,
    /// The instant of the document.
    pub(super) shown: Timestamp,
    pub(super) conflict: Option<Markup>,
    pub(super) running: Option<Markup>,
    pub(super) ends_grace: bool,
    pub(super) is_unused: bool,
    /// Value, label, chosen, dangerous.
    pub(super) graces: Vec<(&'static str, String, bool, bool)>,
}

#[derive(Template)]
#[template(path = "suspend.html")]
pub(super) struct Suspend<'d> {
    pub(super) site: &'d Site,
    pub(super) id: String,
    pub(super) version: u32,
    pub(super) name: &'d str,
    pub(super) form: FormView,
}

/// A document that only says something.
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Said<'d> {
    pub(super) site: &'d Site,
    pub(super) heading: String,
    pub(super) text: Option<Markup>,
    pub(super) links: Vec<(String, String)>,
}
