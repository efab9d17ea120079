//! The marks of a token: words about its state, each with an icon.

use time::Duration;

use crate::token::{Timestamp, TokenRecord, TokenState};

use super::{
    markup::{AsMarkup, Markup},
    texts::Texts,
};

/// A mark as a template shows it.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// `quiet`, `info`, `warning` or `ended`: the name of the icon and of the colour.
    pub(super) tone: &'static str,
    /// HTML.
    pub(super) text: Markup,
}

/// A token that was never used is worth a word after this time.
const NEVER_USED: Duration = Duration::days(7);
pub(super) const UNUSED_DAYS: u16 = 90;
pub(super) const EXPIRING_DAYS: u16 = 14;

/// The marks of a token at an instant, of which there is at least one.
pub(super) fn marks(record: &TokenRecord, now: Timestamp, t: &Texts) -> Vec<Mark> {
    let mut marks = Marks(Vec::new());
    let state = record.state_at(now);
    match state {
        TokenState::Revoked => marks.add("ended", &t.state_revoked),
        TokenState::Expired => marks.add("ended", &t.state_expired),
        TokenState::Idle => marks.add("ended", &t.state_idle),
        TokenState::Suspended => {
            match record.suspension.as_ref().and_then(|it| it.until) {
                Some(until) => marks.add("warning", &t.mark_suspended_until.at(until)),
                None => marks.add("warning", &t.mark_suspended),
            }
            if let Some(reason) = record.suspension.as_ref().and_then(|it| it.reason.as_ref()) {
                marks.add("info", &t.mark_reason.name(reason.as_str()));
            }
        }
        TokenState::NotYetValid => {
            if let Some(start) = record.not_before {
                marks.add("info", &t.mark_begins.at(start));
            }
        }
        TokenState::Active => {}
    }
    if matches!(state, TokenState::Revoked | TokenState::Expired) {
        return marks.0;
    }
    if let Some(left) = expires_soon(record, now) {
        // A part of a day is one more.
        match (left + Duration::DAY - Duration::SECOND).whole_days() {
            0 | 1 => marks.add("warning", &t.mark_expires_today),
            days => marks.add("warning", &t.mark_expires_in.n(days)),
        }
    }
    let is_old = |since: Timestamp, age: Duration| now.since(since) > age;
    match record.last_used_at {
        Some(used) if is_old(used, Duration::days(UNUSED_DAYS.into())) => {
            marks.add("warning", &t.mark_unused.n(now.since(used).whole_days()));
        }
        None if is_old(record.created_at, NEVER_USED) => marks.add("info", &t.mark_never_used),
        _ => {}
    }
    if let Some(previous) = record.previous.as_deref()
        && previous.is_good_at(now, record.first_used_at)
    {
        match previous.ends_at.filter(|_| !previous.ends_on_first_use) {
            Some(end) => marks.add("info", &t.mark_old_until.at(end)),
            None => marks.add("info", &t.mark_old_until_used),
        }
    }
    if marks.0.is_empty() {
        marks.add("quiet", &t.state_active);
    }
    marks.0
}

struct Marks(Vec<Mark>);

impl Marks {
    fn add(&mut self, tone: &'static str, text: &impl AsMarkup) {
        self.0.push(Mark { tone, text: text.as_markup() });
    }
}

/// The time that is left of a token that expires within 14 days, or within a tenth of its life if that is shorter.
fn expires_soon(record: &TokenRecord, now: Timestamp) -> Option<Duration> {
    let expires_at = record.expires_at?;
    let left = expires_at.since(now);
    let life = expires_at.since(record.rotated_at.unwrap_or(record.created_at));
    let soon = Duration::days(EXPIRING_DAYS.into()).min(life / 10);
    (left <= soon).then_some(left)
}
