//! Is a token good? One pure function decides, by what is in memory and by what the store answers alike.

use std::{net::IpAddr, time::Duration};

use crate::token::{Timestamp, TokenId, TokenState};

use super::{VerifyError, batch::Source, proof::Proven};

/// The verdict on a credential whose secret was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The token is good.
    Admit,
    /// It is good once something is written.
    WriteFirst(Due),
    /// That depends on the owner, of whom the gate has to be asked.
    AskOwnerGate,
    /// That depends on what is stored.
    AskStore,
    /// It is refused.
    Refuse(Flaw),
}

/// Why a token is refused whose secret was proven. It is small, unlike an error: that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Revoked,
    Expired,
    Suspended,
    NotYetValid,
    Idle,
    OwnerDisabled,
    AddressNotAllowed,
}

impl Flaw {
    #[cold]
    pub(super) fn of(self, id: TokenId) -> VerifyError {
        match self {
            Self::Revoked => VerifyError::Revoked(id),
            Self::Expired => VerifyError::Expired(id),
            Self::Suspended => VerifyError::Suspended(id),
            Self::NotYetValid => VerifyError::NotYetValid(id),
            Self::Idle => VerifyError::Idle(id),
            Self::OwnerDisabled => VerifyError::OwnerDisabled(id),
            Self::AddressNotAllowed => VerifyError::AddressNotAllowed(id),
        }
    }
}

/// The writes that come before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The mark of the first use of a secret that a rotation made. Without it there is no pass.
    pub(super) first_use: bool,
    /// The use, so that nobody takes the token for idle.
    pub(super) last_use: bool,
}

/// The facts that a node has of a token beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The latest use that is noted and not yet written. It counts only for a token that is idle without it.
    pub(super) pending_use: Option<Timestamp>,
    /// By how much the last use that is stored may be earlier than the latest one, for a token that can be idle.
    pub(super) slack: Duration,
    /// Whether the owner may use tokens; `None` where the gate has to be asked.
    pub(super) owner_enabled: Option<bool>,
}

/// Judges a credential whose secret was proven. The order is: state, owner, address, writes that are due.
///
/// What is in memory may be outdated: nothing is written because of it. Neither is a token idle by it, because uses are
/// written late.
#[inline]
pub(super) fn judge(
    proven: &Proven,
    known: &Known,
    now: Timestamp,
    from: Option<IpAddr>,
    source: Source,
) -> Verdict {
    let record = &*proven.record;
    let is_stored = source == Source::Store;
    let state = match record.state_at(now) {
        TokenState::Active => None,
        TokenState::Idle if known.pending_use.is_some_and(|at| record.is_awake_by(at, now)) => None,
        TokenState::Idle if !is_stored => return Verdict::AskStore,
        TokenState::Idle => Some(Flaw::Idle),
        TokenState::Revoked => Some(Flaw::Revoked),
        TokenState::Expired => Some(Flaw::Expired),
        TokenState::Suspended => Some(Flaw::Suspended),
        TokenState::NotYetValid => Some(Flaw::NotYetValid),
    };
    if let Some(flaw) = state {
        return Verdict::Refuse(flaw);
    }
    let due = due(proven, known, now);
    match known.owner_enabled {
        Some(true) => {}
        Some(false) => return Verdict::Refuse(Flaw::OwnerDisabled),
        // The gate is asked once, of what is stored.
        None if due.is_some() && !is_stored => return Verdict::AskStore,
        None => return Verdict::AskOwnerGate,
    }
    let allowed = record.allowed_addresses();
    if allowed.is_some_and(|allowed| !from.is_some_and(|from| allowed.contain(from))) {
        return Verdict::Refuse(Flaw::AddressNotAllowed);
    }
    match due {
        None => Verdict::Admit,
        Some(_) if !is_stored => Verdict::AskStore,
        Some(due) => Verdict::WriteFirst(due),
    }
}

/// Returns `true` if a secret is refused for good by a record of this source, and `false` if the store has to confirm
/// it.
///
/// ```text
/// refused as                                   final by
/// a replaced secret                            what is stored, because that is reported
/// wrong secret, unpeppered, unknown key        anything but a cache: it may have another secret or key by now
/// all else                                     anything
/// ```
#[cold]
pub(super) fn is_final(reason: &VerifyError, source: Source) -> bool {
    match reason {
        VerifyError::RetiredSecret(_) => source == Source::Store,
        VerifyError::WrongSecret | VerifyError::Unpeppered | VerifyError::UnknownKey(_) => {
            source > Source::Cache
        }
        _ => true,
    }
}

/// The writes that come before the answer, if there are any.
#[inline]
fn due(proven: &Proven, known: &Known, now: Timestamp) -> Option<Due> {
    let record = &proven.record;
    let first_use = proven.is_first_use();
    // The next rotation takes the mark of the first use away, and nobody would know of the use then.
    let last_use = record.idle_seconds.is_some()
        && (first_use || now.since(record.awake_since()) > known.slack);
    (first_use || last_use).then_some(Due { first_use, last_use })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::token::{
        AllowedAddresses, KeyId, Owner, Prefix, Revocation, Suspension, TokenDigest, TokenName,
        TokenRecord,
    };

    const NOW: i64 = 1_000_000;
    const HOUR: i64 = 3_600;
    const SOURCES: [Source; 3] = [Source::Cache, Source::Memory, Source::Store];
    const OWNERS: [Option<bool>; 3] = [None, Some(false), Some(true)];

    type Reason = fn(TokenId) -> VerifyError;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn record() -> TokenRecord {
        TokenRecord::new(
            TokenId::from_u128(1),
            Prefix::new("acme").unwrap(),
            Owner::new("user:42").unwrap(),
            TokenName::new("ci").unwrap(),
            TokenDigest::from_bytes([0; 32], None),
            at(NOW - 10 * HOUR),
        )
    }

    /// Tokens, and as what each is refused for its state.
    fn states() -> Vec<(Option<&'static str>, TokenRecord)> {
        let with = |change: fn(&mut TokenRecord)| {
            let mut record = record();
            change(&mut record);
            record
        };
        vec![
            (None, record()),
            (Some("expired"), with(|it| it.expires_at = Some(at(NOW)))),
            (Some("not_yet_valid"), with(|it| it.not_before = Some(at(NOW + 1)))),
            (Some("idle"), with(|it| it.idle_seconds = NonZeroU32::new(600))),
            (
                Some("suspended"),
                with(|it| it.suspension = Some(Box::new(Suspension::new(at(NOW))))),
            ),
            (Some("revoked"), with(|it| it.revocation = Some(Box::new(Revocation::new(at(NOW)))))),
        ]
    }

    fn judged(record: &TokenRecord, known: &Known, from: &str, source: Source) -> String {
        let generation = record.generation;
        let proven = Proven { record: record.clone().into(), generation };
        told(judge(&proven, known, at(NOW), Some(from.parse().unwrap()), source))
    }

    fn told(verdict: Verdict) -> String {
        match verdict {
            Verdict::Admit => "admit".into(),
            Verdict::WriteFirst(Due { first_use, last_use }) => {
                format!("write: first use {first_use}, last use {last_use}")
            }
            Verdict::AskOwnerGate => "ask the gate".into(),
            Verdict::AskStore => "ask the store".into(),
            Verdict::Refuse(flaw) => flaw.of(TokenId::from_u128(1)).code().into(),
        }
    }

    #[test]
    fn state_comes_before_owner_before_address_before_what_is_to_be_written() {
        let (here, elsewhere) = ("192.0.2.7", "198.51.100.7");
        for (refused_as, mut record) in states() {
            let rare = record.rare_mut();
            rare.allowed_addresses = Some(AllowedAddresses::new(["192.0.2.0/24"]).unwrap());
            for (first_use, owner_enabled, from) in [false, true]
                .into_iter()
                .flat_map(|it| OWNERS.map(|owner| (it, owner)))
                .flat_map(|(it, owner)| [(it, owner, here), (it, owner, elsewhere)])
            {
                record.generation = first_use.into();
                let known = Known { owner_enabled, ..Known::default() };
                let expected = match (refused_as, owner_enabled, from == here) {
                    (Some(reason), ..) => reason,
                    (None, Some(false), _) => "owner_disabled",
                    (None, None, _) => "ask the gate",
                    (None, Some(true), false) => "address_not_allowed",
                    (None, Some(true), true) if first_use => {
                        "write: first use true, last use false"
                    }
                    (None, Some(true), true) => "admit",
                };
                let verdict = judged(&record, &known, from, Source::Store);
                assert_eq!(verdict, expected, "{refused_as:?} {owner_enabled:?} {from}");
                for source in [Source::Cache, Source::Memory] {
                    let remembered = judged(&record, &known, from, source);
                    let unwritten = first_use
                        && matches!(
                            expected,
                            "ask the gate" | "write: first use true, last use false"
                        );
                    let is_asked_for = refused_as == Some("idle") || unwritten;
                    let expected = if is_asked_for { "ask the store" } else { expected };
                    assert_eq!(remembered, expected, "{refused_as:?} {owner_enabled:?} {from}");
                }
            }
        }
    }

    #[test]
    fn a_secret_that_is_refused_by_what_is_remembered_is_asked_for_where_it_may_be_good_by_now() {
        let id = TokenId::from_u128(1);
        let refusals: [(Reason, Source); 6] = [
            (|_| VerifyError::Unknown, Source::Cache),
            (VerifyError::WrongPrefix, Source::Cache),
            (|_| VerifyError::WrongSecret, Source::Memory),
            (|_| VerifyError::Unpeppered, Source::Memory),
            (|_| VerifyError::UnknownKey(KeyId::new("k").unwrap()), Source::Memory),
            (VerifyError::RetiredSecret, Source::Store),
        ];
        for (reason, final_from) in refusals {
            for source in SOURCES {
                let is_settled = is_final(&reason(id), source);
                assert_eq!(is_settled, source >= final_from, "{:?} {source:?}", reason(id));
            }
        }
    }

    #[test]
    fn a_use_that_is_not_written_keeps_a_token_awake_and_is_written_where_it_is_due() {
        let mut record = record();
        record.idle_seconds = NonZeroU32::new(600);
        let known = |pending: Option<i64>| Known {
            pending_use: pending.map(at),
            slack: Duration::from_secs(60),
            owner_enabled: Some(true),
        };
        let written = "write: first use false, last use true";
        for (last_used, pending, expected) in [
            (NOW - 600, None, "idle"),
            (NOW - 600, Some(NOW - 600), "idle"),
            (NOW - 600, Some(NOW - 599), written),
            (NOW - 599, None, written),
            (NOW - 61, None, written),
            (NOW - 61, Some(NOW - 1), written),
            (NOW - 60, None, "admit"),
            // A clock that was put back.
            (NOW + 5, None, "admit"),
        ] {
            record.last_used_at = Some(at(last_used));
            let verdict = judged(&record, &known(pending), "192.0.2.7", Source::Store);
            assert_eq!(verdict, expected, "{last_used} {pending:?}");
            let remembered = judged(&record, &known(pending), "192.0.2.7", Source::Memory);
            let expected = if expected == "admit" { expected } else { "ask the store" };
            assert_eq!(remembered, expected, "{last_used} {pending:?}");
        }
        // The use is written with the mark of a first use, however late the last one was.
        (record.generation, record.last_used_at) = (1, Some(at(NOW)));
        let verdict = judged(&record, &known(None), "192.0.2.7", Source::Store);
        assert_eq!(verdict, "write: first use true, last use true");
    }

    #[test]
    fn a_secret_that_was_replaced_makes_no_first_use() {
        let mut record = record();
        record.generation = 1;
        let known = Known { owner_enabled: Some(true), ..Known::default() };
        let proven = Proven { record: record.into(), generation: 0 };
        assert_eq!(judge(&proven, &known, at(NOW), None, Source::Cache), Verdict::Admit);
    }
}
