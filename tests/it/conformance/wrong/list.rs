//! How the store with a fault lists tokens.

use keyfob::{
    Timestamp,
    store::{
        Order, SortBy,
        contract::{Page, Query, States},
    },
};

use super::store::{Wrong, all};

impl Wrong {
    pub(super) async fn page(&self, query: &Query) -> Page {
        let tokens = self.tokens().await;
        let mut query = query.clone();
        let mut records = all(&tokens);
        let filter = &mut query.filter;
        match self.fault {
            "shows revoked tokens as well" if filter.states == States::NOT_REVOKED => {
                filter.states = States::ALL;
            }
            "judges states at another instant" => filter.at = Timestamp::MIN,
            "shows what was used since" => filter.unused_since = None,
            "shows what was created since" => filter.created_before = None,
            "ignores a part of a name" => filter.name_part = None,
            "tells upper and lower case apart" => {
                let part = filter.name_part.clone().unwrap_or_default();
                records.retain(|it| it.name.as_str().contains(&part));
            }
            "ignores an ability" => filter.ability = None,
            "finds an ability by its text alone" => {
                if let Some(ability) = filter.ability.take() {
                    records.retain(|it| {
                        it.abilities.as_set().is_some_and(|set| set.contains(&ability))
                    });
                }
            }
            "leaves out the last instant" => {
                if let Some((_, until)) = &mut filter.expires {
                    *until = until.checked_add(time::Duration::seconds(-1)).unwrap();
                }
            }
            "takes a token that was never used for used" if filter.unused_since.is_some() => {
                records.retain(|it| it.last_used_at.is_some());
            }
            "lists one owner where all are asked for" if filter.owner.is_none() => {
                filter.owner = records.first().map(|it| it.owner.clone());
            }
            "begins each page at the first token" => query.after = None,
            "finds its place by the token that it ended with" => {
                let gone = query.after.as_ref().is_some_and(|it| !tokens.contains_key(&it.id));
                if gone {
                    return Page::default();
                }
            }
            _ => {}
        }
        let order = query.order;
        let mut page = query.page(records);
        match self.fault {
            "orders a page the other way" => page.records.reverse(),
            "orders by id where it is by creation" if order.by == SortBy::Created => {
                page.records.sort_by_key(|it| it.id);
                if order.descending {
                    page.records.reverse();
                }
            }
            "orders ties the other way" => {
                page.records.sort_by_key(|it| it.id);
                if !order.descending {
                    page.records.reverse();
                }
                page.records.sort_by(|one, other| {
                    let [one, other] = [one, other].map(|it| order.position(it).key);
                    if order.descending { other.cmp(&one) } else { one.cmp(&other) }
                });
            }
            "puts tokens that were never used last" if order == Order::by(SortBy::LastUsed) => {
                page.records.sort_by_key(|it| it.last_used_at.is_none());
            }
            "puts tokens that never expire first" if order == Order::by(SortBy::Expires) => {
                page.records.sort_by_key(|it| it.expires_at.is_some());
            }
            "stops a page early" => page.end = None,
            "has an end on the last page" => {
                let last = page.records.last().map(|it| order.position(it));
                page.end = page.end.or(last);
            }
            "gives one more than the limit" if page.end.is_some() => {
                query.limit += 1;
                page.records = query.page(all(&tokens)).records;
            }
            _ => {}
        }
        page
    }
}
