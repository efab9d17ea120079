use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{store::changed::MOST, token::TokenId};

/// Tokens that the other nodes are still to be told of.
#[derive(Debug, Default)]
pub(crate) struct Untold(Mutex<Vec<TokenId>>);

impl Untold {
    /// More than a signal tells one by one are all of them, so no more are kept.
    pub(crate) fn add(&self, ids: &[TokenId]) {
        let mut untold = self.lock();
        let room = (MOST + 1).saturating_sub(untold.len());
        untold.extend(ids.iter().take(room));
    }

    pub(crate) fn take(&self) -> Vec<TokenId> {
        mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TokenId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
