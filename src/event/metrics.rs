use metrics::{Unit, counter, describe_counter};

use super::{Event, Observer};

/// Counts events with [`metrics`]. It only adds to counters, so it is one to give to
/// [`inline_observer`](crate::ApiTokensBuilder::inline_observer).
///
/// | counter | labels |
/// |---|---|
/// | `keyfob_tokens_total` | `change`: `issued`, `rotated`, `renamed`, `changed`, `suspended`, `resumed`, `revoked`, `erased`, `pruned` |
/// | `keyfob_verified_total` | none; only with [`report_verified`](crate::ApiTokensBuilder::report_verified) |
/// | `keyfob_refused_total` | `reason`, as [`VerifyError::code`](crate::VerifyError::code) |
/// | `keyfob_ability_missing_total` | `enforced`: `true` or `false` |
/// | `keyfob_rate_limited_total` | `limit`: its name |
/// | `keyfob_signs_total` | `sign`: `first_use`, `new_address`, `retired_secret_used`, `expiring_soon`, `uncommitted`, `cross_site_refused` |
/// | `keyfob_store_failed_total` | `situation`, as [`StoreError::code`](crate::store::StoreError::code) |
/// | `keyfob_trouble_total` | `trouble`: `corrupt`, `pepper_key_missing`, `limits_away`, `limit_corrupt`, `session_failed`, `uses_not_written`, `background_not_driven`, `signal_lost`, `signal_not_sent` |
/// | `keyfob_signal_restored_total`, `keyfob_limits_back_total` | none |
/// | `keyfob_uses_dropped_total`, `keyfob_events_dropped_total` | none |
///
/// `keyfob_events_dropped_total` counts what this observer itself was too slow for, which it can be only on a thread of
/// its own.
///
/// No label holds anything of a token or its owner, so there are few series. To alert on: any
/// `keyfob_trouble_total`, a rate of `keyfob_store_failed_total`, and `keyfob_refused_total` where it leaps.
///
/// ```
/// use keyfob::{ApiTokens, event::MetricsObserver, store::MemoryStore};
///
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .inline_observer(MetricsObserver::new())
///     .build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MetricsObserver;

const TOKENS: &str = "keyfob_tokens_total";
const VERIFIED: &str = "keyfob_verified_total";
const REFUSED: &str = "keyfob_refused_total";
const ABILITY_MISSING: &str = "keyfob_ability_missing_total";
const RATE_LIMITED: &str = "keyfob_rate_limited_total";
const SIGNS: &str = "keyfob_signs_total";
const STORE_FAILED: &str = "keyfob_store_failed_total";
const TROUBLE: &str = "keyfob_trouble_total";
const SIGNAL_RESTORED: &str = "keyfob_signal_restored_total";
const LIMITS_BACK: &str = "keyfob_limits_back_total";
const USES_DROPPED: &str = "keyfob_uses_dropped_total";
const EVENTS_DROPPED: &str = "keyfob_events_dropped_total";

impl MetricsObserver {
    /// Describes the counters to the recorder that is installed by then.
    #[must_use]
    pub fn new() -> Self {
        for (counter, description) in [
            (TOKENS, "What was done to tokens"),
            (VERIFIED, "Tokens that were verified"),
            (REFUSED, "Presented texts that were refused"),
            (ABILITY_MISSING, "Callers that lacked an ability of a route"),
            (RATE_LIMITED, "Callers whose rate limit was reached"),
            (SIGNS, "What an owner may want to know of a token"),
            (STORE_FAILED, "Steps that the token store failed at"),
            (TROUBLE, "What somebody should look at"),
            (SIGNAL_RESTORED, "How often a signal that was lost was connected again"),
            (LIMITS_BACK, "How often limits that were away could be reached again"),
            (USES_DROPPED, "Uses that were let go because too many waited"),
            (EVENTS_DROPPED, "Events that were let go because an observer was slow"),
        ] {
            describe_counter!(counter, Unit::Count, description);
        }
        Self
    }
}

impl Default for MetricsObserver {
    fn default() -> Self {
        Self::new()
    }
}

fn changed(change: &'static str, tokens: u64) {
    counter!(TOKENS, "change" => change).increment(tokens);
}

impl Observer for MetricsObserver {
    fn observe(&self, event: &Event) {
        let code = event.code();
        match event {
            Event::Issued { .. }
            | Event::Rotated { .. }
            | Event::Renamed { .. }
            | Event::Changed { .. }
            | Event::Suspended { .. }
            | Event::Resumed { .. } => changed(code, 1),
            Event::Revoked { ids, .. } => changed(code, ids.len() as u64),
            Event::Erased { tokens, .. } => changed(code, *tokens as u64),
            Event::Pruned { tokens } => changed(code, *tokens),
            Event::Verified { of, .. } => counter!(VERIFIED).increment((*of).into()),
            Event::Refused { reason, .. } => counter!(REFUSED, "reason" => *reason).increment(1),
            Event::FirstUse { .. }
            | Event::NewAddress { .. }
            | Event::RetiredSecretUsed { .. }
            | Event::CrossSiteRefused { .. }
            | Event::ExpiringSoon { .. }
            | Event::Uncommitted { .. } => counter!(SIGNS, "sign" => code).increment(1),
            Event::AbilityMissing { enforced, .. } => {
                let enforced = if *enforced { "true" } else { "false" };
                counter!(ABILITY_MISSING, "enforced" => enforced).increment(1);
            }
            Event::RateLimited { limit, .. } => {
                counter!(RATE_LIMITED, "limit" => *limit).increment(1);
            }
            Event::StoreFailed { error } => {
                counter!(STORE_FAILED, "situation" => error.code).increment(1);
            }
            Event::Corrupt { .. }
            | Event::PepperKeyMissing { .. }
            | Event::LimitsAway { .. }
            | Event::SessionFailed { .. }
            | Event::LimitCorrupt { .. }
            | Event::UsesNotWritten { .. }
            | Event::BackgroundNotDriven
            | Event::SignalLost { .. }
            | Event::SignalNotSent { .. } => counter!(TROUBLE, "trouble" => code).increment(1),
            Event::LimitsBack => counter!(LIMITS_BACK).increment(1),
            Event::SignalRestored => counter!(SIGNAL_RESTORED).increment(1),
            Event::UsesDropped { uses } => counter!(USES_DROPPED).increment(*uses),
            Event::EventsDropped { events } => counter!(EVENTS_DROPPED).increment(*events),
        }
    }
}
