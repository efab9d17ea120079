use std::{num::NonZeroU32, sync::Arc};

use crate::{
    store::contract::SharedRecord,
    token::{
        Abilities, AllowedAddresses, Metadata, RateLimit, Suspension, Timestamp, TokenDigest,
        TokenName, TokenRecord,
    },
};

use super::{Expected, InsertRules, Rotation, RuleError, Siblings};

/// A change of one token, which a store applies to the stored record while it holds the token's lock.
///
/// [`apply`](Self::apply) is the whole rule. A patch carries what its caller expects of the token: of two concurrent
/// patches with the same expectation, one is applied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Patch {
    /// Changes fields that the owner may set.
    Change {
        /// The expiry that the caller read.
        expected_expiry: Option<Timestamp>,
        /// The new values.
        change: Change,
        /// The rules for a new name and for a later expiry, and the instant of the change.
        rules: InsertRules,
    },
    /// Replaces the secret.
    Rotate {
        /// The state that the caller read.
        expected: Expected,
        /// The new secret.
        rotation: Rotation,
        /// The rules for a later expiry.
        rules: InsertRules,
    },
    /// Records the first use of the current secret, once.
    FirstUse {
        /// The digest of the secret that was used.
        expected: TokenDigest,
        /// The instant of the use.
        at: Timestamp,
    },
    /// Replaces a digest, current or previous, by one of the same secret under another pepper key.
    Rekey {
        /// The digest to replace.
        expected: TokenDigest,
        /// The new digest.
        digest: TokenDigest,
    },
    /// Suspends the token. The new suspension replaces the old one.
    Suspend(Suspension),
    /// Ends the suspension, unless it ended before. A token that was never suspended stays as it is.
    Resume {
        /// The instant at which the suspension ends.
        at: Timestamp,
    },
    /// Claims the notice for a number of days before the expiry, once.
    Notice {
        /// The expiry that the notice is about.
        expected_expiry: Timestamp,
        /// The number of days.
        days: u16,
    },
    /// Applies another patch only if the token still has the [version](TokenRecord::version) that the caller read.
    IfVersion {
        /// The version.
        expected: u32,
        /// The other patch.
        patch: Box<Patch>,
    },
}

/// The outcome of [`TokenStore::update`](crate::store::TokenStore::update).
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum UpdateOutcome {
    /// The token after the patch.
    Updated(Arc<TokenRecord>),
    /// There is no such token.
    NotFound,
    /// The patch does not apply. Nothing was changed.
    Refused(PatchError),
}

/// The reason why a patch does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The token is revoked.
    #[error("the token is revoked")]
    Revoked,
    /// The token is expired at the instant of the patch.
    #[error("the token is expired")]
    Expired,
    /// The token is not as the caller expects it. Another caller was faster.
    #[error("the token is no longer as expected")]
    Outdated,
    /// The rules refuse the new name or the later expiry.
    #[error(transparent)]
    Rules(#[from] RuleError),
}

impl Patch {
    /// Returns the patch with the condition that the token still has a version. `None`: no condition.
    #[must_use]
    pub fn if_version(self, expected: Option<u32>) -> Self {
        match expected {
            Some(expected) => Self::IfVersion { expected, patch: Box::new(self) },
            None => self,
        }
    }

    /// The patch without its condition.
    fn unconditional(&self) -> &Self {
        match self {
            Self::IfVersion { patch, .. } => patch.unconditional(),
            patch => patch,
        }
    }

    /// Applies the patch to a record, and counts it in [`TokenRecord::version`]. On an error the record is unchanged.
    ///
    /// `siblings` counts for patches that have [`rules`](Self::rules), and is otherwise
    /// [`Siblings::default`].
    ///
    /// # Errors
    /// [`PatchError`]
    pub fn apply(&self, record: &mut TokenRecord, siblings: &Siblings) -> Result<(), PatchError> {
        self.check(record, siblings)?;
        record.version = record.version.wrapping_add(1);
        match self.unconditional() {
            // It has none.
            Self::IfVersion { .. } => {}
            Self::Change { change, .. } => change.set(record),
            Self::Rotate { rotation, .. } => rotation.set(record),
            Self::FirstUse { at, .. } => record.first_used_at = Some(*at),
            Self::Rekey { expected, digest } => {
                if record.digest == *expected {
                    record.digest = digest.clone();
                } else if let Some(previous) = &mut record.previous {
                    previous.digest = digest.clone();
                }
            }
            Self::Suspend(suspension) => record.suspension = Some(Box::new(suspension.clone())),
            Self::Resume { at } => {
                if let Some(suspension) = &mut record.suspension {
                    suspension.end(*at);
                }
            }
            Self::Notice { days, .. } => {
                record.rare_mut().notices.insert(*days);
            }
        }
        Ok(())
    }

    fn check(&self, record: &TokenRecord, siblings: &Siblings) -> Result<(), PatchError> {
        if record.revocation.is_some() {
            return Err(PatchError::Revoked);
        }
        if !self.expects(record) {
            return Err(PatchError::Outdated);
        }
        if self.instant().is_some_and(|at| record.has_ended(at)) {
            return Err(PatchError::Expired);
        }
        if let Some(rules) = self.rules() {
            // A new name takes no further place among the tokens of the owner.
            let limit_per_owner = rules.limit_per_owner.filter(|_| self.extends());
            InsertRules { limit_per_owner, ..*rules }.check(siblings)?;
        }
        Ok(())
    }

    fn expects(&self, record: &TokenRecord) -> bool {
        match self {
            Self::Change { expected_expiry, .. } => record.expires_at == *expected_expiry,
            Self::Rotate { expected, .. } => Expected::of(record) == *expected,
            Self::FirstUse { expected, .. } => {
                record.digest == *expected && record.first_used_at.is_none()
            }
            Self::Rekey { expected, .. } => {
                let previous = record.previous.as_ref().map(|it| &it.digest);
                record.digest == *expected || previous == Some(expected)
            }
            Self::Suspend(_) | Self::Resume { .. } => true,
            Self::Notice { expected_expiry, days } => {
                let claimed = record.rare.as_ref().is_some_and(|it| it.notices.contains(days));
                record.expires_at == Some(*expected_expiry) && !claimed
            }
            Self::IfVersion { expected, patch } => {
                record.version == *expected && patch.expects(record)
            }
        }
    }

    fn instant(&self) -> Option<Timestamp> {
        match self.unconditional() {
            Self::Change { rules, .. } => Some(rules.at),
            Self::Rotate { rotation, .. } => Some(rotation.at),
            Self::FirstUse { at, .. } | Self::Resume { at } => Some(*at),
            Self::Suspend(suspension) => Some(suspension.since),
            Self::Rekey { .. } | Self::Notice { .. } | Self::IfVersion { .. } => None,
        }
    }

    /// Returns the rules that this patch must be decided by, if there are any.
    ///
    /// A store then locks the row of the owner before the token, and counts the [`Siblings`] of the token. The name
    /// that counts is [`name`](Self::name), or the token's own.
    #[must_use]
    pub fn rules(&self) -> Option<&InsertRules> {
        let (rules, renames) = match self.unconditional() {
            Self::Change { change, rules, .. } => (rules, change.name.is_some()),
            Self::Rotate { rules, .. } => (rules, false),
            _ => return None,
        };
        let decides = renames && rules.unique_name || self.extends() && !rules.is_empty();
        decides.then_some(rules)
    }

    /// Returns the new name, if the patch brings one.
    #[must_use]
    pub fn name(&self) -> Option<&TokenName> {
        match self.unconditional() {
            Self::Change { change, .. } => change.name.as_ref(),
            _ => None,
        }
    }

    /// Counts the siblings of a token, for a store that reads whole records.
    ///
    /// `others` may hold the token itself and tokens of other owners. It is not used if the patch has no
    /// [`rules`](Self::rules).
    pub fn siblings(
        &self,
        record: &TokenRecord,
        others: impl IntoIterator<Item = SharedRecord>,
    ) -> Siblings {
        let name = self.name().unwrap_or(&record.name);
        self.rules().map_or_else(Siblings::default, |rules| {
            Siblings::among(others, (record.id, &record.owner, name), rules.at)
        })
    }

    /// Returns `true` if the expiry becomes later, or goes.
    ///
    /// The token may have been expired for a concurrent insert, which then did not count it.
    fn extends(&self) -> bool {
        let (before, after) = match self.unconditional() {
            Self::Change { expected_expiry, change, .. } => (*expected_expiry, change.expires_at),
            Self::Rotate { expected, rotation, .. } => {
                (expected.expires_at, Some(rotation.expires_at))
            }
            _ => return false,
        };
        let is_later = |before| after.is_some_and(|after| after.is_none_or(|after| after > before));
        before.is_some_and(is_later)
    }

    /// Returns `true` if the other nodes must hear of this patch.
    ///
    /// A new key for the same secret, and a notice, change nothing that a verification depends on.
    #[must_use]
    pub fn publishes(&self) -> bool {
        !matches!(self.unconditional(), Self::Rekey { .. } | Self::Notice { .. })
    }

    /// Returns a short name for logs and metrics: `change`, `rotate`, `first_use`, `rekey`, `suspend`, `resume` or
    /// `notice`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IfVersion { patch, .. } => patch.code(),
            Self::Change { .. } => "change",
            Self::Rotate { .. } => "rotate",
            Self::FirstUse { .. } => "first_use",
            Self::Rekey { .. } => "rekey",
            Self::Suspend(_) => "suspend",
            Self::Resume { .. } => "resume",
            Self::Notice { .. } => "notice",
        }
    }
}

/// New values of fields. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// A new name.
    pub name: Option<TokenName>,
    /// New abilities.
    pub abilities: Option<Abilities>,
    /// A new expiry, or none.
    pub expires_at: Option<Option<Timestamp>>,
    /// A new first instant, or none.
    pub not_before: Option<Option<Timestamp>>,
    /// A new idle period, or none.
    pub idle_seconds: Option<Option<NonZeroU32>>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// A new rate limit, or none.
    pub rate_limit: Option<Option<RateLimit>>,
    /// New networks, or none.
    pub allowed_addresses: Option<Option<AllowedAddresses>>,
}

impl Change {
    /// Writes the values into a record.
    pub(crate) fn set(&self, record: &mut TokenRecord) {
        if let Some(name) = &self.name {
            record.name = name.clone();
        }
        if let Some(abilities) = &self.abilities {
            record.abilities = abilities.clone();
        }
        if let Some(not_before) = self.not_before {
            record.not_before = not_before;
        }
        if let Some(idle_seconds) = self.idle_seconds {
            record.idle_seconds = idle_seconds;
        }
        if let Some(metadata) = &self.metadata {
            record.rare_mut().metadata = metadata.clone();
        }
        if let Some(rate_limit) = self.rate_limit {
            record.rare_mut().rate_limit = rate_limit;
        }
        if let Some(addresses) = &self.allowed_addresses {
            record.rare_mut().allowed_addresses.clone_from(addresses);
        }
        if let Some(expires_at) = self.expires_at {
            set_expiry(record, expires_at);
        }
    }
}

/// A new expiry forgets the notices that were claimed for the old one.
pub(super) fn set_expiry(record: &mut TokenRecord, expires_at: Option<Timestamp>) {
    if record.expires_at != expires_at
        && let Some(rare) = &mut record.rare
    {
        rare.notices.clear();
    }
    record.expires_at = expires_at;
}
