//! What people type, paste and try: it is kept as it is, or refused, and changes nothing else.

use keyfob::{IssueError, NewToken, Owner};
use serde_json::json;

use crate::support::{Random, World, on_every_store};

on_every_store! {
    metadata_never_becomes_the_owner
    hostile_values_are_returned_unchanged_or_refused
    what_metadata_was_accepted_reads_back
}

async fn metadata_never_becomes_the_owner(world: World) {
    let metadata = json!({ "owner": "user:43", "id": "x", "abilities": "*", "prefix": "evil" });
    let issued =
        world.tokens().issue(world.new_token("a").metadata(metadata.clone())).await.unwrap();
    let stored = world.stored(&issued).await;
    assert_eq!((&stored.owner, stored.prefix.as_str()), (&world.owner, "acme"));
    assert!(stored.abilities.is_none());
    assert_eq!(serde_json::to_value(stored.metadata()).unwrap(), metadata);
}

/// What people who mean harm, and people who paste, have typed into such fields.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\t",
        "a",
        "NUL\0",
        "CR\r\nLF",
        "\u{1b}[31m",
        "\u{202E}evil",
        "a\u{200D}b",
        "👩🏽‍💻",
        "é",
        "e\u{301}",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${7*7}",
        "'; DROP TABLE keyfob_tokens; --",
        "\" OR 1=1",
        "%00",
        "%s%n",
        "../../etc/passwd",
        "=cmd()",
        "__proto__",
        "constructor",
        "null",
        "*",
        "a:*:b",
        "\u{FEFF}",
        "\u{FFFF}",
        "\u{85}",
        "\\",
        "/",
        "-1",
        "1e999",
    ]
    .map(str::to_owned)
    .into();
    texts.extend([99, 100, 101, 255, 256, 10_000].map(|n| "x".repeat(n)));
    texts.extend([64, 100, 101].map(|n| "💥".repeat(n)));
    texts.push(format!("a{}", "\u{301}".repeat(1_000)));
    texts
}

async fn hostile_values_are_returned_unchanged_or_refused(world: World) {
    let tokens = world.tokens();
    let (mut kept, mut refused) = (0, 0);
    for text in hostile() {
        let asked = [
            world.new_token(&text),
            world.new_token("a").abilities([text.clone()]),
            world.new_token("a").metadata(json!({ text.clone(): text.clone() })),
            world.new_token("a").metadata(json!(text)),
        ];
        let owner = Owner::new(&text).map(|owner| NewToken::new(owner, "a"));
        for (field, new) in asked.into_iter().chain(owner.ok()).enumerate() {
            match tokens.issue(new).await {
                Ok(issued) => {
                    kept += 1;
                    let stored = world.stored(&issued).await;
                    assert_eq!(*stored, issued.record, "{text:?}");
                    let same = match field {
                        0 => stored.name.as_str() == text,
                        1 => stored.abilities.as_set().unwrap()[0].as_str() == text,
                        2 => stored.metadata().unwrap().get(&text) == Some(json!(text)),
                        _ => stored.owner.as_str() == text,
                    };
                    assert!(same, "{text:?}");
                    let own = tokens.owned_by(&stored.owner);
                    assert_eq!(own.get(stored.id).await.unwrap(), *stored);
                }
                Err(IssueError::Invalid(_)) => refused += 1,
                Err(other) => panic!("{text:?}: {other:?}"),
            }
        }
    }
    assert!(kept > 80 && refused > 60, "{kept} kept, {refused} refused");
}

async fn what_metadata_was_accepted_reads_back(world: World) {
    let tokens = world.tokens();
    for depth in [1, 99, 100, 126, 127, 128, 200, 1_000] {
        let mut value = json!(1);
        for _ in 0..depth {
            value = json!([value]);
        }
        match tokens.issue(world.new_token("deep").metadata(json!({ "a": value }))).await {
            Ok(issued) => assert_eq!(*world.stored(&issued).await, issued.record, "{depth}"),
            Err(IssueError::Invalid(invalid)) => {
                assert!(depth >= 100, "{depth}");
                assert_eq!(invalid.errors[0].name, "metadata");
            }
            Err(other) => panic!("{depth}: {other:?}"),
        }
    }
    let mut random = Random(7);
    for _ in 0..50 {
        let floats: Vec<f64> = (0..20).map(|_| f64::from_bits(random.next())).collect();
        let new = world.new_token("floats").metadata(json!({ "floats": floats }));
        let issued = tokens.issue(new).await.unwrap();
        assert_eq!(*world.stored(&issued).await, issued.record, "seed 7");
    }
}
