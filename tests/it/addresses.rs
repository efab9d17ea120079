//! Addresses: from where a token may be used, and the first time that it is used from another one.

use std::net::IpAddr;

use keyfob::{
    ApiTokens, IssuedToken, TokenChange,
    token::{AllowedAddresses, Rule},
};

use crate::support::{World, code_of, on_every_store, wrong_field, wrong_fields};

on_every_store! {
    a_token_is_good_from_where_it_may_be_used_and_nowhere_else
    without_an_address_a_limited_token_is_refused
    what_is_no_network_is_refused_at_issue_and_by_change
    where_a_token_may_be_used_from_can_be_changed
    a_connection_that_is_kept_open_is_judged_by_its_address
    the_first_use_is_no_news_of_an_address
    the_last_address_that_is_stored_is_no_news
    each_new_address_is_told_once
    a_mapped_address_is_no_other_address
    a_refusal_is_no_news
    addresses_are_of_one_token
    two_nodes_tell_each_what_it_has_seen
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

async fn from(tokens: &ApiTokens, issued: &IssuedToken, from: &str) -> &'static str {
    code_of(&tokens.verify_from(issued.plain.expose_secret(), Some(address(from))).await)
}

/// Networks, what is in them, and what is not.
const NETWORKS: &[(&[&str], &[&str], &[&str])] = &[
    (
        &["192.0.2.0/24"],
        &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.0", "::ffff:c000:2ff"],
        &["192.0.1.255", "192.0.3.0", "::ffff:192.0.3.0", "::192.0.2.0", "c000:200::", "::"],
    ),
    (&["192.0.2.7"], &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.2.6", "192.0.2.8", "::7"]),
    (&["192.0.2.7/32"], &["192.0.2.7"], &["192.0.2.6"]),
    (&["192.0.2.4/31"], &["192.0.2.4", "192.0.2.5"], &["192.0.2.3", "192.0.2.6"]),
    (&["192.0.2.7/24"], &["192.0.2.0", "192.0.2.255"], &["192.0.3.7"]),
    (&["0.0.0.0/0"], &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::", "2001:db8::1"]),
    (&["::/0"], &["::", "2001:db8::1", "::1.2.3.4"], &["192.0.2.1", "::ffff:192.0.2.1"]),
    (
        &["2001:db8::/32"],
        &["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
        &["2001:db7:ffff::", "2001:db9::", "32.1.13.184"],
    ),
    (&["2001:DB8::1"], &["2001:db8::1", "2001:db8:0:0:0:0:0:1"], &["2001:db8::2", "::1"]),
    (&["2001:db8::1/127"], &["2001:db8::", "2001:db8::1"], &["2001:db8::2"]),
    (&["::ffff:192.0.2.7"], &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.2.8", "::192.0.2.7"]),
    (&["::ffff:192.0.2.0/120"], &["192.0.2.0", "::ffff:192.0.2.255"], &["192.0.3.0", "::ffff:0"]),
    (&["::ffff:192.0.2.9/120"], &["192.0.2.0", "192.0.2.255"], &["192.0.3.9"]),
    (&["::ffff:0:0/96"], &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::", "::1:0:0"]),
    // Mapped addresses are IPv4 addresses, and those are in no network of IPv6 addresses.
    (&["::ffff:0:0/95"], &["::fffe:1:2"], &["192.0.2.1", "::ffff:192.0.2.1"]),
    (
        &["192.0.2.1", "2001:db8::/64", "198.51.100.0/24"],
        &["192.0.2.1", "2001:db8::7", "198.51.100.7"],
        &["192.0.2.2", "2001:db8:0:1::", "203.0.113.1"],
    ),
];

const RUBBISH: &[&str] = &[
    "",
    " ",
    "*",
    "all",
    "localhost",
    "example.com",
    "192.0.2",
    "192.0.2.0/",
    "/24",
    "192.0.2.0/33",
    "192.0.2.0/-1",
    "192.0.2.0/+24",
    "192.0.2.0/024",
    "192.0.2.0/24/24",
    "192.0.2.0/255.255.255.0",
    " 192.0.2.0/24",
    "192.0.2.0/24 ",
    "192.0.2.0 /24",
    "192.0.2.0/24\n",
    "192.0.2.0/24,192.0.3.0",
    "192.0.2.0-192.0.2.9",
    "192.0.2.256",
    "192.0.2.0.0",
    "192.0.02.0",
    "010.0.0.1",
    "010.0.0.0/8",
    "192.0.02.0/24",
    "0x7f.0.0.1",
    "3221225985",
    "192.0.2.0:80",
    "[2001:db8::1]",
    "[2001:db8::]/32",
    "2001:db8::/129",
    "2001:db8::/-1",
    "2001:db8:/32",
    "2001:db8:::/32",
    "fe80::1%eth0",
    ":::/0",
    "fe80::%1/64",
    "::ffff:192.0.2.256/120",
    "::ffff:192.0.02.0/120",
    "12001:db8::/32",
    "192.0.2.0/２４",
];

#[test]
fn networks_read_back_as_they_are_shown() {
    for (networks, inside, outside) in NETWORKS {
        let allowed = AllowedAddresses::new(*networks).unwrap_or_else(|_| panic!("{networks:?}"));
        let again = AllowedAddresses::new(allowed.iter()).unwrap();
        assert_eq!(again, allowed);
        for (addresses, expected) in [(inside, true), (outside, false)] {
            for text in *addresses {
                assert_eq!(allowed.contain(address(text)), expected, "{networks:?} {text}");
            }
        }
        assert!(allowed.cover(&allowed), "{networks:?}");
    }
}

#[test]
fn what_is_no_network_is_refused() {
    for text in RUBBISH {
        let refused = AllowedAddresses::new([text]).unwrap_err();
        assert_eq!(refused.rule, Rule::NotANetwork, "{text:?}");
    }
    let many = |count: u8| AllowedAddresses::new((0..count).map(|it| format!("192.0.2.{it}")));
    assert_eq!(many(0).unwrap_err().rule, Rule::NoNetwork);
    assert!(many(1).is_ok() && many(100).is_ok());
    assert_eq!(many(101).unwrap_err().rule, Rule::TooManyNetworks { max: 100 });
}

/// What is covered is in: nothing that a child is given is outside what its parent has.
#[test]
fn networks_that_are_covered_hold_nothing_else() {
    let mut covered = 0;
    for (one, inside, outside) in NETWORKS {
        let one = AllowedAddresses::new(*one).unwrap();
        for (other, also_inside, _) in NETWORKS {
            let other = AllowedAddresses::new(*other).unwrap();
            if other.cover(&one) {
                covered += 1;
                assert!(inside.iter().all(|it| other.contain(address(it))), "{one:?} {other:?}");
            }
            let beyond = also_inside.iter().any(|it| !one.contain(address(it)));
            assert!(!(beyond && one.cover(&other)), "{one:?} {other:?} {outside:?}");
        }
    }
    assert!(covered > NETWORKS.len() + 5, "{covered}");
}

async fn a_token_is_good_from_where_it_may_be_used_and_nowhere_else(world: World) {
    let tokens = world.tokens();
    for (networks, inside, outside) in NETWORKS {
        let new = world.new_token("a").allowed_addresses(networks.iter().copied());
        let issued = tokens.issue(new).await.unwrap();
        assert_eq!(*world.stored(&issued).await, issued.record, "{networks:?}");
        for text in *inside {
            assert_eq!(from(&tokens, &issued, text).await, "good", "{networks:?} {text}");
        }
        for text in *outside {
            let verdict = from(&tokens, &issued, text).await;
            assert_eq!(verdict, "address_not_allowed", "{networks:?} {text}");
        }
    }
}

async fn without_an_address_a_limited_token_is_refused(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").allowed_addresses(["0.0.0.0/0", "::/0"]);
    let issued = tokens.issue(new).await.unwrap();
    let plain = issued.plain.expose_secret();
    assert_eq!(code_of(&tokens.verify(plain).await), "address_not_allowed");
    assert_eq!(code_of(&tokens.verify_from(plain, None).await), "address_not_allowed");
    assert_eq!(from(&tokens, &issued, "192.0.2.1").await, "good");
    let id = issued.record.id;
    let of = format!("id: Some({id:?}), owner: Some({:?}), from: None", world.owner);
    let refused = format!("Refused {{ {of}, reason: \"address_not_allowed\" }}");
    assert_eq!(world.events.count(&refused), 2);
    assert_eq!(from(&tokens, &issued, "::ffff:192.0.2.1").await, "good");
    let elsewhere = world.new_token("b").allowed_addresses(["192.0.2.7"]);
    let elsewhere = tokens.issue(elsewhere).await.unwrap();
    world.events.take();
    for (forgotten, client) in [(false, "::ffff:192.0.2.1"), (true, "192.0.2.1")] {
        if forgotten {
            world.store.forget();
        }
        assert_eq!(from(&tokens, &elsewhere, client).await, "address_not_allowed");
        let (id, owner) = (elsewhere.record.id, &world.owner);
        let of = format!("id: Some({id:?}), owner: Some({owner:?}), from: Some(192.0.2.1)");
        let refused = format!("Refused {{ {of}, reason: \"address_not_allowed\" }}");
        assert_eq!(world.events.take(), [refused]);
    }
}

async fn what_is_no_network_is_refused_at_issue_and_by_change(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let too_many: Vec<_> = (0..101).map(|it| format!("192.0.2.{it}")).collect();
    let rubbish = RUBBISH.iter().map(|it| vec![(*it).to_owned()]);
    let half_rubbish = vec!["192.0.2.0/24".to_owned(), "x".to_owned()];
    for networks in rubbish.chain([vec![], too_many, half_rubbish]) {
        let new = world.new_token("b").allowed_addresses(networks.clone());
        assert_eq!(wrong_fields(tokens.issue(new).await), ["allowed_addresses"], "{networks:?}");
        let change = TokenChange::new().allowed_addresses(networks);
        assert_eq!(wrong_field(own.change(issued.record.id, change).await), "allowed_addresses");
    }
    assert_eq!(*world.stored(&issued).await, issued.record);
}

async fn where_a_token_may_be_used_from_can_be_changed(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("a").allowed_addresses(["192.0.2.0/24"]);
    let issued = tokens.issue(new).await.unwrap();
    let id = issued.record.id;
    own.rename(id, "renamed").await.map(drop).unwrap();
    assert_eq!(from(&tokens, &issued, "198.51.100.1").await, "address_not_allowed");
    let other = TokenChange::new().allowed_addresses(["198.51.100.0/24"]);
    own.change(id, other).await.map(drop).unwrap();
    assert_eq!(from(&tokens, &issued, "198.51.100.1").await, "good");
    assert_eq!(from(&tokens, &issued, "192.0.2.1").await, "address_not_allowed");
    let any = own.change(id, TokenChange::new().any_address()).await.unwrap();
    assert_eq!(any.allowed_addresses(), None);
    assert_eq!(from(&tokens, &issued, "192.0.2.1").await, "good");
    assert_eq!(code_of(&tokens.verify(issued.plain.expose_secret()).await), "good");
}

async fn a_connection_that_is_kept_open_is_judged_by_its_address(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let home = Some(address("192.0.2.1"));
    let token = tokens.verify_from(issued.plain.expose_secret(), home).await.unwrap();
    let nowhere = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    for (network, verdict) in [("192.0.2.0/24", "good"), ("192.0.2.2", "address_not_allowed")] {
        let change = TokenChange::new().allowed_addresses([network]);
        own.change(issued.record.id, change).await.map(drop).unwrap();
        assert_eq!(code_of(&tokens.revalidate(&token).await), verdict);
        assert_eq!(code_of(&tokens.revalidate(&nowhere).await), "address_not_allowed");
    }
}

async fn the_first_use_is_no_news_of_an_address(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.events.take();
    for _ in 0..2 {
        assert_eq!(from(&tokens, &issued, "192.0.2.1").await, "good");
        world.clock.advance(time::Duration::HOUR);
        tokens.flush().await.unwrap();
    }
    let events = world.events.take();
    assert!(events.len() == 1 && events[0].starts_with("FirstUse"), "{events:?}");
}

async fn the_last_address_that_is_stored_is_no_news(world: World) {
    let before = world.tokens();
    let issued = before.issue(world.new_token("a")).await.unwrap();
    assert_eq!(from(&before, &issued, "192.0.2.1").await, "good");
    before.flush().await.unwrap();
    drop(before);
    let tokens = world.tokens();
    world.events.take();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"] {
        assert_eq!(from(&tokens, &issued, address).await, "good");
    }
    let events = world.events.take();
    assert!(events.len() == 1 && events[0].contains("192.0.2.2"), "{events:?}");
}

async fn each_new_address_is_told_once(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    assert_eq!(from(&tokens, &issued, "192.0.2.1").await, "good");
    world.events.take();
    for round in 0..4 {
        for place in [2, 1, 3, 2, 3, 1] {
            assert_eq!(from(&tokens, &issued, &format!("192.0.2.{place}")).await, "good");
            if round % 2 == 1 {
                tokens.flush().await.unwrap();
            }
            world.clock.advance(time::Duration::SECOND);
        }
        tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
    }
    let id = issued.record.id;
    let expected = [2, 3].map(|place| {
        format!("NewAddress {{ id: {id:?}, owner: Owner(\"user:42\"), from: 192.0.2.{place} }}")
    });
    assert_eq!(world.events.take(), expected);
}

async fn a_mapped_address_is_no_other_address(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"] {
        assert_eq!(from(&tokens, &issued, address).await, "good");
    }
    assert_eq!(world.events.count("NewAddress"), 0);
    assert_eq!(from(&tokens, &issued, "::ffff:192.0.2.1").await, "good");
    tokens.flush().await.unwrap();
    assert_eq!(world.stored(&issued).await.last_used_from, Some(address("192.0.2.1")));
}

async fn a_refusal_is_no_news(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").allowed_addresses(["192.0.2.0/24"]);
    let issued = tokens.issue(new).await.unwrap();
    assert_eq!(from(&tokens, &issued, "192.0.2.1").await, "good");
    assert_eq!(from(&tokens, &issued, "198.51.100.1").await, "address_not_allowed");
    let own = tokens.owned_by(&world.owner);
    own.suspend(issued.record.id).await.map(drop).unwrap();
    assert_eq!(from(&tokens, &issued, "192.0.2.2").await, "suspended");
    assert_eq!(world.events.count("NewAddress"), 0);
    own.resume(issued.record.id).await.map(drop).unwrap();
    assert_eq!(from(&tokens, &issued, "192.0.2.2").await, "good");
    assert_eq!(world.events.count("NewAddress"), 1);
}

async fn addresses_are_of_one_token(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 2).await;
    for (place, address, news) in [
        (0, "192.0.2.1", 0),
        (1, "192.0.2.1", 0),
        (0, "192.0.2.2", 1),
        (1, "192.0.2.2", 1),
        (1, "192.0.2.1", 0),
    ] {
        assert_eq!(from(&tokens, &issued[place], address).await, "good");
        assert_eq!(world.events.count("NewAddress"), news, "{place} {address}");
    }
}

async fn two_nodes_tell_each_what_it_has_seen(world: World) {
    let (one, other) = (world.tokens(), world.tokens());
    let issued = one.issue(world.new_token("a")).await.unwrap();
    assert_eq!(from(&one, &issued, "192.0.2.1").await, "good");
    one.flush().await.unwrap();
    world.events.take();
    for node in [&one, &other] {
        for _ in 0..3 {
            assert_eq!(from(node, &issued, "192.0.2.2").await, "good");
        }
        assert_eq!(world.events.count("NewAddress"), 1);
    }
}
