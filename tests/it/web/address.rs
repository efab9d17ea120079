//! Where the client's address comes from.

use keyfob::web::TrustedProxies;

use super::{
    app::{Address, Framework, Setup},
    http::{Request, get},
    scene::{Scene, is},
    sessions::Sessions,
};

on_both! {
    each_refusal_tells_from_where_it_came
    an_address_is_the_one_that_the_application_finds
    the_place_of_the_last_use_is_that_address
}

const INSIDE: &str = "192.0.2.7";
const OUTSIDE: &str = "198.51.100.1";
const PROXY: &str = "10.0.0.1";

fn proxies() -> Address {
    Address::Proxies(TrustedProxies::new(["10.0.0.0/8"]).unwrap())
}

fn office() -> Request {
    get("/allowed").with("office")
}

fn forwarded(from: &str, values: &[&'static str]) -> Request {
    values.iter().fold(office().from(from), |it, value| it.header("x-forwarded-for", *value))
}

/// What is tried, who finds the address, the request, and whether it passes.
type Case = (&'static str, fn() -> Address, Request, bool);

async fn an_address_is_the_one_that_the_application_finds(framework: Framework) {
    let scene = Scene::new(framework).await;
    let cases: &[Case] = &[
        ("nobody looks", || Address::Unknown, office().from(INSIDE), false),
        ("nobody looks at the header", || Address::Unknown, forwarded(INSIDE, &[INSIDE]), false),
        ("connection", || Address::Connection, office().from(INSIDE), true),
        ("connection from elsewhere", || Address::Connection, office().from(OUTSIDE), false),
        ("connection, and a header", || Address::Connection, forwarded(OUTSIDE, &[INSIDE]), false),
        ("no connection", || Address::Connection, office(), false),
        ("mapped to IPv6", || Address::Connection, office().from("::ffff:192.0.2.7"), true),
        ("proxy", proxies, forwarded(PROXY, &[INSIDE]), true),
        ("proxy, two headers", proxies, forwarded(PROXY, &[OUTSIDE, "192.0.2.7, 10.0.0.2"]), true),
        ("proxy, forged", proxies, forwarded(PROXY, &["192.0.2.7, 198.51.100.1"]), false),
        ("proxy, forged in a header", proxies, forwarded(PROXY, &[INSIDE, OUTSIDE]), false),
        ("proxy that says nothing", proxies, office().from(PROXY), false),
        ("proxy that says nonsense", proxies, forwarded(PROXY, &["192.0.2.7, unknown"]), false),
        ("no proxy", proxies, office().from(INSIDE), true),
        ("no proxy, forged", proxies, forwarded(OUTSIDE, &[INSIDE]), false),
    ];
    for (title, address, request, passes) in cases {
        let client = scene.client_of(Setup::new(scene.require()).address(address())).await;
        let expected =
            if *passes { is(200, "hello user:42") } else { is(403, "address_not_allowed") };
        assert_eq!(client.told(request.clone()).await, expected, "{title}");
        let free = Request { headers: request.headers[1..].to_vec(), ..request.clone() };
        let told = client.told(free.with("good")).await;
        assert_eq!(told, is(200, "hello user:42"), "{title}: a token without networks");
    }
}

async fn the_place_of_the_last_use_is_that_address(framework: Framework) {
    let scene = Scene::new(framework).await;
    let good = &scene.issued["good"].record;
    let client = scene.client_of(Setup::new(scene.require()).address(proxies())).await;
    for cold in [false, true] {
        if cold {
            scene.world.store.forget();
        }
        let address = if cold { "203.0.113.1" } else { "203.0.113.2" };
        let request = get("/allowed").with("good").from(PROXY);
        let told = client.told(request.header("x-forwarded-for", address)).await;
        assert_eq!(told.0, 200);
        let record = scene.tokens.owned_by(&good.owner).get(good.id).await.unwrap();
        assert_eq!(record.last_used_from, Some(address.parse().unwrap()));
    }
}

async fn each_refusal_tells_from_where_it_came(framework: Framework) {
    let scene = Scene::new(framework).await;
    let setup = Setup::new(scene.limited(1)).address(Address::Connection);
    let client = scene.client_of(setup.or_session(&Sessions::default())).await;
    let session = |request: Request| request.header("cookie", "sid=reader");
    for (request, kind) in [
        (get("/allowed").with("create"), "AbilityMissing"),
        (get("/allowed").with("create"), "RateLimited"),
        (get("/allowed").with("revoked"), "Refused"),
        (get("/allowed").with("unknown"), "Refused"),
        (get("/allowed").with("good").with("good"), "Refused"),
        (session(get("/guarded/create")), "AbilityMissing"),
        (session(get("/allowed").header("upgrade", "websocket")), "CrossSiteRefused"),
    ] {
        scene.world.events.take();
        client.send(request.clone().from("::ffff:192.0.2.1")).await;
        let events = scene.world.events.take();
        let told = events.iter().find(|it| it.starts_with(kind));
        let told = told.unwrap_or_else(|| panic!("{request}: {events:?}"));
        assert!(told.contains("from: Some(192.0.2.1)"), "{request}: {told}");
    }
}
