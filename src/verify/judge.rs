//! Is a token good? One pure function decides, by what is in memory and by what the store answers alike.

use std::{net::IpAddr, time::Duration};

use crate::{
    lookups::Source,
    token::{Timestamp, TokenRecord, TokenState},
};

use super::{VerifyError, proof::Proven};

/// What becomes of a claim.
pub(super) enum Verdict {
    /// It is good.
    Admit(Proven),
    /// It is good once something is written.
    WriteFirst(Proven, Due),
    /// That depends on the owner, of whom the gate has to be asked.
    AskOwnerGate(Proven),
    /// That depends on what is stored: the store has to be asked, or a memory that is as good as this.
    AskStore(Source),
    /// It is refused.
    Refuse(VerifyError),
}

/// What has to be written before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The mark of the first use of a secret that a rotation made. Without it there is no pass.
    pub(super) first_use: bool,
    /// The use, so that nobody takes the token for idle.
    pub(super) last_use: bool,
}

/// What a node knows of a token beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The latest use that is noted and not yet written. It counts only for a token that can be idle.
    pub(super) pending_use: Option<Timestamp>,
    /// By how much the last use that is stored may be earlier than the latest one, for a token that can be idle.
    pub(super) slack: Duration,
    /// Whether the owner may use tokens; `None` where the gate has to be asked.
    pub(super) owner_enabled: Option<bool>,
}

/// Judges a claim. The order is: secret, state, owner, address, and last what has to be written.
///
/// What is in memory may be outdated. Nothing is written because of it, and some refusals are not final: see
/// [`refuse`].
#[inline]
pub(super) fn judge(
    proof: Result<Proven, VerifyError>,
    known: &Known,
    now: Timestamp,
    from: Option<IpAddr>,
    source: Source,
) -> Verdict {
    let proven = match proof {
        Ok(proven) => proven,
        Err(reason) => return refuse(reason, source),
    };
    let record = &*proven.record;
    if let Err(reason) = judge_state(record, known.pending_use, now) {
        return refuse(reason, source);
    }
    let due = due(&proven, known, now);
    let is_outdated = due.is_some() && source < Source::Store;
    match known.owner_enabled {
        Some(true) => {}
        Some(false) => return Verdict::Refuse(VerifyError::OwnerDisabled(record.id)),
        // The gate is asked once.
        None if is_outdated => return Verdict::AskStore(Source::Store),
        None => return Verdict::AskOwnerGate(proven),
    }
    let allowed = record.allowed_addresses();
    if allowed.is_some_and(|allowed| !from.is_some_and(|from| allowed.contain(from))) {
        return Verdict::Refuse(VerifyError::AddressNotAllowed(record.id));
    }
    match due {
        None => Verdict::Admit(proven),
        Some(_) if is_outdated => Verdict::AskStore(Source::Store),
        Some(due) => Verdict::WriteFirst(proven, due),
    }
}

/// A refusal, unless the store has to confirm it.
///
/// ```text
/// refused as                                   final where the record is
/// idle, a replaced secret                      asked for now: uses are written late, and a replaced secret is reported
/// wrong secret, unpeppered, unknown key        not from a cache: it may have another secret or key by now
/// all else                                     from anywhere
/// ```
#[cold]
fn refuse(reason: VerifyError, source: Source) -> Verdict {
    let final_from = match reason {
        VerifyError::Idle(_) | VerifyError::RetiredSecret(_) => Source::Store,
        VerifyError::WrongSecret | VerifyError::Unpeppered | VerifyError::UnknownKey(_) => {
            Source::Memory
        }
        _ => Source::Cache,
    };
    if source < final_from { Verdict::AskStore(Source::Store) } else { Verdict::Refuse(reason) }
}

/// Is the token good at this instant?
#[inline]
fn judge_state(
    record: &TokenRecord,
    pending_use: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), VerifyError> {
    match record.state_at(now) {
        TokenState::Active => Ok(()),
        TokenState::Idle if pending_use.is_some_and(|at| record.is_awake_by(at, now)) => Ok(()),
        TokenState::Idle => Err(VerifyError::Idle(record.id)),
        TokenState::Revoked => Err(VerifyError::Revoked(record.id)),
        TokenState::Expired => Err(VerifyError::Expired(record.id)),
        TokenState::Suspended => Err(VerifyError::Suspended(record.id)),
        TokenState::NotYetValid => Err(VerifyError::NotYetValid(record.id)),
    }
}

/// What has to be written before the answer, if anything.
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
    use std::{num::NonZeroU32, sync::Arc};

    use super::*;
    use crate::token::{
        AllowedAddresses, KeyId, Owner, Prefix, Revocation, Suspension, TokenDigest, TokenId,
        TokenName,
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
        let proven = Proven { record: Arc::new(record.clone()), generation };
        told(judge(Ok(proven), known, at(NOW), Some(from.parse().unwrap()), source))
    }

    fn told(verdict: Verdict) -> String {
        match verdict {
            Verdict::Admit(_) => "admit".into(),
            Verdict::WriteFirst(_, Due { first_use, last_use }) => {
                format!("write: first use {first_use}, last use {last_use}")
            }
            Verdict::AskOwnerGate(_) => "ask the gate".into(),
            Verdict::AskStore(_) => "ask the store".into(),
            Verdict::Refuse(reason) => reason.code().into(),
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
                let verdict = judge(Err(reason(id)), &Known::default(), at(NOW), None, source);
                let code = reason(id).code();
                let expected = if source < final_from { "ask the store" } else { code };
                assert_eq!(told(verdict), expected, "{source:?}");
            }
        }
    }

    #[test]
    fn a_use_that_is_not_written_keeps_a_token_awake_and_is_written_where_it_is_due() {
        let mut record = record();
        record.idle_seconds = NonZeroU32::new(600);
        let known = |pending: Option<i64>| Known {
            pending_use: pending.map(at),
            slack: Duration::from_mins(1),
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
        let proven = Proven { record: Arc::new(record), generation: 0 };
        assert_eq!(told(judge(Ok(proven), &known, at(NOW), None, Source::Cache)), "admit");
    }
}
