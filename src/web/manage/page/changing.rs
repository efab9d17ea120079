//! One token, and the form that changes it.

use crate::{
    manage::{ManageError, TokenChange},
    store::StoreError,
    token::{Expiry, TokenRecord, TokenState},
};

use super::{
    choices::Access,
    document::{Document, Reply},
    draft::{Before, Draft},
    form::Form,
    form_view::FormView,
    marks::marks,
    markup::{AsMarkup, Chosen, Markup, Time},
    view::{Token, can_rotate},
    work::{Replied, Work},
};

/// The parts of a token's page beside the token itself.
#[derive(Default)]
pub(super) struct Beside {
    status: Option<u16>,
    draft: Option<Draft>,
    /// The problems of the draft.
    problems: FormView,
    conflict: Option<Markup>,
}

impl Work<'_> {
    pub(super) async fn show(&self) -> Replied {
        self.token(&self.record().await?, Beside::default())
    }

    /// The page of a token that can't be changed so.
    pub(super) fn conflict(&self, record: &TokenRecord, conflict: Markup) -> Replied {
        let beside = Beside { status: Some(409), conflict: Some(conflict), ..Beside::default() };
        self.token(record, beside)
    }

    fn token(&self, record: &TokenRecord, beside: Beside) -> Replied {
        let (site, now) = (self.site, self.tokens.now());
        let Beside { status, draft, problems, conflict } = beside;
        let state = record.state_at(now);
        let has_ended = matches!(state, TokenState::Revoked | TokenState::Expired);
        let before = Before { draft: Draft::of(record, &self.offer()), record };
        let form = self.form(draft.as_ref().unwrap_or(&before.draft), Some(&before));
        let FormView { problems, alert, .. } = problems;
        let document = Token {
            site,
            id: record.id.to_string(),
            version: record.version,
            name: Chosen(record.name.as_str()),
            outcome: self.outcome().filter(|_| status.is_none()),
            conflict,
            facts: self.facts(record),
            access: Access::of(&record.abilities, self.tokens, usize::MAX),
            marks: marks(record, now, &site.t),
            form: FormView { problems, alert, ..form },
            is_revoked: state == TokenState::Revoked,
            is_suspended: state == TokenState::Suspended,
            can_be_copied: site.options.limits
                || (record.allowed_addresses().is_none() && record.idle_seconds.is_none()),
            can_change: site.changes && !has_ended,
            can_rotate: can_rotate(state),
        };
        let name = super::markup::visible(record.name.as_str());
        Ok(Document::new(status.unwrap_or(200), name.into_owned(), &document)?.into())
    }

    /// The facts about a token, as HTML.
    fn facts(&self, record: &TokenRecord) -> Vec<(String, Markup)> {
        let t = &self.site.t;
        let mut facts = Vec::new();
        let mut add = |label: &super::texts::Message, value: Option<Markup>| {
            facts.extend(value.map(|value| (label.to_string(), value)));
        };
        let never = || t.never.as_markup();
        let with = |time: Markup, more: Option<Markup>| match more {
            Some(more) => Markup(format!("{time} <small>{more}</small>")),
            None => time,
        };
        let code = |text: String| Markup(format!("<code>{}</code>", Chosen(&text)));
        add(&t.public_part, Some(code(record.public_part())));
        add(&t.description, super::draft::description(record).map(|it| Chosen(&it).as_markup()));
        let from = record.last_used_from.map(|it| t.from_address.named(it.to_string()).as_markup());
        let used = record.last_used_at.map(|at| with(Time(at).as_markup(), from));
        add(&t.last_used, Some(used.unwrap_or_else(never)));
        let by = record.created_by().map(|it| t.by_actor.name(it.as_str()).as_markup());
        add(&t.created, Some(with(Time(record.created_at).as_markup(), by)));
        let expires = record.expires_at.map(|it| Time(it).as_markup());
        add(&t.expires, Some(expires.unwrap_or_else(never)));
        add(&t.rotated, record.rotated_at.map(|it| Time(it).as_markup()));
        add(&t.begins, record.not_before.map(|it| Time(it).as_markup()));
        let addresses = record.allowed_addresses();
        add(&t.allowed_from, addresses.map(|it| code(it.iter().collect::<Vec<_>>().join(", "))));
        let idle = record.idle_seconds.map(std::num::NonZero::get);
        add(&t.idle_after, idle.map(|it| t.days.n(it.div_ceil(86_400)).as_markup()));
        let limit = record.rate_limit();
        let limit = limit.map(|it| t.requests_in.n(it.requests()).of(it.seconds()));
        add(&t.rate_limit, limit.map(|it| it.as_markup()));
        add(&t.issued_by, record.parent().map(|it| code(it.to_string())));
        let used: Vec<_> = record.used_abilities().map(ToString::to_string).collect();
        add(&t.used_abilities, (!used.is_empty()).then(|| code(used.join(", "))));
        let revoked = record.revocation.as_deref().map(|it| {
            let by = it.by.as_ref().map(|by| t.by_actor.name(by.as_str()).to_string());
            let reason = it.reason.as_ref().map(|it| Chosen(it.as_str()).to_string());
            let more: Vec<_> = by.into_iter().chain(reason).collect();
            with(Time(it.at).as_markup(), (!more.is_empty()).then(|| Markup(more.join(" · "))))
        });
        add(&t.revoked_at, revoked);
        facts
    }

    pub(super) async fn change(&self, mut sent: Form) -> Replied {
        let (site, t, offer) = (self.site, &self.site.t, self.offer());
        let version = sent.number("version");
        let draft = Draft::read(&mut sent, &site.options);
        let (Ok(()), Some(version)) = (sent.finish(), version) else { return self.bad_form() };
        let record = self.record().await?;
        if record.version != version {
            return self.conflict(&record, t.changed_meanwhile.as_markup());
        }
        let before = Before { draft: Draft::of(&record, &offer), record: &record };
        let name = (draft.name != before.draft.name).then_some(&*draft.name);
        let (settings, mut problems) = self.check(&draft, name, Some(&before));
        let refuse = |status: u16, problems: FormView| {
            let draft = Some(draft.clone());
            self.token(&record, Beside { status: Some(status), draft, problems, conflict: None })
        };
        if !problems.problems.is_empty() {
            return refuse(422, problems);
        }
        let ends_earlier = match settings.expiry.map(|it| it.expiry) {
            None | Some(Expiry::Never) => false,
            Some(_) => true,
        };
        let mut change = TokenChange::new().if_version(version);
        if let Some(name) = name {
            change = change.name(name);
        }
        change.settings = settings;
        let changed = match self.own.change(record.id, change).await {
            Ok(changed) => changed,
            Err(ManageError::Invalid(invalid)) => {
                problems.refuse_all(&invalid, &offer);
                return refuse(422, problems);
            }
            Err(ManageError::NameTaken) => {
                problems.refuse("name", &offer, &t.name_taken.to_string());
                return refuse(409, problems);
            }
            Err(ManageError::LimitReached { limit }) => {
                problems.alert = Some(t.limit_is_reached.n(limit).as_markup());
                return refuse(409, problems);
            }
            Err(ManageError::Store(StoreError::Unavailable(_) | StoreError::Busy(_))) => {
                problems.alert = Some(t.not_done.as_markup());
                return refuse(503, problems);
            }
            Err(ManageError::BeyondAccount) => {
                problems.alert = Some(t.beyond_account.as_markup());
                return refuse(403, problems);
            }
            Err(ManageError::VersionMismatch { .. }) => {
                return self.conflict(&self.record().await?, t.changed_meanwhile.as_markup());
            }
            Err(ManageError::NotActive(state)) => {
                let record = self.record().await?;
                return self.conflict(&record, self.ended(&record, state));
            }
            Err(error) => return Err(error.into()),
        };
        let is_less = !changed.abilities.cover(&record.abilities)
            || (ends_earlier && record.expires_at.is_none_or(|it| changed.expires_at < Some(it)));
        let done = if is_less { "less" } else { "changed" };
        Ok(Reply::SeeOther(self.path(record.id, &format!("?done={done}"))))
    }
}
