//! What is written reads back unchanged, whatever it is.

use std::num::NonZeroU32;

use super::fixture::*;
use crate::{
    store::{Order, SortBy, TokenStore, contract::Query},
    token::{
        Abilities, Actor, AllowedAddresses, IdempotencyKey, KeyId, Metadata, Owner, Prefix,
        PreviousSecret, RateLimit, Reason, Revocation, Suspension, Timestamp, TokenDigest, TokenId,
        TokenName, TokenRecord,
    },
};

/// A token with nothing but what every token has reads back as it was written.
pub async fn a_plain_token_reads_back_as_it_was_written(store: &dyn TokenStore) {
    assert_reads_back(store, &plain(&new_owner())).await;
}

/// A token that has every field reads back as it was written: from `find`, `find` and `page`.
pub async fn every_field_reads_back_as_it_was_written(store: &dyn TokenStore) {
    let owner = new_owner();
    let record = revoked(full(&owner), at(1_800));
    assert_reads_back(store, &record).await;
    let page = store.find(&[record.id]).await.answered();
    assert_eq!(ids_on(&page), [record.id]);
    assert_same(&page.records[0], &record, "find gives every field");
    let page = owned_by(store, &owner).await;
    assert_same(&page[0], &record, "a page gives every field");
}

/// An optional field that is absent stays absent, whatever stands beside it.
pub async fn an_absent_field_stays_absent(store: &dyn TokenStore) {
    let full = revoked(full(&new_owner()), at(1_800));
    let without: [fn(&mut TokenRecord); 16] = [
        |it| it.digest = new_digest(None),
        |it| it.first_used_at = None,
        unrotate,
        |it| {
            it.expires_at = None;
            it.rare_mut().notices.clear();
        },
        |it| it.not_before = None,
        |it| it.idle_seconds = None,
        |it| it.last_used_from = None,
        |it| it.suspension = None,
        |it| it.revocation = None,
        |it| it.rare_mut().created_by = None,
        |it| it.rare_mut().parent = None,
        |it| it.rare_mut().allowed_addresses = None,
        |it| it.rare_mut().rate_limit = None,
        |it| it.rare_mut().metadata = Metadata::default(),
        |it| it.rare_mut().notices.clear(),
        |it| it.rare_mut().used_abilities.clear(),
    ];
    for remove in without {
        assert_reads_back(store, &with(&again(&full), remove)).await;
    }
    for (ends_at, ends_on_first_use) in [(None, true), (Some(at(1_200)), false)] {
        let mut bare = again(&full);
        let digest = new_digest(None);
        let previous = PreviousSecret { digest, ends_at, ends_on_first_use, may_ask_again: false };
        bare.previous = Some(Box::new(previous));
        bare.suspension = Some(Box::new(Suspension::new(at(1_600))));
        bare.revocation = Some(Box::new(Revocation::new(at(1_800))));
        assert_reads_back(store, &bare).await;
    }
}

/// Addresses keep their family: an IPv4 address, an IPv6 address, and one that is the other in disguise. So does a
/// network, one of a hundred.
pub async fn addresses_read_back_in_their_family(store: &dyn TokenStore) {
    for address in ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1"] {
        let mut record = plain(&new_owner());
        record.last_used_at = Some(at(1_500));
        record.last_used_from = address.parse().ok();
        assert!(record.last_used_from.is_some());
        assert_reads_back(store, &record).await;
    }
    let mut record = plain(&new_owner());
    let many = (0..99).map(|i| format!("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ff{i:02}/128"));
    let networks: Vec<_> = many.chain(["::ffff:192.0.2.0/120".to_owned()]).collect();
    record.rare_mut().allowed_addresses = AllowedAddresses::new(networks).ok();
    assert!(record.allowed_addresses().is_some());
    assert_reads_back(store, &record).await;
}

/// Instants read back from the year 1 to the year 9999.
pub async fn instants_read_back_at_both_ends_of_the_calendar(store: &dyn TokenStore) {
    for instant in [Timestamp::MIN, at(-1), at(0), at(i64::from(u32::MAX) + 1), Timestamp::MAX] {
        let mut record = full(&new_owner());
        record.created_at = instant;
        record.first_used_at = Some(instant);
        record.expires_at = Some(instant);
        record.not_before = Some(instant);
        record.last_used_at = Some(instant);
        record.previous = Some(Box::new(PreviousSecret::until(new_digest(None), instant)));
        record.suspension =
            Some(Box::new(Suspension { until: Some(instant), ..Suspension::new(instant) }));
        record.revocation = Some(Box::new(Revocation::new(instant)));
        assert_reads_back(store, &record).await;
    }
}

/// Numbers read back from the least to the greatest.
pub async fn numbers_read_back_at_their_ends(store: &dyn TokenStore) {
    for number in [1, u32::MAX] {
        let mut record = full(&new_owner());
        record.generation = number;
        record.idle_seconds = NonZeroU32::new(number);
        let period = time::Duration::seconds(number.into());
        record.rare_mut().rate_limit = RateLimit::new(number, period).ok();
        record.rare_mut().notices = [0, u16::MAX].into();
        assert_reads_back(store, &record).await;
    }
}

/// Ids and digests read back whatever their bytes: zeros at either end, bytes that are no text.
pub async fn bytes_read_back_whatever_they_are(store: &dyn TokenStore) {
    let unique = new_id().as_u128();
    for number in [unique >> 64, unique << 64, unique | u128::MAX << 64, unique | u128::MAX >> 64] {
        for byte in [0, b'\'', 0x80, 0xFF] {
            let mut record = plain(&new_owner());
            record.id = TokenId::from_u128(number ^ u128::from(byte) << 56);
            record.digest = TokenDigest::from_bytes([byte; 32], None);
            assert_reads_back(store, &record).await;
        }
    }
}

/// No ability, all, one branch and a hundred long ones read back, in the order given. So do those that were used.
pub async fn abilities_read_back(store: &dyn TokenStore) {
    let long = (0..100).rev().map(|i| format!("{i:0>98}:*"));
    for abilities in [Ok(Abilities::none()), Ok(Abilities::all()), Abilities::set(long)] {
        let mut record = plain(&new_owner());
        record.abilities = abilities.expect("good abilities");
        let used = record.abilities.as_set().unwrap_or_default().to_vec();
        record.rare_mut().used_abilities.extend(used);
        assert_reads_back(store, &record).await;
    }
}

/// Metadata reads back as the same JSON: numbers with their digits, hostile keys, all of 4 KiB.
pub async fn metadata_reads_back_as_the_same_json(store: &dyn TokenStore) {
    let longest = format!(r#"{{"k":"{}"}}"#, "x".repeat(4_096 - 8));
    for json in [
        r#"{"":null,"__proto__":{"constructor":[[],{}]},"a":1.0,"b":1e300,"c":-0.0}"#,
        r#"{"large":18446744073709551615,"small":-9223372036854775808,"half":0.5}"#,
        r#"{"\u0000":"\u0000\r\n\u001b","é":"e\u0301","quote":"\"'\\"}"#,
        &longest,
    ] {
        let mut record = plain(&new_owner());
        record.rare_mut().metadata = metadata(json);
        assert_reads_back(store, &record).await;
    }
}

/// Texts that were chosen to do harm read back unchanged: as owners, names, actors, reasons and keys.
pub async fn hostile_texts_read_back_unchanged(store: &dyn TokenStore) {
    for text in hostile_texts() {
        let mut record = full(&new_owner());
        if let Ok(name) = TokenName::new(&text) {
            record.name = name;
        }
        if let Ok(prefix) = Prefix::new(&text) {
            record.prefix = prefix;
        }
        if let Ok(key) = KeyId::new(&text) {
            record.digest = new_digest(Some(&key));
        }
        // Beside an id, a text that somebody else's token may have becomes one that no other has.
        let unique = format!("{text}{}", new_id());
        if let Ok(owner) = Owner::new(&unique) {
            record.owner = owner;
        }
        let mut revocation = Revocation::new(at(1_800));
        revocation.by = Actor::new(&text).ok();
        revocation.reason = Reason::new(&text).ok();
        record.suspension = Some(Box::new(Suspension {
            reason: Reason::new(&text).ok(),
            ..Suspension::new(at(1))
        }));
        record.revocation = Some(Box::new(revocation));
        let rare = record.rare_mut();
        rare.created_by = Actor::new(&text).ok();
        rare.idempotency_key = IdempotencyKey::new(&text).ok();
        rare.metadata =
            Metadata::new(&serde_json::json!({ text.clone(): text })).unwrap_or_default();
        assert_reads_back(store, &record).await;

        let page = store.list(&query(&record.owner, Order::by(SortBy::Name))).await.answered();
        assert_eq!(ids_on(&page), [record.id], "an owner with the text {text:?} has his token");
        let after = Some(Order::by(SortBy::Name).position(&record));
        let rest = Query { after, ..query(&record.owner, Order::by(SortBy::Name)) };
        assert_eq!(ids_on(&store.list(&rest).await.answered()), [], "after {text:?} comes nothing");
        let erased = erase(store, &record.owner).await;
        assert_eq!(erased, [record.id], "an owner with the text {text:?} can be erased");
    }
}

/// Those of them that are no value at all are refused long before a store sees them.
fn hostile_texts() -> Vec<String> {
    let short = [
        "-",
        "%",
        "_",
        "*",
        "?",
        "$1",
        ":a",
        "\\",
        "\\'",
        "\"",
        "'; DROP TABLE keyfob_tokens; --",
        "'||(SELECT 1)||'",
        "%00",
        "../../etc/passwd",
        "=cmd()",
        "@SUM(1)",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${7*7}",
        "__proto__",
        "null",
        "NULL",
        "true",
        "0",
        "00",
        "1e3",
        "{}",
        "[]",
        "é",
        "e\u{301}",
        "\u{FEFF}bom",
        "a\u{200D}b",
        "\u{1F469}\u{200D}\u{1F4BB}",
        "\u{202E}abc",
        "\u{FFFD}",
        "\u{FFFF}",
        "\u{10FFFF}",
        "x'00'",
        " padded ",
        "İıſK",
    ];
    let marks = format!("a{}", "\u{301}".repeat(99));
    let long = ["x".repeat(32), "x".repeat(100), "x".repeat(233), "x".repeat(255), marks];
    let wide = ["\u{1F511}".repeat(8), "\u{1F511}".repeat(58), "\u{1F511}".repeat(100)];
    short.map(str::to_owned).into_iter().chain(long).chain(wide).collect()
}

/// The same token with an id and an idempotency key of its own.
fn again(record: &TokenRecord) -> TokenRecord {
    with(record, |it| {
        it.id = new_id();
        it.rare_mut().idempotency_key = Some(new_idempotency_key());
    })
}

async fn assert_reads_back(store: &dyn TokenStore, record: &TokenRecord) {
    insert(store, record).await;
    assert_stored(store, record, "a token reads back as it was written").await;
}
