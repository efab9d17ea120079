//! The list of tokens.

use time::Duration;

use crate::{
    manage::{ListTokens, ManageError, TokenPage},
    store::{SortBy, contract::Counts},
    token::{Timestamp, TokenState},
    web::Problem,
};

use super::{
    choices::Access,
    document::Document,
    filter::ListFilter,
    marks::{EXPIRING_DAYS, UNUSED_DAYS, marks},
    texts::Texts,
    usage::curl,
    view::{Column, List, Notice, Row},
    work::{Replied, Work},
};

/// The abilities of a row that are shown at once.
const ABILITIES: usize = 3;

impl Work<'_> {
    pub(super) async fn list(&self) -> Replied {
        let filter = ListFilter::read(&self.target.query);
        // The document says the filter again, so it must not hold a token that was pasted. One in the name is taken out.
        if self.tokens.format().contains_token(&format!("{} {}", filter.ability, filter.state)) {
            return self.bad_filter();
        }
        let Ok(list) = filter.list() else { return self.bad_filter() };
        let page = match self.own.list(list.clone()).await {
            Ok(page) => page,
            Err(ManageError::Invalid(_)) => return self.bad_filter(),
            Err(error) => return Err(error.into()),
        };
        let counts = self.own.count().await?;
        let matching = if filter.is_narrow() {
            self.own.count_of(list).await?.total()
        } else {
            counts.not_revoked()
        };
        let mut notices = self.notices(&counts).await?;
        notices.retain(|notice| !filter.asks_for(notice.query));
        let now = self.tokens.now();
        let limit = self.tokens.policy().rules(self.owner, now).limit_per_owner.map(u64::from);
        let (site, t) = (self.site, &self.site.t);
        let is_newest_first = filter.order() == crate::store::Order::NEWEST;
        let clean = self.tokens.format();
        let mut filter = filter;
        filter.q = clean.without_tokens(&filter.q).into_owned();
        let document = List {
            site,
            is_empty: counts.total() == 0,
            is_full: site.creates && limit.is_some_and(|limit| counts.living() >= limit),
            outcome: self.outcome(),
            curl: curl(&site.options, self.tokens.format()),
            limit: limit.map(|limit| (counts.living(), limit)),
            notices,
            states: states(t, &filter.state),
            abilities: self.declared(),
            columns: columns(t, &filter),
            chips: filter.chips(t),
            has_boxes: page.tokens.iter().any(|it| it.revocation.is_none()),
            rows: self.rows(&page, now),
            matching,
            revocable: counts.not_revoked(),
            unreadable: page.unreadable.len(),
            first: filter.first(),
            first_label: (if is_newest_first { &t.newest } else { &t.first_page }).to_string(),
            next: page.next_cursor.as_ref().map(|cursor| filter.after(cursor)),
            next_label: (if is_newest_first { &t.older } else { &t.next_page }).to_string(),
            filter: &filter,
        };
        Ok(Document::new(200, t.title.to_string(), &document)?.into())
    }

    fn bad_filter(&self) -> Replied {
        self.said(422, self.site.t.bad_filter.to_string(), None, Vec::new())
    }

    fn rows(&self, page: &TokenPage, now: Timestamp) -> Vec<Row> {
        let new = self.parameter("new");
        let row = |record: &crate::token::TokenRecord| {
            let access = Access::of(&record.abilities, self.tokens, ABILITIES);
            let row = Row::new(record, access, marks(record, now, &self.site.t), now);
            Row { is_new: new.as_ref() == Some(&row.id), ..row }
        };
        page.tokens.iter().map(row).collect()
    }

    /// The declared abilities that a list can be filtered by.
    fn declared(&self) -> Vec<&'static str> {
        let declared = self.tokens.policy().declared.unwrap_or_default().iter();
        declared.map(|it| it.name).filter(|it| !it.contains('{')).collect()
    }

    async fn notices(&self, counts: &Counts) -> Result<Vec<Notice>, Problem> {
        let t = &self.site.t;
        let mut notices = Vec::new();
        if counts.living() == 0 {
            return Ok(notices);
        }
        let days = |days: u16| Duration::days(days.into());
        let expiring = ListTokens::new().expiring_within(days(EXPIRING_DAYS));
        let expiring = self.own.count_of(expiring).await?.living();
        if expiring > 0 {
            let text = t.expiring_soon.n(expiring).plain();
            notices.push(Notice { query: "expiring_days=14", text });
        }
        let unused = ListTokens::new().unused_for(days(UNUSED_DAYS));
        let unused = self.own.count_of(unused).await?.living();
        if unused > 0 {
            let text = t.unused_long.n(unused).plain();
            notices.push(Notice { query: "unused_days=90", text });
        }
        Ok(notices)
    }
}

fn states(t: &Texts, chosen: &str) -> Vec<(&'static str, String, bool)> {
    let states = [
        ("any", &t.any_state),
        (TokenState::Active.as_str(), &t.state_active),
        (TokenState::Suspended.as_str(), &t.state_suspended),
        (TokenState::Idle.as_str(), &t.state_idle),
        (TokenState::NotYetValid.as_str(), &t.state_not_yet_valid),
        (TokenState::Expired.as_str(), &t.state_expired),
        (TokenState::Revoked.as_str(), &t.state_revoked),
    ];
    states.into_iter().map(|(value, label)| (value, label.to_string(), value == chosen)).collect()
}

fn columns(t: &Texts, filter: &ListFilter) -> Vec<Column> {
    let order = filter.order();
    let columns = [
        (&t.name, Some(SortBy::Name)),
        (&t.access, None),
        (&t.last_used, Some(SortBy::LastUsed)),
        (&t.created, Some(SortBy::Created)),
        (&t.expires, Some(SortBy::Expires)),
        (&t.state, None),
    ];
    let column = |(label, by): (&super::texts::Message, Option<SortBy>)| {
        let next = by.map(|by| filter.order_by(by));
        let is_descending = next.is_some_and(|it| it.descending);
        let hint = if is_descending { &t.sort_descending } else { &t.sort_ascending };
        let sorted = if order.descending { "descending" } else { "ascending" };
        Column {
            label: label.to_string(),
            sorted: by.filter(|by| *by == order.by).map(|_| sorted),
            query: next.map(|next| filter.sorted(next)),
            hint: hint.to_string(),
        }
    };
    columns.into_iter().map(column).collect()
}
