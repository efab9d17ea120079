use crate::{
    api_tokens::policy::Policy,
    store::contract::{Change, SharedRecord},
    token::{
        AllowedAddresses, Expiry, Fields, Owner, RateLimit, RequestedBy, Rule, Timestamp,
        TokenSettings,
    },
};

/// The token on whose behalf another is issued.
#[derive(Clone, Debug)]
pub(crate) struct Parent(pub(crate) SharedRecord);

impl Parent {
    /// What is not asked for is as the parent has it, or the application's default where that is less.
    pub(super) fn inherit(&self, settings: &mut TokenSettings, policy: &Policy, now: Timestamp) {
        let parent = &*self.0;
        if let Some(end) = parent.expires_at {
            let usual = policy.usual_lifetime().and_then(|it| now.checked_add(it).ok());
            if usual.is_none_or(|usual| usual > end) {
                settings.expiry.get_or_insert(Expiry::At(end).by(RequestedBy::Default));
            }
        }
        if let Some(limit) = parent.rate_limit() {
            settings.rate_limit.get_or_insert(Some(limit));
        }
        if let Some(seconds) = parent.idle_seconds {
            let period = time::Duration::seconds(seconds.get().into());
            let period = policy.default_idle_period.map_or(period, |usual| usual.min(period));
            settings.idle_period.get_or_insert(Some(period));
        }
        if let Some(allowed) = parent.allowed_addresses() {
            settings.allowed_addresses.get_or_insert_with(|| Some(allowed.iter().collect()));
        }
    }

    /// Finds out every field in which a token would go beyond its parent.
    pub(super) fn restrict_to_parent(&self, owner: &Owner, child: &Change, fields: &mut Fields) {
        let parent = &*self.0;
        let abilities = child.abilities.as_ref();
        let is_within = [
            ("owner", *owner == parent.owner),
            ("abilities", abilities.is_none_or(|it| parent.abilities.cover(it))),
            ("expires_at", ends_no_later(child.expires_at.flatten(), parent.expires_at)),
            ("idle_seconds", ends_no_later(child.idle_seconds.flatten(), parent.idle_seconds)),
            ("rate_limit", is_no_faster(child.rate_limit.flatten(), parent.rate_limit())),
            (
                "allowed_addresses",
                comes_from_within(
                    child.allowed_addresses.as_ref().and_then(Option::as_ref),
                    parent.allowed_addresses(),
                ),
            ),
        ];
        for (field, _) in is_within.into_iter().filter(|(_, is_within)| !is_within) {
            fields.refuse(field, Rule::BeyondParent);
        }
    }
}

/// `None` is no end.
fn ends_no_later<T: Ord>(child: Option<T>, parent: Option<T>) -> bool {
    parent.is_none_or(|parent| child.is_some_and(|child| child <= parent))
}

/// A limit admits its number of requests at once and as many in each period after. Where the parent has the
/// application's limit, it is not known here what would be more.
fn is_no_faster(child: Option<RateLimit>, parent: Option<RateLimit>) -> bool {
    match (child, parent) {
        (None, None) => true,
        (Some(child), Some(parent)) => {
            let rate =
                |of: RateLimit, per: RateLimit| u64::from(of.requests()) * u64::from(per.seconds());
            child.requests() <= parent.requests() && rate(child, parent) <= rate(parent, child)
        }
        _ => false,
    }
}

fn comes_from_within(child: Option<&AllowedAddresses>, parent: Option<&AllowedAddresses>) -> bool {
    parent.is_none_or(|parent| child.is_some_and(|child| parent.cover(child)))
}
