//! A token that is rotated, suspended or revoked.

use std::time::{Duration as StdDuration, Instant};

use time::Duration;

use crate::{
    manage::{ListTokens, ManageError, RotateError, TokenRotation},
    store::{Order, SortBy, StoreError},
    token::{Fields, Reason, Timestamp, TokenId, TokenRecord, TokenState},
    web::Problem,
};

use super::{
    document::{Document, Reply},
    draft::Draft,
    form::Form,
    form_view::FormView,
    markup::{AsMarkup, Chosen, Markup, Time},
    view::{Named, Revoke, RevokeSeveral, Rotate, Suspend, can_rotate},
    work::{Replied, Work},
};

/// For so long one request goes on revoking all tokens.
const REVOKES_FOR: StdDuration = StdDuration::from_secs(20);
/// The names that a confirmation shows.
const NAMES: u32 = 20;

impl Work<'_> {
    pub(super) async fn ask_rotate(&self) -> Replied {
        self.rotate_form(&self.record().await?, 200, "day", None)
    }

    fn rotate_form(
        &self,
        record: &TokenRecord,
        status: u16,
        grace: &str,
        conflict: Option<Markup>,
    ) -> Replied {
        let (t, now) = (&self.site.t, self.tokens.now());
        let state = record.state_at(now);
        if !can_rotate(state) {
            return self.conflict(record, self.ended(record, state));
        }
        let is_unused = record.has_unused_secret();
        let running = record.previous.as_deref();
        let running = running.filter(|it| it.is_good_at(now, record.first_used_at) && !is_unused);
        let text = running.map(|it| match it.ends_at {
            Some(end) => t.running_until.at(end).as_markup(),
            None => t.running_until_used.as_markup(),
        });
        let document = Rotate {
            site: self.site,
            id: record.id.to_string(),
            version: record.version,
            name: record.name.as_str(),
            conflict,
            running: text,
            ends_grace: running.is_some(),
            is_unused,
            shown: now,
            graces: [
                ("hour", t.grace_hour.to_string()),
                ("day", t.days.n(1).plain()),
                ("week", t.days.n(7).plain()),
                ("used", t.grace_until_used.to_string()),
                ("none", t.grace_none.to_string()),
            ]
            .into_iter()
            .map(|(value, label)| (value, label, value == grace, value == "none"))
            .collect(),
        };
        Ok(Document::new(status, t.rotate_question.name(record.name.as_str()).plain(), &document)?
            .into())
    }

    /// The form has the version of the token: sent again, it finds another one, and makes no second secret.
    pub(super) async fn rotate(&self, mut sent: Form) -> Replied {
        let t = &self.site.t;
        let version = sent.number("version");
        let ends_grace = sent.flag("end_grace");
        let shown = sent.text("shown").parse::<Timestamp>();
        let grace = sent.one("grace").unwrap_or_default();
        let rotation = match grace.as_str() {
            "hour" => TokenRotation::new().grace(Duration::HOUR),
            "day" => TokenRotation::new().grace(Duration::DAY),
            "week" => TokenRotation::new().grace(Duration::WEEK),
            "used" => TokenRotation::new().until_first_use(),
            "none" => TokenRotation::new().grace(Duration::ZERO),
            _ => return self.bad_form(),
        };
        let (Ok(()), Some(version), Ok(shown)) = (sent.finish(), version, shown) else {
            return self.bad_form();
        };
        let rotation = rotation.if_version(version);
        let rotation = if ends_grace { rotation.end_running_grace() } else { rotation };
        let conflict = match self.own.rotate(self.id()?, rotation).await {
            Ok(issued) => return self.issued(t.rotated_heading.to_string(), &issued, false),
            Err(
                error @ (RotateError::Conflict
                | RotateError::InGrace
                | RotateError::PrefixNotAccepted
                | RotateError::Manage(
                    ManageError::VersionMismatch { .. } | ManageError::NotActive(_),
                )),
            ) => error,
            Err(error) => return Err(error.into()),
        };
        let record = self.record().await?;
        let text = match (conflict, record.rotated_at) {
            (RotateError::PrefixNotAccepted, _) => t.cant_rotate.as_markup(),
            // The form says what is running.
            (RotateError::InGrace, _) => t.changed_meanwhile.as_markup(),
            (_, Some(at)) if at >= shown => t.rotated_already.at(at).as_markup(),
            _ => t.changed_meanwhile.as_markup(),
        };
        self.rotate_form(&record, 409, &grace, Some(text))
    }

    pub(super) async fn ask_suspend(&self) -> Replied {
        self.suspend_form(&self.record().await?, 200, FormView::default())
    }

    fn suspend_form(&self, record: &TokenRecord, status: u16, form: FormView) -> Replied {
        let t = &self.site.t;
        let state = record.state_at(self.tokens.now());
        if matches!(state, TokenState::Revoked | TokenState::Expired) {
            return self.conflict(record, self.ended(record, state));
        }
        let (id, version, name) = (record.id.to_string(), record.version, record.name.as_str());
        let document = Suspend { site: self.site, id, version, name, form };
        Ok(Document::new(status, t.suspend_question.name(name).plain(), &document)?.into())
    }

    pub(super) async fn suspend(&self, mut sent: Form) -> Replied {
        let (t, version) = (&self.site.t, sent.number("version"));
        let draft = Draft::read_date(&mut sent);
        let reason = sent.text("reason");
        let (Ok(()), Some(version)) = (sent.finish(), version) else { return self.bad_form() };
        let record = self.record().await?;
        let clean = |text: &str| self.tokens.format().without_tokens(text).into_owned();
        let form = || FormView {
            date: clean(&draft.date),
            description: clean(&reason),
            ..FormView::default()
        };
        if record.version != version {
            // A suspension that somebody has made meanwhile would be replaced.
            let alert = Some(t.changed_meanwhile.as_markup());
            return self.suspend_form(&record, 409, FormView { alert, ..form() });
        }
        let mut fields = Fields::default();
        let until = fields.check("until", draft.end_of_day());
        let asked = (!reason.is_empty()).then(|| Reason::new(&reason)).transpose();
        let asked = fields.check("reason", asked);
        let invalid = if let (Some(until), Some(asked)) = (until, asked) {
            let own = self.own.clone();
            let own = asked.into_iter().fold(own, crate::manage::OwnerTokens::because);
            let suspended = match until {
                Some(until) => own.suspend_until(record.id, until).await,
                None => own.suspend(record.id).await,
            };
            match suspended {
                Ok(_) => return Ok(self.done("suspended")),
                Err(ManageError::Invalid(invalid)) => invalid,
                Err(ManageError::Store(StoreError::Unavailable(_) | StoreError::Busy(_))) => {
                    let alert = Some(t.not_done.as_markup());
                    return self.suspend_form(&record, 503, FormView { alert, ..form() });
                }
                Err(error) => return self.not_managed(error).await,
            }
        } else {
            fields.into_error()
        };
        let mut form = form();
        form.refuse_all(&invalid, &self.offer());
        self.suspend_form(&record, 422, form)
    }

    pub(super) async fn resume(&self, mut sent: Form) -> Replied {
        let version = sent.number("version");
        let (Ok(()), Some(version)) = (sent.finish(), version) else { return self.bad_form() };
        let record = self.record().await?;
        if record.version != version {
            return self.conflict(&record, self.site.t.changed_meanwhile.as_markup());
        }
        match self.own.resume(record.id).await {
            Ok(_) => Ok(self.done("resumed")),
            Err(error) => self.not_managed(error).await,
        }
    }

    async fn not_managed(&self, error: ManageError) -> Replied {
        match error {
            ManageError::NotActive(state) => {
                let record = self.record().await?;
                self.conflict(&record, self.ended(&record, state))
            }
            error => Err(error.into()),
        }
    }

    fn done(&self, done: &str) -> Reply {
        Reply::SeeOther(format!("{}?done={done}", self.site.home()))
    }

    pub(super) async fn ask_revoke(&self) -> Replied {
        let record = self.record().await?;
        let state = record.state_at(self.tokens.now());
        if state == TokenState::Revoked {
            return self.conflict(&record, self.ended(&record, state));
        }
        let document = Revoke {
            site: self.site,
            id: record.id.to_string(),
            name: record.name.as_str(),
            last_used: record.last_used_at.map(Time),
            used_from: record.last_used_from.map(|it| it.to_string()),
        };
        Ok(Document::new(
            200,
            self.site.t.revoke_question.name(record.name.as_str()).plain(),
            &document,
        )?
        .into())
    }

    pub(super) async fn revoke(&self, sent: Form) -> Replied {
        if sent.finish().is_err() {
            return self.bad_form();
        }
        let record = self.record().await?;
        if record.revocation.is_some() {
            return self.conflict(&record, self.ended(&record, TokenState::Revoked));
        }
        self.own.revoke(record.id).await?;
        Ok(self.revoked("revoked", 1))
    }

    fn revoked(&self, done: &str, n: usize) -> Reply {
        Reply::SeeOther(format!("{}?done={done}&n={n}", self.site.home()))
    }

    pub(super) async fn ask_revoke_all(&self, is_wrong_number: bool) -> Replied {
        let count = self.own.count().await?.not_revoked();
        let list = ListTokens::new().per_page(NAMES).sort(Order::by(SortBy::LastUsed).reversed());
        let page = self.own.list(list).await?;
        let confirmed = Confirmed { ids: Vec::new(), count, is_all: true, is_wrong_number };
        self.confirm(page.tokens, confirmed)
    }

    fn confirm(&self, mut records: Vec<TokenRecord>, confirmed: Confirmed) -> Replied {
        let (t, now) = (&self.site.t, self.tokens.now());
        let Confirmed { ids, count, is_all, is_wrong_number } = confirmed;
        records.sort_by_key(|it| std::cmp::Reverse(it.last_used_at));
        records.truncate(NAMES as usize);
        let is_recent =
            |it: &TokenRecord| it.last_used_at.is_some_and(|used| now.since(used) < Duration::DAY);
        let named: Vec<_> = records
            .iter()
            .map(|it| Named {
                name: Chosen(it.name.as_str()).as_markup(),
                is_recent: is_recent(it),
            })
            .collect();
        let document = RevokeSeveral {
            site: self.site,
            count,
            rest: count.saturating_sub(named.len() as u64),
            named,
            ids: ids.iter().map(ToString::to_string).collect(),
            is_all,
            is_wrong_number,
        };
        let status = if is_wrong_number { 422 } else { 200 };
        Ok(Document::new(status, t.revoke_several_question.n(count).plain(), &document)?.into())
    }

    pub(super) async fn revoke_many(&self, mut sent: Form) -> Replied {
        let t = &self.site.t;
        let (is_all, is_confirmed) = (sent.flag("all"), sent.flag("confirmed"));
        let typed = sent.text("typed");
        let ids = sent.all("id");
        let ids = ids.iter().map(|it| it.parse::<TokenId>()).collect::<Result<Vec<_>, _>>();
        let (Ok(()), Ok(ids)) = (sent.finish(), ids) else { return self.bad_form() };
        if is_all {
            let count = self.own.count().await?.not_revoked();
            if !is_confirmed || typed != count.to_string() {
                return self.ask_revoke_all(is_confirmed).await;
            }
            let (n, more) = self.own.revoke_all_until(Instant::now() + REVOKES_FOR).await?;
            return Ok(self.revoked(if more { "more" } else { "revoked" }, n));
        }
        if is_confirmed && !ids.is_empty() {
            return Ok(self.revoked("revoked", self.own.revoke_many(&ids).await?.len()));
        }
        let mut records = self.own.get_many(&ids).await.map_err(Problem::from)?;
        records.retain(|it| it.revocation.is_none());
        if records.is_empty() {
            return self.said(422, t.nothing_selected.to_string(), None, Vec::new());
        }
        let ids: Vec<_> = records.iter().map(|it| it.id).collect();
        let count = ids.len() as u64;
        self.confirm(records, Confirmed { ids, count, is_all: false, is_wrong_number: false })
    }
}

/// The tokens that are to be revoked together.
struct Confirmed {
    ids: Vec<TokenId>,
    count: u64,
    is_all: bool,
    is_wrong_number: bool,
}
