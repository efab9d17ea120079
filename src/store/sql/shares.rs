//! How much of a pool one kind of work may hold.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The kind of work that needs a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Tokens are looked up by their ids, as each verification does.
    LookUp,
    /// Something else is read.
    Read,
    /// Something is written, and locks are waited for.
    Write,
}

/// The shares of a pool: writes hold at most half of it, and whatever is no look-up leaves at least a quarter to
/// look-ups. So writers that all wait for one lock don't stop verification, which waits for none.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    all_but_lookups: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

/// The right to hold one connection. It is given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    _held: [Option<OwnedSemaphorePermit>; 2],
}

impl Shares {
    /// Of a pool of so many connections. Where there is only one, all work shares it.
    pub(crate) fn of(connections: u32) -> Self {
        let connections = connections as usize;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.max(1)));
        Self {
            all_but_lookups: semaphore(connections - connections.div_ceil(4)),
            writes: semaphore(connections / 2),
        }
    }

    /// Waits until a connection may be held for this.
    pub(crate) async fn take(&self, work: Work) -> Share {
        let semaphores = match work {
            Work::LookUp => return Share::default(),
            Work::Read => [None, Some(&self.all_but_lookups)],
            Work::Write => [Some(&self.writes), Some(&self.all_but_lookups)],
        };
        let mut held = [None, None];
        for (held, semaphore) in held.iter_mut().zip(semaphores) {
            if let Some(semaphore) = semaphore {
                // It fails only where the semaphore is closed, which none of these ever is.
                *held = semaphore.clone().acquire_owned().await.ok();
            }
        }
        Share { _held: held }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// How many of one kind can be held at the same time.
    fn most(shares: &Shares, work: Work) -> usize {
        let held = (0..1_000).map_while(|_| shares.take(work).now_or_never());
        held.collect::<Vec<_>>().len()
    }

    #[test]
    fn no_kind_of_work_holds_the_connections_that_lookups_need() {
        for (connections, reads, writes) in
            [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 3, 2), (5, 3, 2), (10, 7, 5), (100, 75, 50)]
        {
            let shares = Shares::of(connections);
            assert_eq!(most(&shares, Work::Read), reads, "{connections}");
            assert_eq!(most(&shares, Work::Write), writes, "{connections}");
            assert_eq!(most(&shares, Work::LookUp), 1_000);
            let writing: Vec<_> =
                (0..writes).map(|_| shares.take(Work::Write).now_or_never()).collect();
            assert_eq!(most(&shares, Work::Read), reads - writes, "{connections}");
            drop(writing);
            assert_eq!(most(&shares, Work::Write), writes, "what was held is given back");
        }
    }
}
