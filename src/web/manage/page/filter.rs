//! The list that a person asks for, as it stands in the path of the page.

use std::str::FromStr;

use crate::{
    manage::ListTokens,
    store::{Order, SortBy},
    web::request::{self, RequestError},
};

use super::texts::Texts;

const SIZES: [u32; 4] = [10, 25, 50, 100];
const USUAL_SIZE: u32 = 25;

/// The parameters of the list. Empty ones, as a form sends them, are left out.
#[derive(Clone, Debug)]
pub(super) struct ListFilter {
    pub(super) q: String,
    pub(super) state: String,
    pub(super) ability: String,
    unused_days: String,
    expiring_days: String,
    sort: String,
    pub(super) per_page: u32,
    cursor: String,
}

impl ListFilter {
    /// Reads a query. Parameters that are not known are passed over.
    pub(super) fn read(query: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.find(|(it, _)| it == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let per_page = value("per_page");
        Self {
            q: value("q"),
            state: value("state"),
            ability: value("ability"),
            unused_days: value("unused_days"),
            expiring_days: value("expiring_days"),
            sort: value("sort"),
            // A size that is no number is refused with the list.
            per_page: if per_page.is_empty() { USUAL_SIZE } else { per_page.parse().unwrap_or(0) },
            cursor: value("cursor"),
        }
    }

    /// The list, which the routes of the API read from the same parameters.
    pub(super) fn list(&self) -> Result<ListTokens, RequestError> {
        request::list(&self.query_with(&self.sort, &self.cursor, self.per_page, true))
    }

    pub(super) fn order(&self) -> Order {
        Order::from_str(&self.sort).unwrap_or(Order::NEWEST)
    }

    /// The query of the same list in another order.
    pub(super) fn sorted(&self, order: Order) -> String {
        self.query_with(&order.to_string(), "", self.per_page, false)
    }

    /// The query of a page after this one.
    pub(super) fn after(&self, cursor: &str) -> String {
        self.query_with(&self.sort, cursor, self.per_page, false)
    }

    /// The query of the first page, if this is another one.
    pub(super) fn first(&self) -> Option<String> {
        (!self.cursor.is_empty()).then(|| self.after(""))
    }

    fn query_with(&self, sort: &str, cursor: &str, per_page: u32, with_size: bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let texts = [
            ("q", self.q.as_str()),
            ("state", &self.state),
            ("ability", &self.ability),
            ("unused_days", &self.unused_days),
            ("expiring_days", &self.expiring_days),
            ("sort", sort),
            ("cursor", cursor),
        ];
        for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        if with_size || per_page != USUAL_SIZE {
            query.append_pair("per_page", &per_page.to_string());
        }
        query.finish()
    }

    /// The sizes of a page to choose from.
    pub(super) fn sizes(&self) -> Vec<u32> {
        let own = Some(self.per_page).filter(|it| !SIZES.contains(it));
        SIZES.into_iter().chain(own).collect()
    }

    /// The parameters that the form of the filter sends again.
    pub(super) fn kept(&self) -> Vec<(&'static str, &str)> {
        let kept = [
            ("sort", self.sort.as_str()),
            ("unused_days", &self.unused_days),
            ("expiring_days", &self.expiring_days),
        ];
        kept.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The parts of the filter that no field shows.
    pub(super) fn chips(&self, t: &Texts) -> Vec<String> {
        let days = |text: &str| text.parse::<u32>().ok();
        let unused = days(&self.unused_days).map(|it| t.mark_unused.n(it).plain());
        let expiring = days(&self.expiring_days).map(|it| t.filter_expiring.n(it).plain());
        unused.into_iter().chain(expiring).collect()
    }

    /// Returns `true` if the list has a parameter already, such as `unused_days=90`.
    pub(super) fn asks_for(&self, query: &str) -> bool {
        let own = [("unused_days", &self.unused_days), ("expiring_days", &self.expiring_days)];
        own.into_iter().any(|(name, value)| query == format!("{name}={value}"))
    }

    /// Returns `true` if the list leaves tokens out that are not revoked.
    pub(super) fn is_narrow(&self) -> bool {
        let texts = [&self.q, &self.state, &self.ability, &self.unused_days, &self.expiring_days];
        texts.into_iter().any(|it| !it.is_empty())
    }

    /// The order that a link in the header of a column asks for, and `true` if it is descending.
    pub(super) fn order_by(&self, by: SortBy) -> Order {
        let order = self.order();
        if order.by == by {
            return order.reversed();
        }
        // The latest use and the latest token are looked for first.
        Order { by, descending: matches!(by, SortBy::Created | SortBy::LastUsed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_kept_from_page_to_page() {
        let filter = ListFilter::read("q=a+b&state=&sort=name&per_page=50&cursor=x&done=revoked");
        assert_eq!(filter.after("y"), "q=a+b&sort=name&cursor=y&per_page=50");
        assert_eq!(filter.first().as_deref(), Some("q=a+b&sort=name&per_page=50"));
        assert_eq!(filter.sorted(filter.order_by(SortBy::Name)), "q=a+b&sort=-name&per_page=50");
        assert!(filter.is_narrow() && filter.list().is_ok());
        let usual = ListFilter::read("");
        assert_eq!(
            (usual.after(""), usual.is_narrow(), usual.first()),
            (String::new(), false, None)
        );
        assert!(ListFilter::read("state=broken").list().is_err());
    }
}
