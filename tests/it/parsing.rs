//! Parsing: nothing panics, nothing but an issued token is accepted, and what was issued once parses for ever.

use std::collections::{BTreeMap, HashSet};

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, NewToken, TokenId, VerifyError,
    store::MemoryStore,
    time::ManualClock,
    token::{Prefix, TokenFormat},
};
use proptest::prelude::*;
use time::{OffsetDateTime, macros::datetime};

use crate::support::{Fixed, Random, World, checked, owner};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const INPUTS: usize = 1_000_000;

/// Where a run of random inputs begins. A failure names it; `KEYFOB_SEED` runs it again.
fn seed() -> u64 {
    std::env::var("KEYFOB_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_131)
}

fn digits(random: &mut Random, text: &mut String, count: usize) {
    text.extend((0..count).map(|_| char::from(random.pick(ALPHABET))));
}

/// Writes the next input into `text`, mostly something that is nearly a token.
pub fn mutate(random: &mut Random, issued: &[String], text: &mut String) {
    text.clear();
    let kind = random.below(16);
    if kind < 11 {
        text.push_str(&issued[random.below(issued.len())]);
    }
    let place = random.below(text.len().max(1));
    let character = char::from(random.pick(b" !-./:=@[`{~\0\n\x7f_0Az"));
    match kind {
        0 => {
            text.replace_range(
                place..=place,
                char::from(random.pick(ALPHABET)).encode_utf8(&mut [0; 4]),
            );
        }
        1 => text.replace_range(place..=place, character.encode_utf8(&mut [0; 4])),
        2 => text.insert(place, character),
        3 => drop(text.remove(place)),
        4 => {
            let moved = text.remove(place);
            text.insert(random.below(text.len()), moved);
        }
        5 => {
            let character = &text[place..=place];
            let (upper, lower) = (character.to_ascii_uppercase(), character.to_ascii_lowercase());
            let other = if lower == character { upper } else { lower };
            text.replace_range(place..=place, &other);
        }
        6 => text.truncate(place),
        7 => text.extend((0..=random.below(100)).map(|_| character)),
        8 => text
            .replace_range(place..=place, random.pick(&["é", "\u{202E}", "０", "💥", "\u{301}"])),
        9 => {
            let tail = text.split_off(text.len() - 73);
            text.clear();
            text.push_str(random.pick(&[
                "",
                "acm",
                "acmes",
                "ACME",
                "acme_",
                "old",
                "new",
                "acme_test",
            ]));
            text.push_str(&tail);
        }
        10 => {
            let other = &issued[random.below(issued.len())];
            text.truncate(place);
            text.push_str(other.get(place..).unwrap_or_default());
        }
        11 => {
            let bytes: Vec<_> =
                (0..random.below(120)).map(|_| random.next().to_le_bytes()[0]).collect();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        12 => {
            let count = random.below(2_000);
            digits(random, text, count);
        }
        // The checksum is right, and nothing else need be.
        13 => {
            text.push_str("acme_");
            let ids =
                ["zzzzzzzzzzzzzzzzzzzzzz", "7n42DGM5Tflk9n8mt7Fhc8", "7n42DGM5Tflk9n8mt7Fhc7"];
            text.push_str(random.pick(&ids));
            text.push('_');
            digits(random, text, 43);
            *text = checked(text);
        }
        14 => {
            text.push_str(random.pick(&["acme_", "old_"]));
            digits(random, text, 22);
            text.push(random.pick(&['_', '_', '_', '-']));
            digits(random, text, 43);
            *text = checked(text);
        }
        _ => {
            let (one, other) = (random.below(issued.len()), random.below(issued.len()));
            text.push_str(&issued[one][..28]);
            text.push_str(&issued[other][28..71]);
            *text = checked(text);
        }
    }
}

#[tokio::test]
async fn a_million_inputs_are_refused_without_a_panic_and_most_without_the_store() {
    let world = World::memory().await;
    let tokens = world.builder().accept_prefix("old").build().unwrap();
    let mut issued = Vec::new();
    for _ in 0..64 {
        let token = tokens.issue(world.new_token("a")).await.unwrap();
        issued.push(token.plain.expose_secret().to_owned());
    }
    let known: HashSet<_> = issued.iter().cloned().collect();
    world.store.take_calls();

    let (mut random, mut text) = (Random(seed()), String::new());
    let (mut asked, mut reasons) = (0, BTreeMap::<_, usize>::new());
    for number in 0..INPUTS {
        mutate(&mut random, &issued, &mut text);
        let outcome = tokens.verify(&text).now_or_never();
        let outcome = outcome.expect("a store in memory answers at once");
        assert_eq!(
            outcome.is_ok(),
            known.contains(&text),
            "input {number} of seed {}: {text:?} is {outcome:?}",
            seed()
        );
        asked += usize::from(!matches!(outcome, Err(VerifyError::Malformed(_))));
        *reasons.entry(outcome.map_or_else(|error| error.code(), |_| "good")).or_default() += 1;
        if number % 10_000 == 0 {
            world.events.take();
        }
    }
    assert_eq!(world.store.take_calls().len(), asked, "what is malformed never reaches the store");
    for reason in ["good", "malformed", "unknown", "wrong_secret"] {
        assert!(reasons.get(reason) > Some(&1_000), "{reasons:?}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[0-9A-Za-z]{22}_[0-9A-Za-z]{49}",
        2 => "[0-9A-Za-z_]{60,80}",
        1 => "\\PC{0,90}",
        1 => prop::collection::vec(any::<char>(), 0..90).prop_map(String::from_iter),
    ];
    (prop::sample::select(vec!["acme_", "old_", "acme_test_", "", "acme"]), part)
        .prop_map(|(prefix, part)| format!("{prefix}{part}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_parses_is_written_as_it_was_read(text in texts(), with_checksum in any::<bool>()) {
        let format = TokenFormat::new(Prefix::new("acme").unwrap());
        let format = format.accept(Prefix::new("old").unwrap()).unwrap();
        let format = format.accept(Prefix::new("acme_test").unwrap()).unwrap();
        let cut = text.char_indices().rev().nth(5).map_or(0, |(place, _)| place);
        let text = if with_checksum { checked(&text[..cut]) } else { text };
        if let Ok(token) = format.parse(&text) {
            let begin = format!("{}_{}_", token.prefix(), token.id());
            prop_assert!(text.starts_with(&begin));
            prop_assert_eq!(text.len(), begin.len() + 49);
            prop_assert_eq!(&checked(&text[..text.len() - 6]), &text);
        }
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one(number in any::<u128>(), text in "\\PC{0,24}") {
        let id = TokenId::from_u128(number);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        if let Ok(id) = text.parse::<TokenId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

struct Golden {
    prefix: &'static str,
    issued_at: OffsetDateTime,
    bytes: fn(u8) -> u8,
    text: &'static str,
    digest: &'static str,
}

/// Tokens like these are in people's hands: they must be made, parse and verify just so for ever. A test that fails
/// here is right.
const GOLDEN: [Golden; 3] = [
    Golden {
        prefix: "acme",
        issued_at: datetime!(2026-01-31 08:00 UTC),
        bytes: |place| place + 1,
        text: "acme_032JkYGUWrhjPhs0gEK9ak_2cPkOWUkrUb4EZzajfasC13e5zNIwyMtKOLBq78h99G1fwqpR",
        digest: "283a9d7dc6d4cf2905c9aa926b91768be652b550310fc138ce94631957deacd2",
    },
    Golden {
        prefix: "acme",
        issued_at: datetime!(1970-01-01 00:00 UTC),
        bytes: |place| if place == 41 { 0xFE } else { 0xFF },
        text: "acme_000000002dwiwnKDyKjCPf_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp0452EZD",
        digest: "00d2779310654421000106e59bf924782ff373e2e79415a443227ff294a19b3a",
    },
    Golden {
        prefix: "acme",
        issued_at: datetime!(9999-12-31 23:59:59 UTC),
        bytes: |place| u8::from(place == 41),
        text: "acme_70szasUQpMZAiGIBOB8DuC_000000000000000000000000000000000000000000123tJzO",
        digest: "5fb76d307dddf6183adf8484f447384a0137655bf7e3a689b005a331fe8595ad",
    },
];

#[tokio::test]
async fn tokens_of_every_release_are_made_and_verified_as_they_were() {
    for golden in GOLDEN {
        let tokens = ApiTokens::builder(MemoryStore::new())
            .prefix(golden.prefix)
            .clock(ManualClock::at(golden.issued_at))
            .entropy(Fixed::of(golden.bytes))
            .build()
            .unwrap();
        let issued = tokens.issue(NewToken::new(owner("user:42"), "golden")).await.unwrap();
        assert_eq!(issued.plain.expose_secret(), golden.text);
        assert_eq!(hex::encode(issued.record.digest.as_bytes()), golden.digest);
        let verified = tokens.verify(golden.text).await.unwrap();
        assert_eq!(verified.id(), issued.record.id);
        let parsed = tokens.format().parse(golden.text).unwrap();
        assert_eq!((parsed.prefix().as_str(), parsed.id()), (golden.prefix, verified.id()));
    }
}

#[test]
fn the_page_for_secret_scanners_is_true() {
    const PAGE: &str = include_str!("../../docs/secret-scanning.md");
    let format = TokenFormat::new(Prefix::new("acme").unwrap());
    assert_eq!(PAGE.matches(&format.scan_pattern()).count(), 3, "alone, in the script, to send");
    assert!(!PAGE.contains(r"\b(?:"), "nothing is asked of the character before");

    let example = GOLDEN[0].text;
    let shown = PAGE.match_indices("acme_0").map(|(at, _)| &PAGE[at..at + example.len()]);
    let shown: Vec<_> = shown.collect();
    assert_eq!(shown, [example; 2]);
    format.parse(example).unwrap();
    let (covered, checksum) = example.split_at(71);
    let sum = crc32fast::hash(covered.as_bytes());
    let told =
        format!("first {} characters is {sum:#x} = {sum}, which in base62 is `{checksum}`", 71);
    assert!(PAGE.contains(&told), "{told}");
    assert!(PAGE.contains(&format!("it has {} characters", example.len())));
}
