use serde_json::Value;

use super::*;
use crate::{
    store::contract::{SharedRecord, StoredRow},
    token::{
        Abilities, AllowedAddresses, KeyId, Metadata, Owner, Prefix, PreviousSecret, RateLimit,
        Revocation, Suspension, Timestamp, TokenDigest, TokenId, TokenName, TokenRecord,
    },
};

const NOW: i64 = 2_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn name(text: &str) -> TokenName {
    TokenName::new(text).unwrap()
}

fn digest(byte: u8, key: Option<&str>) -> TokenDigest {
    TokenDigest::from_bytes([byte; 32], key.map(|key| KeyId::new(key).unwrap()))
}

type Alter = fn(&mut TokenRecord);

/// A token with every field that a patch can change.
fn record() -> TokenRecord {
    let (prefix, owner) = (Prefix::new("acme").unwrap(), Owner::new("user:42").unwrap());
    let id = TokenId::from_u128(1);
    let mut record =
        TokenRecord::new(id, prefix, owner, name("ci"), digest(1, Some("now")), at(1_000));
    record.generation = 1;
    record.rotated_at = Some(at(1_100));
    record.previous = Some(Box::new(PreviousSecret::until(digest(2, Some("before")), at(1_200))));
    record.abilities = Abilities::set(["servers:read"]).unwrap();
    record.expires_at = Some(at(9_000));
    record.not_before = Some(at(1_000));
    record.idle_seconds = std::num::NonZeroU32::new(60);
    let until = Some(at(1_700));
    record.suspension = Some(Box::new(Suspension { until, ..Suspension::new(at(1_600)) }));
    let rare = record.rare_mut();
    rare.notices = [7].into();
    rare.metadata = Metadata::from_json(r#"{"a":1}"#).unwrap();
    rare.rate_limit = RateLimit::new(1, time::Duration::MINUTE).ok();
    rare.allowed_addresses = AllowedAddresses::new(["192.0.2.0/24"]).ok();
    record
}

fn change(change: Change) -> Patch {
    let rules = InsertRules::at(at(NOW));
    Patch::Change { expected_expiry: record().expires_at, change, rules }
}

fn rotation() -> Rotation {
    Rotation {
        digest: digest(3, None),
        generation: 2,
        at: at(NOW),
        previous: Some(PreviousSecret {
            digest: digest(1, None),
            ends_at: Some(at(6_000)),
            ends_on_first_use: true,
            may_ask_again: true,
        }),
        expires_at: Some(at(9_000)),
    }
}

fn rotate(rotation: Rotation) -> Patch {
    let (expected, rules) = (Expected::of(&record()), InsertRules::at(at(NOW)));
    Patch::Rotate { expected, rotation, rules }
}

fn rekey(expected: TokenDigest) -> Patch {
    Patch::Rekey { expected, digest: digest(4, Some("next")) }
}

fn notice(days: u16) -> Patch {
    Patch::Notice { expected_expiry: at(9_000), days }
}

/// Every patch, with the columns that it changes of [`record`].
fn table() -> Vec<(Patch, &'static [&'static str])> {
    let none = Change::default;
    let first_use = Patch::FirstUse { expected: digest(1, Some("now")), at: at(NOW) };
    let suspension = Suspension { until: Some(at(3_000)), ..Suspension::new(at(NOW)) };
    let whole_rotation: &[_] = &[
        "digest",
        "digest_key",
        "generation",
        "previous_digest",
        "previous_digest_key",
        "previous_ends_at",
        "previous_ends_on_first_use",
        "previous_may_ask_again",
        "rotated_at",
    ];
    vec![
        (change(none()), &[]),
        (change(Change { name: Some(name("new")), ..none() }), &["name"]),
        (change(Change { abilities: Some(Abilities::none()), ..none() }), &["abilities"]),
        (change(Change { expires_at: Some(Some(at(9_000))), ..none() }), &[]),
        (
            change(Change { expires_at: Some(Some(at(8_000))), ..none() }),
            &["expires_at", "notices"],
        ),
        (change(Change { expires_at: Some(None), ..none() }), &["expires_at", "notices"]),
        (change(Change { not_before: Some(None), ..none() }), &["not_before"]),
        (change(Change { idle_seconds: Some(None), ..none() }), &["idle_seconds"]),
        (change(Change { metadata: Some(Metadata::default()), ..none() }), &["metadata"]),
        (
            change(Change { rate_limit: Some(None), ..none() }),
            &["rate_limit_requests", "rate_limit_seconds"],
        ),
        (change(Change { allowed_addresses: Some(None), ..none() }), &["allowed_addresses"]),
        (rotate(rotation()), whole_rotation),
        (first_use, &["first_used_at"]),
        (rekey(digest(1, Some("now"))), &["digest", "digest_key"]),
        (rekey(digest(2, Some("before"))), &["previous_digest", "previous_digest_key"]),
        (Patch::Suspend(suspension), &["suspended_since", "suspended_until"]),
        (Patch::Resume { at: at(1_650) }, &["suspended_until"]),
        (Patch::Resume { at: at(1_700) }, &[]),
        (notice(14), &["notices"]),
    ]
}

/// The names of the columns in which two records differ, in order.
fn differing(one: &TokenRecord, other: &TokenRecord) -> Vec<String> {
    let columns = |record| serde_json::to_value(StoredRow::from(record)).unwrap();
    let (one, other) = (columns(one), columns(other));
    let Value::Object(one) = one else { panic!("a row is an object") };
    let mut names: Vec<_> =
        one.into_iter().filter(|(name, value)| other[name] != *value).map(|it| it.0).collect();
    names.sort();
    names
}

fn apply(patch: &Patch, record: &TokenRecord) -> Result<TokenRecord, PatchError> {
    let mut after = record.clone();
    let applied = patch.apply(&mut after, &Siblings::default());
    if applied.is_err() {
        assert_eq!(after, *record, "a patch that is refused changes nothing: {patch:?}");
    }
    applied.map(|()| after)
}

#[test]
fn a_patch_changes_its_columns_and_no_other() {
    let before = record();
    for (patch, columns) in table() {
        let after = apply(&patch, &before).unwrap_or_else(|error| panic!("{error}: {patch:?}"));
        let mut columns = [columns, &["version"]].concat();
        columns.sort_unstable();
        assert_eq!(differing(&before, &after), columns, "{patch:?}");
    }
}

#[test]
fn no_patch_applies_to_a_revoked_token() {
    let mut revoked = record();
    revoked.revocation = Some(Box::new(Revocation::new(at(1))));
    for (patch, _) in table() {
        assert_eq!(apply(&patch, &revoked), Err(PatchError::Revoked), "{patch:?}");
    }
}

#[test]
fn a_patch_is_refused_from_the_second_of_the_expiry_on() {
    for (patch, _) in table() {
        for (end, is_expired) in [(NOW - 1, true), (NOW, true), (NOW + 1, false)] {
            let mut record = record();
            record.expires_at = Some(at(end));
            let mut patch = patch.clone();
            match &mut patch {
                Patch::IfVersion { .. } => unreachable!("the table has none"),
                Patch::Change { expected_expiry, .. } => *expected_expiry = record.expires_at,
                Patch::Rotate { expected, .. } => expected.expires_at = record.expires_at,
                Patch::Resume { at: end } => *end = at(NOW),
                // They carry no instant, and are of no use to an expired token.
                Patch::Notice { .. } | Patch::Rekey { .. } => continue,
                Patch::FirstUse { .. } | Patch::Suspend(_) => {}
            }
            let expired = apply(&patch, &record) == Err(PatchError::Expired);
            assert_eq!(expired, is_expired, "{end}: {patch:?}");
        }
    }
}

#[test]
fn a_patch_expects_what_its_caller_has_read() {
    let changed: [(&str, Alter); 9] = [
        ("digest", |it| it.digest = digest(9, Some("now"))),
        ("digest", |it| it.digest = digest(1, None)),
        ("generation", |it| it.generation = 2),
        ("first_used_at", |it| it.first_used_at = Some(at(1_500))),
        ("expires_at", |it| it.expires_at = Some(at(9_001))),
        ("expires_at", |it| it.expires_at = None),
        ("previous_digest", |it| it.previous.as_mut().unwrap().digest = digest(9, None)),
        ("notices", |it| it.rare_mut().notices = [14].into()),
        ("name", |it| it.name = name("other")),
    ];
    for (patch, _) in table() {
        let expects: &[&str] = match &patch {
            Patch::Change { .. } => &["expires_at"],
            Patch::Rotate { .. } => &["digest", "generation", "first_used_at", "expires_at"],
            Patch::FirstUse { .. } => &["digest", "first_used_at"],
            Patch::Rekey { expected, .. } if *expected == record().digest => &["digest"],
            Patch::Rekey { .. } => &["previous_digest"],
            Patch::Suspend(_) | Patch::Resume { .. } => &[],
            Patch::Notice { .. } => &["expires_at", "notices"],
            Patch::IfVersion { .. } => unreachable!("the table has none"),
        };
        for (column, change) in changed {
            let mut record = record();
            change(&mut record);
            let outdated = apply(&patch, &record) == Err(PatchError::Outdated);
            assert_eq!(outdated, expects.contains(&column), "{column}: {patch:?}");
        }
    }
}

#[test]
fn a_patch_goes_by_a_version_where_it_names_one() {
    for (patch, _) in table() {
        let mut record = record();
        record.version = 3;
        let applied = apply(&patch, &record);
        for (expected, applies) in
            [(None, true), (Some(3), true), (Some(2), false), (Some(4), false)]
        {
            let conditional = patch.clone().if_version(expected);
            let expected = if applies { applied.clone() } else { Err(PatchError::Outdated) };
            assert_eq!(apply(&conditional, &record), expected, "{conditional:?}");
            assert_eq!(conditional.rules(), patch.rules());
            assert_eq!(conditional.name(), patch.name());
            assert_eq!(conditional.publishes(), patch.publishes());
            assert_eq!(conditional.code(), patch.code());
        }
    }
}

#[test]
fn resuming_a_token_that_was_never_suspended_leaves_it_as_it_is() {
    let mut record = record();
    record.suspension = None;
    let mut resumed = apply(&Patch::Resume { at: at(NOW) }, &record).unwrap();
    assert_eq!(resumed.version, 1);
    resumed.version = 0;
    assert_eq!(resumed, record);
}

#[test]
fn a_suspension_ends_once() {
    for (until, ends) in [(None, 5_000), (Some(5_001), 5_000), (Some(4_999), 4_999)] {
        let mut record = record();
        let until = until.map(at);
        record.suspension = Some(Box::new(Suspension { until, ..Suspension::new(at(1_600)) }));
        let resumed = apply(&Patch::Resume { at: at(5_000) }, &record).unwrap();
        assert_eq!(resumed.suspension.unwrap().until, Some(at(ends)));
    }
}

/// {no name, a name} × {no expiry, the same, an earlier, a later, none} × {no rules, unique, limit, both} ×
/// {name free, taken} × {under the limit, at it}.
#[test]
fn rules_decide_a_new_name_and_a_later_expiry_and_nothing_else() {
    let expiries = [None, Some(Some(9_000)), Some(Some(8_999)), Some(Some(9_001)), Some(None)];
    let names = [None, Some(name("new"))];
    let mut refused = [0; 3];
    for bits in 0..16_u32 {
        let bit = |number: u32| bits & 1 << number != 0;
        let (unique_name, limit, name_taken) = (bit(0), bit(1).then_some(3), bit(2));
        let living = if bit(3) { 3 } else { 2 };
        let rules = InsertRules { at: at(NOW), unique_name, limit_per_owner: limit };
        for (name, expires_at) in
            names.iter().flat_map(|name| expiries.map(|expiry| (name.clone(), expiry)))
        {
            let renames = name.is_some();
            let extends = matches!(expires_at, Some(None | Some(9_001)));
            let expires_at = expires_at.map(|it| it.map(at));
            let expected = if unique_name && name_taken && (renames || extends) {
                Err(RuleError::NameTaken)
            } else if limit.is_some() && living == 3 && extends {
                Err(RuleError::LimitReached)
            } else {
                Ok(())
            };
            let place = [Ok(()), Err(RuleError::NameTaken), Err(RuleError::LimitReached)];
            refused[place.iter().position(|it| *it == expected).unwrap()] += 1;

            let change = Change { name, expires_at, ..Change::default() };
            let patch = Patch::Change { expected_expiry: Some(at(9_000)), change, rules };
            let asks = unique_name && (renames || extends) || limit.is_some() && extends;
            assert_eq!(patch.rules().is_some(), asks, "{patch:?}");
            let siblings = Siblings { name_taken, living };
            let applied = patch.apply(&mut record(), &siblings);
            assert_eq!(applied, expected.map_err(PatchError::Rules), "{siblings:?} {patch:?}");

            let (false, Some(expires_at)) = (renames, expires_at) else { continue };
            let rotation = Rotation { expires_at, ..rotation() };
            let patch = Patch::Rotate { expected: Expected::of(&record()), rotation, rules };
            let applied = patch.apply(&mut record(), &siblings);
            assert_eq!(applied, expected.map_err(PatchError::Rules), "{siblings:?} {patch:?}");
        }
    }
    assert!(refused.iter().all(|times| *times > 0), "each outcome was met: {refused:?}");
}

/// An owner's tokens: the third part says whether the token is living at [`NOW`].
fn others() -> Vec<(&'static str, TokenRecord, bool)> {
    let kinds: [(&'static str, Alter, bool); 7] = [
        ("plain", |it| it.expires_at = None, true),
        ("expiring", |it| it.expires_at = Some(at(NOW + 1)), true),
        ("suspended", |it| it.suspension = Some(Box::new(Suspension::new(at(1)))), true),
        ("early", |it| it.not_before = Some(at(8_000)), true),
        ("idle", |it| it.idle_seconds = std::num::NonZeroU32::new(1), true),
        ("expired", |it| it.expires_at = Some(at(NOW)), false),
        ("revoked", |it| it.revocation = Some(Box::new(Revocation::new(at(1)))), false),
    ];
    let mut others = Vec::new();
    for (number, (text, kind, is_living)) in (10..).zip(kinds) {
        let mut other = record();
        (other.id, other.name) = (TokenId::from_u128(number), name(text));
        kind(&mut other);
        others.push((text, other, is_living));
    }
    others
}

#[test]
fn siblings_are_the_other_living_tokens_of_the_owner() {
    let rules = InsertRules { at: at(NOW), unique_name: true, limit_per_owner: Some(9) };
    let mut foreign = record();
    (foreign.id, foreign.owner) = (TokenId::from_u128(2), Owner::new("user:43").unwrap());
    foreign.name = name("foreign");
    for (text, other, is_living) in others() {
        for wanted in [text, "foreign", "ci", "free"] {
            let change = Change { name: Some(name(wanted)), ..Change::default() };
            let patch = Patch::Change { expected_expiry: record().expires_at, change, rules };
            let all = [record(), foreign.clone(), other.clone()].map(SharedRecord::from);
            let siblings = patch.siblings(&record(), all);
            let name_taken = is_living && wanted == text;
            assert_eq!(siblings, Siblings { name_taken, living: is_living.into() }, "{text}");
        }
    }
    let none = change(Change { name: Some(name("plain")), ..Change::default() });
    let all = others().into_iter().map(|it| it.1.into());
    assert_eq!(none.siblings(&record(), all), Siblings::default(), "no rules ask for them");
}

#[test]
fn an_insert_is_decided_by_the_living_tokens_of_its_owner() {
    let decide = |unique_name, limit_per_owner, record: &TokenRecord| {
        let rules = InsertRules { at: at(NOW), unique_name, limit_per_owner };
        rules.decide(record, others().into_iter().map(|it| it.1.into()))
    };
    let mut new = record();
    for (text, _, is_living) in others() {
        new.name = name(text);
        let expected = if is_living { InsertOutcome::NameTaken } else { InsertOutcome::Inserted };
        assert_eq!(decide(true, None, &new), expected, "{text}");
        assert_eq!(decide(false, None, &new), InsertOutcome::Inserted, "{text}");
    }
    new.name = name("free");
    for (limit, expected) in [(4, InsertOutcome::LimitReached), (5, InsertOutcome::LimitReached)]
        .into_iter()
        .chain([(6, InsertOutcome::Inserted)])
    {
        assert_eq!(decide(true, Some(limit), &new), expected, "five are living");
    }
    new.owner = Owner::new("user:43").unwrap();
    new.name = name("plain");
    assert_eq!(decide(true, Some(1), &new), InsertOutcome::Inserted, "another owner's");
}

#[test]
fn an_idempotency_key_comes_before_the_rules_and_counts_ended_tokens() {
    let key = crate::token::IdempotencyKey::new("once").unwrap();
    let mut new = record();
    new.rare_mut().idempotency_key = Some(key.clone());
    for (text, mut other, _) in others() {
        other.rare_mut().idempotency_key = Some(key.clone());
        let issued = InsertOutcome::AlreadyIssued(other.id);
        for rules in
            [InsertRules::none(), InsertRules { limit_per_owner: Some(0), ..InsertRules::none() }]
        {
            assert_eq!(rules.decide(&new, [other.clone().into()]), issued, "{text}");
        }
        other.owner = Owner::new("user:43").unwrap();
        let outcome = InsertRules::none().decide(&new, [other.into()]);
        assert_eq!(outcome, InsertOutcome::Inserted, "a key is its owner's");
    }
}

#[test]
fn other_nodes_hear_of_all_that_a_verification_depends_on() {
    for (patch, _) in table() {
        let is_silent = matches!(patch.code(), "rekey" | "notice");
        assert_eq!(patch.publishes(), !is_silent, "{patch:?}");
    }
}
