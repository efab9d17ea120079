//! Prefixes: a token keeps the one that it was issued under, and a scanner finds it in whatever it was left.

use keyfob::{
    ApiTokens, IssuedToken, TokenRotation, VerifyError,
    token::{MalformedToken, Prefix, TokenFormat},
};
use regex::Regex;

use crate::support::{World, checked, code_of, on_every_store, secret_of, verdict};

on_every_store! {
    tokens_are_issued_under_one_prefix_and_accepted_under_several
    under_another_prefix_a_token_is_refused
    a_prefix_that_begins_another_is_told_apart
    a_rename_ends_no_token
    a_scanner_finds_every_token_in_every_text
    a_scanner_takes_nothing_else_for_a_token
}

fn handle(world: &World, prefix: &str, accepted: &[&str]) -> ApiTokens {
    let builder = world.builder().prefix(prefix);
    let builder = accepted.iter().fold(builder, |builder, it| builder.accept_prefix(*it));
    builder.build().unwrap()
}

/// The same token as if it had been issued under another prefix, with the right checksum.
fn under(prefix: &str, issued: &IssuedToken) -> String {
    checked(&format!("{prefix}_{}_{}", issued.record.id, secret_of(issued)))
}

async fn issue(world: &World, tokens: &ApiTokens) -> IssuedToken {
    tokens.issue(world.new_token("a")).await.unwrap()
}

async fn tokens_are_issued_under_one_prefix_and_accepted_under_several(world: World) {
    let several = handle(&world, "acme", &["old", "older_1", "acme_test"]);
    let prefixes = ["acme", "old", "older_1", "acme_test"];
    for prefix in prefixes {
        let issued = issue(&world, &handle(&world, prefix, &[])).await;
        assert!(issued.plain.expose_secret().starts_with(&format!("{prefix}_")));
        assert_eq!(world.stored(&issued).await.prefix.as_str(), prefix);
        assert_eq!(verdict(&several, &issued).await, "good", "{prefix}");
        let presented = several.format().parse(issued.plain.expose_secret()).unwrap();
        assert_eq!(presented.prefix().as_str(), prefix);
        assert!(several.format().accepts(&Prefix::new(prefix).unwrap()));
    }
    let issued = issue(&world, &several).await;
    assert_eq!(issued.record.prefix.as_str(), "acme", "the first one is for new tokens");
    let other = handle(&world, "other", &[]);
    let refused = other.verify(issued.plain.expose_secret()).await;
    assert!(matches!(refused, Err(VerifyError::Malformed(MalformedToken::UnknownPrefix))));
    for prefix in prefixes {
        let twice = world.builder().prefix("acme").accept_prefix(prefix).accept_prefix(prefix);
        let error = twice.build().map(drop).unwrap_err();
        assert_eq!(error.to_string(), format!("prefix must not be accepted twice: {prefix}"));
    }
}

async fn under_another_prefix_a_token_is_refused(world: World) {
    let prefixes = ["acme", "old", "acme_test"];
    for cold in [false, true] {
        if cold {
            world.store.forget();
        }
        for prefix in prefixes {
            let others: Vec<_> = prefixes.into_iter().filter(|it| *it != prefix).collect();
            let tokens = handle(&world, prefix, &others);
            let issued = issue(&world, &tokens).await;
            let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
            for other in others {
                let text = under(other, &issued);
                tokens.format().parse(&text).unwrap();
                let refused = tokens.verify(&text).await;
                let id = issued.record.id;
                assert!(
                    matches!(refused, Err(VerifyError::WrongPrefix(it)) if it == id),
                    "{refused:?}"
                );
                let refused = tokens.revoke_presented(&text).await;
                assert_eq!(code_of(&refused), "wrong_prefix");
            }
            assert_eq!(code_of(&tokens.revalidate(&token).await), "good");
            assert_eq!(verdict(&tokens, &issued).await, "good");
        }
    }
}

async fn a_prefix_that_begins_another_is_told_apart(world: World) {
    let (short, long) = (handle(&world, "acme", &[]), handle(&world, "acme_test", &[]));
    let both = handle(&world, "acme", &["acme_test"]);
    let both_ways = handle(&world, "acme_test", &["acme"]);
    let (one, other) = (issue(&world, &short).await, issue(&world, &long).await);
    for tokens in [&both, &both_ways] {
        assert_eq!(verdict(tokens, &one).await, "good");
        assert_eq!(verdict(tokens, &other).await, "good");
    }
    let refused = short.verify(other.plain.expose_secret()).await;
    assert!(matches!(refused, Err(VerifyError::Malformed(_))), "{refused:?}");
    let refused = long.verify(one.plain.expose_secret()).await;
    assert!(matches!(refused, Err(VerifyError::Malformed(_))), "{refused:?}");
    for tokens in [&both, &both_ways] {
        for (issued, prefix) in [(&one, "acme_test"), (&other, "acme")] {
            let refused = tokens.verify(&under(prefix, issued)).await;
            assert!(matches!(refused, Err(VerifyError::WrongPrefix(_))), "{refused:?}");
        }
    }
}

async fn a_rename_ends_no_token(world: World) {
    let before = handle(&world, "acme", &[]);
    let issued = issue(&world, &before).await;
    let other = issue(&world, &before).await;
    let renamed = handle(&world, "newco", &["acme"]);
    assert_eq!(verdict(&renamed, &issued).await, "good");
    let own = renamed.owned_by(&world.owner);
    let rotated = own.rotate(issued.record.id, TokenRotation::new()).await.unwrap();
    assert!(rotated.plain.expose_secret().starts_with("acme_"), "it keeps its prefix");
    for issued in [&issued, &rotated, &other] {
        assert_eq!(verdict(&renamed, issued).await, "good");
        let text = under("newco", issued);
        assert_eq!(code_of(&renamed.verify(&text).await), "wrong_prefix");
    }
    let new = issue(&world, &renamed).await;
    assert!(new.plain.expose_secret().starts_with("newco_"));
    // Once the old prefix is not accepted any more, nothing of it reaches the store.
    let over = handle(&world, "newco", &[]);
    world.store.take_calls();
    assert_eq!(verdict(&over, &rotated).await, "malformed");
    assert_eq!(world.store.take_calls(), [""; 0]);
    assert_eq!(verdict(&over, &new).await, "good");
}

/// What a scanner makes of a text: the tokens that it finds and that are none by mistake.
fn scan<'t>(format: &TokenFormat, text: &'t str) -> Vec<&'t str> {
    let pattern = Regex::new(&format.scan_pattern()).unwrap();
    let found = pattern.find_iter(text).map(|it| it.as_str());
    found.filter(|it| format.parse(it).is_ok()).collect()
}

const TEXTS: &[&str] = &[
    "{}",
    "{}\n",
    "The token is {}.",
    "I used {}, and it worked!",
    "see ({}), [{}], <{}> or „{}“",
    "ключ {} — секрет",
    r#"{"token":"{}","other":["{}"]}"#,
    r#"{"log":"begin\n{}\nend"}"#,
    r"tab\t{}\u0020",
    "https://example.com/?next=%2F%3Ftoken%3D{}%26page%3D2",
    r#"{"line":"Authorization: Bearer {}\nHost: a"}"#,
    r#""export TOKEN=\"{}\"\r\n""#,
    "https://api.example.com/v1?token={}&page=2#x",
    "https://user:{}@example.com/",
    "https://example.com/{}/servers",
    "https://example.com/?next=a%26token={}%26b",
    "TOKEN={}\nOTHER='{}'\nexport THIRD=\"{}\"",
    "token: {} # do not commit",
    "curl -H 'Authorization: Bearer {}' https://example.com",
    "+    let token = \"{}\";",
    "a,{},b;{}|{}\t{}",
    "<a href=\"/?t={}\">{}</a>",
    "\u{feff}{}\u{a0}{}\u{200b}",
    "{}-{}",
    "acme_{}",
    "token_{}",
];

async fn a_scanner_finds_every_token_in_every_text(world: World) {
    let tokens = handle(&world, "acme", &["acme_test", "newco", "acme_test_2"]);
    for prefix in ["acme", "acme_test", "newco", "acme_test_2"] {
        let issued = issue(&world, &handle(&world, prefix, &[])).await;
        let plain = issued.plain.expose_secret();
        for text in TEXTS {
            let text_with_token = text.replace("{}", plain);
            let expected = text.matches("{}").count();
            let found = scan(tokens.format(), &text_with_token);
            assert_eq!(found, vec![plain; expected], "{text} {prefix}");
        }
    }
}

async fn a_scanner_takes_nothing_else_for_a_token(world: World) {
    let tokens = handle(&world, "acme", &["acme_test"]);
    let issued = issue(&world, &tokens).await;
    let plain = issued.plain.expose_secret().to_owned();
    let pattern = Regex::new(&tokens.format().scan_pattern()).unwrap();
    // A slip anywhere behind the prefix is found out, whether by the pattern or by the checksum.
    for place in 5..plain.len() {
        for other in ["0", "A", "z", "_", "-"] {
            if plain[place..=place] == *other {
                continue;
            }
            let mistyped = format!("{}{other}{}", &plain[..place], &plain[place + 1..]);
            assert!(scan(tokens.format(), &mistyped).is_empty(), "{place} {other}");
        }
    }
    for place in 5..plain.len() - 1 {
        let (mut swapped, other) = (plain.clone().into_bytes(), place + 1);
        swapped.swap(place, other);
        let swapped = String::from_utf8(swapped).unwrap();
        assert!(swapped == plain || scan(tokens.format(), &swapped).is_empty(), "{place}");
    }
    let public_part = issued.record.public_part();
    let foreign = issue(&world, &handle(&world, "other", &[])).await;
    let foreign = foreign.plain.expose_secret();
    for text in [
        public_part.as_str(),
        foreign,
        &plain[..plain.len() - 1],
        &format!("{plain}x"),
        &plain.to_uppercase(),
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "acme_[a secret]",
    ] {
        assert!(!pattern.is_match(text) || scan(tokens.format(), text).is_empty(), "{text}");
    }
}
