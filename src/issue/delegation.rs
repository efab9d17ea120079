use crate::{
    api_tokens::policy::Policy,
    store::contract::SharedRecord,
    token::{Expiry, RequestedBy, Timestamp, TokenSettings},
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
}
