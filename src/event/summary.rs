use crate::token::{Owner, TokenId, TokenRecord};

use super::Event;

impl Event {
    /// Returns the name of the event, such as `issued` or `retired_secret_used`. It will not change.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Issued { .. } => "issued",
            Self::Rotated { .. } => "rotated",
            Self::Renamed { .. } => "renamed",
            Self::Changed { .. } => "changed",
            Self::Suspended { .. } => "suspended",
            Self::Resumed { .. } => "resumed",
            Self::Revoked { .. } => "revoked",
            Self::Uncommitted { .. } => "uncommitted",
            Self::Erased { .. } => "erased",
            Self::Pruned { .. } => "pruned",
            Self::Verified { .. } => "verified",
            Self::Refused { .. } => "refused",
            Self::FirstUse { .. } => "first_use",
            Self::NewAddress { .. } => "new_address",
            Self::RetiredSecretUsed { .. } => "retired_secret_used",
            Self::AbilityMissing { .. } => "ability_missing",
            Self::RateLimited { .. } => "rate_limited",
            Self::CrossSiteRefused { .. } => "cross_site_refused",
            Self::SessionFailed { .. } => "session_failed",
            Self::LimitsAway { .. } => "limits_away",
            Self::LimitsBack => "limits_back",
            Self::LimitCorrupt { .. } => "limit_corrupt",
            Self::ExpiringSoon { .. } => "expiring_soon",
            Self::StoreFailed { .. } => "store_failed",
            Self::PepperKeyMissing { .. } => "pepper_key_missing",
            Self::Corrupt { .. } => "corrupt",
            Self::UsesNotWritten { .. } => "uses_not_written",
            Self::UsesDropped { .. } => "uses_dropped",
            Self::BackgroundNotDriven => "background_not_driven",
            Self::SignalLost { .. } => "signal_lost",
            Self::SignalRestored => "signal_restored",
            Self::SignalNotSent { .. } => "signal_not_sent",
            Self::EventsDropped { .. } => "events_dropped",
        }
    }

    /// Returns the token, if the event is about one and its id is known. A revocation names its tokens itself.
    #[must_use]
    pub fn id(&self) -> Option<TokenId> {
        match self {
            Self::Verified { id, .. }
            | Self::FirstUse { id, .. }
            | Self::NewAddress { id, .. }
            | Self::RetiredSecretUsed { id, .. } => Some(*id),
            Self::Refused { id, .. }
            | Self::AbilityMissing { id, .. }
            | Self::RateLimited { id, .. }
            | Self::LimitCorrupt { id, .. } => *id,
            Self::Corrupt { record } => record.id,
            Self::Revoked { ids, .. } | Self::Uncommitted { ids } => match **ids {
                [id] => Some(id),
                _ => None,
            },
            _ => self.token().map(|token| token.id),
        }
    }

    /// Returns the owner of the token, if the event is about one owner and the owner is known.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Erased { owner, .. }
            | Self::Verified { owner, .. }
            | Self::FirstUse { owner, .. }
            | Self::NewAddress { owner, .. }
            | Self::RetiredSecretUsed { owner, .. }
            | Self::AbilityMissing { owner, .. }
            | Self::CrossSiteRefused { owner, .. }
            | Self::RateLimited { owner, .. }
            | Self::LimitCorrupt { owner, .. } => Some(owner),
            Self::Refused { owner, .. } | Self::Revoked { owner, .. } => owner.as_ref(),
            _ => self.token().map(|token| &token.owner),
        }
    }

    /// The record that the event carries.
    pub(super) fn token(&self) -> Option<&TokenRecord> {
        match self {
            Self::Issued { token }
            | Self::Rotated { token, .. }
            | Self::Renamed { token, .. }
            | Self::Changed { token, .. }
            | Self::Suspended { token, .. }
            | Self::Resumed { token, .. }
            | Self::ExpiringSoon { token, .. } => Some(token),
            _ => None,
        }
    }
}
