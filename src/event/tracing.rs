use tracing::{debug, error, field::display, info, warn};

use super::{Event, Observer};

/// Writes events to [`tracing`] under the target `keyfob`: what users do as `info`, trouble as `warn` and `error`.
///
/// In the thread of a request, an event lies in the span of that request; so this is one to give to
/// [`inline_observer`](crate::ApiTokensBuilder::inline_observer).
///
/// ```
/// use keyfob::{ApiTokens, event::TracingObserver, store::MemoryStore};
///
/// let tokens =
///     ApiTokens::builder(MemoryStore::new()).prefix("acme").inline_observer(TracingObserver).build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

/// What happened to a token, at somebody's hands.
macro_rules! managed {
    ($token:ident, $by:ident, $($rest:tt)+) => {
        info!(
            target: "keyfob",
            id = %$token.id,
            owner = %$token.owner,
            by = $by.as_ref().map(display),
            $($rest)+
        )
    };
}

impl Observer for TracingObserver {
    fn observe(&self, event: &Event) {
        match event {
            Event::Issued { token } => {
                info!(target: "keyfob", id = %token.id, owner = %token.owner, "token issued");
            }
            Event::Rotated { token, by } => {
                managed!(token, by, generation = token.generation, "token rotated");
            }
            Event::Renamed { token, by, .. } => managed!(token, by, "token renamed"),
            Event::Changed { token, by } => managed!(token, by, "token changed"),
            Event::Suspended { token, by } => managed!(token, by, "token suspended"),
            Event::Resumed { token, by } => managed!(token, by, "token resumed"),
            Event::Revoked { ids, owner, revocation } => {
                let owner = owner.as_ref().map(display);
                let by = revocation.by.as_ref().map(display);
                let reason = revocation.reason.as_ref().map(display);
                for id in &**ids {
                    info!(target: "keyfob", %id, owner, by, reason, "token revoked");
                }
            }
            Event::Erased { owner, tokens, by } => {
                let by = by.as_ref().map(display);
                info!(target: "keyfob", %owner, tokens, by, "tokens of an owner erased");
            }
            Event::Uncommitted { ids } => {
                for id in &**ids {
                    info!(target: "keyfob", %id, "what was done to a token was not committed");
                }
            }
            Event::Pruned { tokens } => info!(target: "keyfob", tokens, "ended tokens pruned"),
            Event::ExpiringSoon { token, days } => {
                info!(target: "keyfob", id = %token.id, owner = %token.owner, days, "token expires soon");
            }
            used_or_refused => tell_of_use(used_or_refused),
        }
    }
}

fn tell_of_use(event: &Event) {
    match event {
        Event::Verified { id, owner, of, from } => {
            let from = from.as_ref().map(display);
            debug!(target: "keyfob", %id, %owner, of, from, "token verified");
        }
        Event::Refused { id, owner, from, reason } => {
            let (id, owner) = (id.as_ref().map(display), owner.as_ref().map(display));
            info!(target: "keyfob", id, owner, from = from.as_ref().map(display), reason, "token refused");
        }
        Event::FirstUse { id, owner, generation, from } => {
            let from = from.as_ref().map(display);
            info!(target: "keyfob", %id, %owner, generation, from, "secret used for the first time");
        }
        Event::NewAddress { id, owner, from } => {
            info!(target: "keyfob", %id, %owner, %from, "token used from a new address");
        }
        Event::RetiredSecretUsed { id, owner, from } => {
            let from = from.as_ref().map(display);
            warn!(target: "keyfob", %id, %owner, from, "a secret was presented that a rotation has replaced");
        }
        Event::AbilityMissing { id, owner, actor, required, enforced, from } => {
            let from = from.as_ref().map(display);
            let (id, actor) = (id.as_ref().map(display), actor.as_ref().map(display));
            if *enforced {
                info!(target: "keyfob", id, %owner, actor, from, ?required, "caller lacks an ability");
            } else {
                warn!(target: "keyfob", id, %owner, actor, from, ?required, "caller lacks an ability, which is not enforced yet");
            }
        }
        Event::RateLimited { id, owner, actor, limit, retry_after, from } => {
            let from = from.as_ref().map(display);
            let (id, actor) = (id.as_ref().map(display), actor.as_ref().map(display));
            info!(target: "keyfob", id, %owner, actor, from, limit, retry_after, "caller has reached its rate limit");
        }
        Event::CrossSiteRefused { owner, actor, from } => {
            let from = from.as_ref().map(display);
            warn!(target: "keyfob", %owner, %actor, from, "request of another site refused");
        }
        trouble => tell_of_trouble(trouble),
    }
}

fn tell_of_trouble(event: &Event) {
    match event {
        Event::StoreFailed { error } => {
            error!(target: "keyfob", %error, situation = error.code, "token store failed");
        }
        Event::PepperKeyMissing { key } => {
            error!(target: "keyfob", %key, "a token needs a pepper key that is not configured");
        }
        Event::Corrupt { record } => {
            error!(target: "keyfob", %record, "stored token can't be read");
        }
        Event::LimitsAway { error } => {
            error!(target: "keyfob", error, "shared rate limits can't be reached");
        }
        Event::LimitsBack => info!(target: "keyfob", "shared rate limits can be reached again"),
        Event::SessionFailed { error } => {
            error!(target: "keyfob", error, "the application's function for sessions failed");
        }
        Event::LimitCorrupt { id, owner, actor, limit, error } => {
            let (id, actor) = (id.as_ref().map(display), actor.as_ref().map(display));
            error!(target: "keyfob", id, %owner, actor, limit, error, "shared rate limit can't be read");
        }
        Event::UsesNotWritten { error, waiting } => {
            warn!(target: "keyfob", %error, waiting, "last-used not written, will be tried again");
        }
        Event::UsesDropped { uses } => {
            warn!(target: "keyfob", uses, "too many uses wait to be written, some were let go");
        }
        Event::BackgroundNotDriven => {
            warn!(target: "keyfob", "last-used is late: spawn ApiTokens::background()");
        }
        Event::SignalLost { error } => {
            warn!(target: "keyfob", error, "what other nodes change is not heard, will be tried again");
        }
        Event::SignalRestored => {
            info!(target: "keyfob", "what other nodes change is heard again");
        }
        Event::SignalNotSent { error } => {
            warn!(target: "keyfob", error, "other nodes were not told of a change");
        }
        Event::EventsDropped { events } => {
            warn!(target: "keyfob", events, "too many events wait to be told, some were let go");
        }
        _ => {}
    }
}
