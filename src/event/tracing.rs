use tracing::{error, info, warn};

use super::{Event, Observer};
use crate::store::StoreError;

/// Writes events to [`tracing`] under the target `keyfob`: what users do as `info`, trouble as `warn` and `error`.
///
/// ```
/// use keyfob::{ApiTokens, TracingObserver, store::MemoryStore};
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").observer(TracingObserver).build()?;
/// # Ok::<(), keyfob::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

/// `tracing` writes the sources of an error along with it.
fn cause(error: &StoreError) -> &(dyn std::error::Error + 'static) {
    error
}

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Issued { token } => {
                info!(target: "keyfob", id = %token.id, owner = %token.owner, "token issued");
            }
            Event::Changed { token, by } => {
                let by = by.map(tracing::field::display);
                info!(target: "keyfob", id = %token.id, owner = %token.owner, by, "token changed");
            }
            Event::Revoked { ids, revocation } => {
                let by = revocation.by.as_ref().map(tracing::field::display);
                for id in *ids {
                    info!(target: "keyfob", %id, by, "token revoked");
                }
            }
            Event::Erased { owner, tokens, by } => {
                let by = by.map(tracing::field::display);
                info!(target: "keyfob", %owner, tokens, by, "tokens of an owner erased");
            }
            Event::Pruned { tokens } => info!(target: "keyfob", tokens, "ended tokens pruned"),
            Event::Refused { id, reason } => {
                let id = id.as_ref().map(tracing::field::display);
                info!(target: "keyfob", id, reason, "token refused");
            }
            Event::AbilityMissing { id, owner, required, enforced: true } => {
                info!(target: "keyfob", %id, %owner, ?required, "token lacks an ability");
            }
            Event::AbilityMissing { id, owner, required, enforced: false } => {
                warn!(target: "keyfob", %id, %owner, ?required, "token lacks an ability, which is not enforced yet");
            }
            Event::RateLimited { id, limit, retry_after } => {
                info!(target: "keyfob", %id, limit, retry_after, "token has reached its rate limit");
            }
            Event::StoreFailed { error } => {
                error!(target: "keyfob", error = cause(error), "token store failed");
            }
            Event::Corrupt { record } => {
                error!(target: "keyfob", %record, "stored token can't be read");
            }
            Event::UsesNotWritten { error, waiting } => {
                warn!(target: "keyfob", error = cause(error), waiting, "last-used not written, will be tried again");
            }
            Event::UsesDropped { uses } => {
                warn!(target: "keyfob", uses, "too many uses wait to be written, some were let go");
            }
            Event::BackgroundNotDriven => {
                warn!(target: "keyfob", "last-used is late: spawn ApiTokens::background()");
            }
        }
    }
}
