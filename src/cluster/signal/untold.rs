use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{store::changed::MOST, time::timer::Nudge, token::TokenId};

/// Tokens that the other nodes are still to be told of.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    ids: Mutex<Vec<TokenId>>,
    pub(crate) nudge: Nudge,
}

/// Tokens that are being told. Unless that came to an end, they go back when this is dropped.
pub(crate) struct Telling<'a> {
    untold: &'a Untold,
    ids: Vec<TokenId>,
}

impl Untold {
    /// More than a signal tells one by one are all of them, so no more are kept.
    pub(crate) fn add(&self, ids: &[TokenId]) {
        let mut untold = self.lock();
        let room = (MOST + 1).saturating_sub(untold.len());
        untold.extend(ids.iter().take(room));
    }

    pub(crate) fn tell(&self) -> Telling<'_> {
        Telling { untold: self, ids: mem::take(&mut self.lock()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TokenId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling<'_> {
    pub(crate) fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    pub(crate) fn ended(mut self) {
        self.ids.clear();
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.untold.add(&self.ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_signal_tells_one_by_one_stay_more() {
        let (untold, ids) = (Untold::default(), |from| (from..from + 60).map(TokenId::from_u128));
        untold.add(&ids(0).collect::<Vec<_>>());
        drop(untold.tell());
        let telling = untold.tell();
        assert_eq!(telling.ids().len(), 60, "they were not told before");
        telling.ended();
        for from in [0, 100, 200, 300] {
            untold.add(&ids(from).collect::<Vec<_>>());
        }
        let telling = untold.tell();
        assert_eq!(telling.ids().len(), MOST + 1, "these are told as all");
        telling.ended();
        assert_eq!(untold.tell().ids(), []);
    }
}
