use std::panic::AssertUnwindSafe;

use super::{Event, Queue};

/// Is told what happens.
///
/// Given to [`ApiTokensBuilder::observer`](crate::ApiTokensBuilder::observer), it runs on a thread of its own: it may
/// write to a disk or wait for a network, and neither holds up nor fails a request. An observer that panics has missed
/// that event and is told the next one. Its thread ends with the last handle, so it must not hold one itself.
///
/// ```
/// use keyfob::{Event, event::Observer};
///
/// struct Audit;
///
/// impl Observer for Audit {
///     fn observe(&self, event: &Event) {
///         if let Event::Revoked { ids, .. } = event {
///             println!("{} tokens revoked", ids.len());
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an event.
    fn observe(&self, event: &Event);
}

/// Everybody who is told.
#[derive(Default)]
pub(crate) struct Observers {
    pub(crate) inline: Vec<Box<dyn Observer>>,
    pub(crate) queued: Vec<Queue>,
}

impl Observers {
    /// Makes an event only where somebody listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.inline.is_empty() && self.queued.is_empty() {
            return;
        }
        let event = event();
        for observer in &self.inline {
            tell(&**observer, &event);
        }
        for queue in &self.queued {
            queue.put(&event);
        }
    }
}

/// A panic in an observer is not that of the request in which something happened.
pub(super) fn tell(observer: &dyn Observer, event: &Event) {
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| observer.observe(event)));
}
