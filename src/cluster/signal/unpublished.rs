use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{store::changed::MOST, time::timer::Notify, token::TokenId};

/// Changed tokens that are still to be published.
#[derive(Debug, Default)]
pub(crate) struct Unpublished {
    ids: Mutex<Vec<TokenId>>,
    pub(crate) notify: Notify,
}

/// Tokens that are being published. On drop they go back, unless [`finish`](Self::finish) was called.
pub(crate) struct Publishing<'a> {
    unpublished: &'a Unpublished,
    ids: Vec<TokenId>,
}

impl Unpublished {
    /// Adds tokens. One more than [`MOST`] is published as "all tokens", so no more are kept.
    pub(crate) fn add(&self, ids: &[TokenId]) {
        let mut unpublished = self.lock();
        let room = (MOST + 1).saturating_sub(unpublished.len());
        unpublished.extend(ids.iter().take(room));
    }

    pub(crate) fn publish(&self) -> Publishing<'_> {
        Publishing { unpublished: self, ids: mem::take(&mut self.lock()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TokenId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publishing<'_> {
    pub(crate) fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    pub(crate) fn finish(mut self) {
        self.ids.clear();
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.unpublished.add(&self.ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_signal_tells_one_by_one_stay_more() {
        let (unpublished, ids) =
            (Unpublished::default(), |from| (from..from + 60).map(TokenId::from_u128));
        unpublished.add(&ids(0).collect::<Vec<_>>());
        drop(unpublished.publish());
        let publishing = unpublished.publish();
        assert_eq!(publishing.ids().len(), 60, "they were not told before");
        publishing.finish();
        for from in [0, 100, 200, 300] {
            unpublished.add(&ids(from).collect::<Vec<_>>());
        }
        let publishing = unpublished.publish();
        assert_eq!(publishing.ids().len(), MOST + 1, "these are told as all");
        publishing.finish();
        assert_eq!(unpublished.publish().ids(), []);
    }
}
