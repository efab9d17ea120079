//! What a token may do: nothing that was not said, and nothing more than was said.

use keyfob::{
    Abilities,
    token::{Ability, AbilityMarker, is_ability},
};
use proptest::prelude::*;

use crate::support::{World, on_every_store};

on_every_store! {
    a_token_may_do_what_it_holds_and_nothing_else
    a_token_without_abilities_may_do_nothing
}

keyfob::abilities! {
    /// What a token may do in this panel.
    #[derive(PartialOrd, Ord)]
    pub enum Panel {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
        SitesAll = "sites", "Do everything with sites";
    }
}

/// Held, required, permitted.
const TRUTH: &[(&str, &str, bool)] = &[
    ("servers:read", "servers:read", true),
    ("servers:read", "servers:write", false),
    ("servers:read", "servers", false),
    ("servers:read", "servers:rea", false),
    ("servers:read", "servers:reads", false),
    ("servers:read", "servers:read:all", false),
    ("servers:read", "Servers:read", false),
    ("servers:read", " servers:read", false),
    ("servers:*", "servers:read", true),
    ("servers:*", "servers:42:restart", true),
    ("servers:*", "servers", false),
    ("servers:*", "servers:", false),
    ("servers:*", "servers:*", false),
    ("servers:*", "servers:42:*", false),
    ("servers:*", "serversX:read", false),
    ("servers:*", "sites:read", false),
    ("servers:*", "servers::read", false),
    ("servers:42:*", "servers:42:restart", true),
    ("servers:42:*", "servers:420:restart", false),
    ("servers", "servers", true),
    ("servers", "servers:read", false),
    ("*", "servers:read", true),
    ("*", "servers", true),
    ("*", "*", false),
    ("*", "", false),
    ("*", "servers:*", false),
    ("*", "a b", false),
];

async fn a_token_may_do_what_it_holds_and_nothing_else(world: World) {
    let tokens = world.tokens();
    for (held, required, permitted) in TRUTH {
        let new = world.new_token("a");
        let new = if *held == "*" { new.all_abilities() } else { new.abilities([*held]) };
        let issued = tokens.issue(new).await.unwrap();
        let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
        assert_eq!(token.can(required), *permitted, "{held} and {required:?}");
        assert_eq!(token.require(required).is_ok(), *permitted, "{held} and {required:?}");
    }
}

async fn a_token_without_abilities_may_do_nothing(world: World) {
    let tokens = world.tokens();
    let none: [&str; 0] = [];
    for new in [world.new_token("unsaid"), world.new_token("none").abilities(none)] {
        let issued = tokens.issue(new).await.unwrap();
        let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
        for (_, required, _) in TRUTH {
            assert!(!token.can(required), "{required:?}");
        }
        let missing = token.require("servers:read").unwrap_err();
        assert_eq!(missing.to_string(), "the token lacks the ability servers:read");
    }
}

#[test]
fn declared_abilities_are_an_enum_texts_descriptions_and_markers() {
    assert_eq!(Panel::ServersCreate.as_str(), "servers:create");
    assert_eq!(Panel::ServersCreate.as_ref(), "servers:create");
    assert_eq!(Panel::SitesAll.description(), "Do everything with sites");
    let all = Panel::ALL.iter().map(|it| it.name).collect::<Vec<_>>();
    assert_eq!(all, ["servers:read", "servers:create", "sites"]);
    assert_eq!((ServersRead::NAME, SitesAll::NAME), ("servers:read", "sites"));
    assert!(Panel::ServersRead < Panel::SitesAll, "attributes of one's own are kept");
    let held = Abilities::set([Panel::ServersRead]).unwrap();
    assert!(held.permit(ServersRead::NAME) && !held.permit(ServersCreate::NAME));
}

/// The rules once more, as slow and plain as can be.
mod model {
    fn is_plain(text: &str) -> bool {
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment
                    .chars()
                    .all(|it| matches!(it, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-'))
        };
        text.chars().count() <= 100 && text.split(':').all(is_segment)
    }

    pub(super) fn permits(held: &str, required: &str) -> bool {
        if !is_plain(required) || (!is_plain(held) && !is_branch(held)) {
            return false;
        }
        let held: Vec<_> = held.split(':').collect();
        let required: Vec<_> = required.split(':').collect();
        match held.split_last() {
            Some((&"*", branch)) => {
                required.len() > branch.len() && required[..branch.len()] == *branch
            }
            _ => held == required,
        }
    }

    pub(super) fn is_branch(held: &str) -> bool {
        held.len() <= 100 && held.strip_suffix(":*").is_some_and(is_plain)
    }

    pub(super) fn is_good(held: &str) -> bool {
        is_plain(held) || is_branch(held)
    }
}

/// Texts over few segments, so that they often match, with what may not stand in them mixed in.
fn texts() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        8 => "[ab]{1,2}",
        1 => "[aA*:. é_-]{0,3}",
        1 => Just("*".to_owned()),
        1 => "a{96,102}",
    ];
    prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join(":"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_matcher_agrees_with_its_model(
        held in prop::collection::vec(texts(), 0..4),
        required in texts(),
    ) {
        for text in &held {
            prop_assert_eq!(Ability::new(text).is_ok(), model::is_good(text), "{}", text);
        }
        let good: Vec<_> = held.into_iter().filter(|text| model::is_good(text)).collect();
        let expected = good.iter().any(|held| model::permits(held, &required));
        prop_assert_eq!(Abilities::set(&good).unwrap().permit(&required), expected);
        prop_assert_eq!(Abilities::all().permit(&required), is_ability(&required));
        prop_assert!(!Abilities::none().permit(&required));
    }
}
