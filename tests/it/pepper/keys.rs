//! What is a key and what is none.

use keyfob::{
    ApiTokens,
    store::MemoryStore,
    token::{KeyedChecksum, Pepper, PepperKey, Rule},
};

use super::{bytes, id, key};

const WEAK: &str = "pepper_key must be at least 32 bytes long, and random";

fn weak(key: impl AsRef<[u8]>) -> String {
    PepperKey::new("k", key).map(drop).unwrap_err().to_string()
}

#[test]
fn a_key_is_at_least_32_bytes_that_are_not_all_the_same() {
    for length in 0..32 {
        assert_eq!(weak(&bytes(1)[..length]), WEAK, "{length}");
    }
    for byte in [0, 1, b'a', 0xFF] {
        for length in [0, 1, 31, 32, 64, 65, 1_000] {
            assert_eq!(weak(vec![byte; length]), WEAK, "{byte} {length}");
        }
    }
    for length in [32, 33, 64, 65, 4_096] {
        let mut key = vec![b'a'; length];
        key[length - 1] = b'b';
        assert_eq!(PepperKey::new("k", key).unwrap().id(), &id("k"));
    }
}

#[test]
fn the_name_of_a_key_is_1_to_32_bytes() {
    for name in ["", "\n", "a\0b", &"x".repeat(33)] {
        let error = PepperKey::new(name, bytes(1)).map(drop).unwrap_err();
        let rules = [Rule::Empty, Rule::ControlCharacter, Rule::TooManyBytes { len: 33, max: 32 }];
        assert!(rules.contains(&error.rule), "{name:?}: {error}");
        assert_eq!(error.name, "pepper_key_id");
    }
    assert!(PepperKey::new("x".repeat(32), bytes(1)).is_ok());
}

#[test]
fn no_two_keys_have_one_name() {
    let built = |pepper: Pepper| {
        let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").pepper(pepper);
        tokens.build().map(drop).map_err(|error| error.to_string())
    };
    let new = || Pepper::new(key("a", 1));
    for twice in [
        new().accept(key("a", 1)),
        new().accept(key("a", 2)),
        new().accept_checksums_of(key("a", 2)),
        new().accept_next(key("a", 1)),
    ] {
        assert_eq!(built(twice), Err("pepper must not name the key a twice".to_owned()));
    }
    for twice in [
        new().accept(key("b", 1)).accept(key("b", 2)),
        new().accept(key("b", 1)).accept_checksums_of(key("b", 2)),
        new().accept_checksums_of(key("b", 1)).accept_checksums_of(key("b", 3)),
        new().accept_checksums_of(key("b", 1)).accept_checksums_of(key("b", 1)),
        new().accept_next(key("b", 1)).accept(key("b", 1)),
        new().accept_next(key("b", 1)).accept_checksums_of(key("b", 2)),
    ] {
        assert_eq!(built(twice), Err("pepper must not name the key b twice".to_owned()));
    }
    let different = new().accept(key("A", 2)).accept(key("b", 3)).accept_checksums_of(key("c", 4));
    assert_eq!(built(different), Ok(()));
    for both in [
        new().accept_checksums_of(key("a", 1)),
        new().accept(key("b", 2)).accept_checksums_of(key("b", 2)),
        new().accept_next(key("b", 2)).accept_checksums_of(key("b", 2)),
    ] {
        assert_eq!(built(both), Ok(()), "one key for digests and for checksums");
    }
}

#[test]
fn nothing_shows_a_key() {
    let secret = "correct horse battery staple, correct horse battery";
    let named = |name| PepperKey::new(name, secret).unwrap();
    let key = || named("2026");
    let pepper = Pepper::new(key()).keyed_checksum(KeyedChecksum::Require).accept_unpeppered();
    let pepper = pepper.accept(named("2025")).accept_next(named("2027"));
    let pepper = pepper.accept_checksums_of(named("2024"));
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").pepper(pepper.clone());
    let builder = format!("{tokens:?} {tokens:#?}");
    let tokens = tokens.build().unwrap();
    let shown = [
        format!("{:?} {:#?}", key(), key()),
        format!("{pepper:?} {pepper:#?}"),
        builder,
        format!("{tokens:?} {tokens:#?}"),
        format!("{:?} {:#?}", tokens.format(), tokens.operator()),
        PepperKey::new("2026", &secret[..20]).unwrap_err().to_string(),
        format!("{:?}", PepperKey::new("2026", &secret[..20])),
        format!("{:?}", PepperKey::new(&secret[..40], secret)),
    ];
    for shown in &shown {
        let bare: String = shown.chars().filter(|it| !it.is_whitespace()).collect();
        for part in ["correct", "horse", "battery"] {
            assert!(!shown.contains(part), "{shown}");
            // As it is, and as the blocks of the hash have it.
            for mask in [0, 0x36, 0x5C] {
                let bytes: Vec<_> = part.bytes().map(|byte| byte ^ mask).collect();
                let decimal: Vec<_> = bytes.iter().map(ToString::to_string).collect();
                let hex = hex::encode(&bytes);
                for form in [decimal.join(","), hex.to_uppercase(), hex] {
                    assert!(!bare.contains(&form), "{shown}");
                }
            }
        }
    }
    assert_eq!(
        shown[0].lines().next().unwrap(),
        "PepperKey { id: KeyId(\"2026\"), .. } PepperKey {"
    );
}
