//! Sixty requests a minute and token.

use super::{Request, Server, Service, refusals::refusal};
use crate::support::checked;

on_every_server! {
    sixty_requests_pass_and_then_the_token_waits_and_no_other,
    every_answer_to_a_good_token_tells_what_is_left,
    strangers_use_nothing_up,
}

/// How often a token passes before it is refused, and the refusal. A minute's worth comes back in a minute, so a slow
/// machine sees some requests more.
fn exhaust(service: &Service, token: &str) -> (u32, super::Response) {
    (0..10_000)
        .map(|passed| (passed, service.call(token, Request::get("/api/v1/servers"))))
        .find(|(_, answer)| answer.status != 200)
        .unwrap()
}

fn sixty_requests_pass_and_then_the_token_waits_and_no_other(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let (busy, idle) = (ada.issue("busy", &["servers:read"]), ada.issue("idle", &["servers:read"]));
    let (passed, refused) = exhaust(&service, &busy.plain);
    assert!(passed >= 60, "{passed}");
    let body =
        r#"{"type":"about:blank","title":"Too Many Requests","status":429,"code":"rate_limited"}"#;
    let headers =
        [("retry-after", "1"), ("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "0")];
    assert_eq!(refused, refusal(429, &headers, body));
    assert_eq!(service.call(&idle.plain, Request::get("/api/v1/servers")).status, 200);
}

fn every_answer_to_a_good_token_tells_what_is_left(server: Server) {
    let service = Service::start(server);
    let token = service.log_in("ada").issue("ci", &["servers:read"]);
    for (path, status) in [("", 200), ("/1", 404), ("/1/sites", 403)] {
        let answer = service.call(&token.plain, Request::get(&format!("/api/v1/servers{path}")));
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("60"), "{answer:?}");
        let left: u32 = answer.header("x-ratelimit-remaining").unwrap().parse().unwrap();
        assert!(left < 60, "{answer:?}");
    }
    let refused = service.call("fleet_x", Request::get("/api/v1/servers"));
    assert_eq!(refused.header("x-ratelimit-limit"), None);
}

fn strangers_use_nothing_up(server: Server) {
    let service = Service::start(server);
    let token = service.log_in("ada").issue("ci", &["servers:read"]);
    let mut stranger = token.plain.clone();
    stranger.replace_range(stranger.len() - 10..stranger.len() - 6, "0000");
    let stranger = checked(&stranger[..stranger.len() - 6]);
    for _ in 0..100 {
        assert_eq!(service.call(&stranger, Request::get("/api/v1/servers")).status, 401);
    }
    let answer = service.call(&token.plain, Request::get("/api/v1/servers"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("59"));
}
