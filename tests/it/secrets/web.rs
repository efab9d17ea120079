//! What stands between a request and its handler shows no secret either.

use axum::{
    Router,
    body::Body,
    extract::{FromRef, State},
    http::{Request, StatusCode, header::AUTHORIZATION, request::Parts},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use keyfob::{
    token::RateLimit,
    web::{
        Allowed, AllowedAll, AllowedAny, Authenticated, Authenticator, Guard, GuardLog,
        MaybeAllowed, Realm,
        auth::AuthRequest,
        axum::{TokenLayer, Verified},
    },
};
use time::Duration;
use tower::ServiceExt;
use tower_layer::Layer;

use super::{Scribe, assert_clean, forbidden, tell, tokens_in};
use crate::support::{World, on_every_store};

on_every_store! {
    what_stands_before_a_handler_shows_no_secret
}

keyfob::abilities! {
    enum PanelAbility {
        X = "x:read", "Read";
        Y = "x:write", "Write";
    }
}

type Both = (X, Y);

#[derive(Clone)]
struct App {
    out: Scribe,
    layer: TokenLayer,
}

impl FromRef<App> for TokenLayer {
    fn from_ref(app: &App) -> Self {
        app.layer.clone()
    }
}

async fn behind_a_layer(
    State(app): State<App>,
    one: Allowed<X>,
    any: AllowedAny<Both>,
    all: AllowedAll<Both>,
    maybe: MaybeAllowed<X>,
    authenticated: Authenticated,
    parts: Parts,
) {
    tell(&app.out, &(one, any, all, maybe, authenticated));
    tell(&app.out, &(&parts, &parts.extensions));
}

async fn on_its_own(State(app): State<App>, token: Verified<Authenticated>, parts: Parts) {
    tell(&app.out, &(token, &parts, &parts.extensions));
}

async fn what_stands_before_a_handler_shows_no_secret(world: World) {
    let out = Scribe::default();
    let tokens = tokens_in(&world, &out);
    let [good, powerless] = [
        tokens.issue(world.new_token("a").abilities(["x:*"])).await.unwrap(),
        tokens.issue(world.new_token("b")).await.unwrap(),
    ];
    let guards = GuardLog::default();
    let limit = RateLimit::new(4, Duration::HOUR).unwrap();
    let authenticator = Authenticator::require(tokens.clone(), Realm::new("Acme").unwrap())
        .accept_basic()
        .accept_header("X-Api-Key")
        .unwrap()
        .rate_limit(limit)
        .record_guards(&guards);
    let layer = TokenLayer::new(authenticator.clone());
    let guard = Guard::ability(&tokens, "x:{id}").unwrap();
    tell(&out, &(&authenticator, &layer, &guard, layer.layer(()), guard.layer(())));

    let app = App { out: out.clone(), layer: layer.clone() };
    let guarded = Router::new().route("/{id}", get(behind_a_layer)).layer(guard);
    let routes = guarded.layer(layer).route("/", get(on_its_own)).with_state(app);
    for (token, expected) in
        [(&good, [200, 200, 200, 200, 429]), (&powerless, [403, 403, 403, 403, 429])]
    {
        let plain = token.plain.expose_secret();
        let basic = |text: String| format!("Basic {}", BASE64_STANDARD.encode(text));
        let key = "x-api-key".parse().unwrap();
        let ways = [
            ("/read", AUTHORIZATION, format!("Bearer {plain}")),
            ("/read", AUTHORIZATION, basic(format!("{plain}:"))),
            ("/read", AUTHORIZATION, basic(format!("token:{plain}"))),
            ("/", key, plain.to_owned()),
            ("/", AUTHORIZATION, format!("Bearer {plain}")),
        ];
        for ((path, name, value), expected) in ways.into_iter().zip(expected) {
            let request = Request::get(path).header(name, value).body(Body::empty()).unwrap();
            let response = routes.clone().oneshot(request).await.unwrap();
            tell(&out, &response);
            assert_eq!(response.status(), expected, "{path}");
            tell(&out, &response.into_body().collect().await.unwrap().to_bytes());
        }
    }
    let plain = good.plain.expose_secret();
    for value in
        [format!("Bearer {plain} "), format!("Bearer {plain},"), format!("Bearer {plain}0")]
    {
        let request = Request::get("/read").header(AUTHORIZATION, value).body(Body::empty());
        let response = routes.clone().oneshot(request.unwrap()).await.unwrap();
        tell(&out, &response);
        assert_ne!(response.status(), StatusCode::OK);
        tell(&out, &response.into_body().collect().await.unwrap().to_bytes());
    }
    let bearer = format!("Bearer {}", powerless.plain.expose_secret());
    for text in [format!("Bearer {plain}"), format!("Bearer {plain}0"), bearer] {
        let request =
            AuthRequest::new("GET", "/read").headers([("authorization", text.as_bytes())]);
        let unlimited = authenticator.clone().rate_limit(None);
        tell(&out, &(unlimited.authenticate(&request).await, &request));
    }
    tell(&out, &(guards.to_string(), guards));

    let told = out.0.lock().unwrap().clone();
    for part in [
        "Sensitive",
        "Allowed(",
        "AuthContext {",
        "AuthRequest {",
        "Authenticator {",
        "rate_limited",
    ] {
        assert!(told.contains(part), "{part} was not told of");
    }
    assert_clean("what was told", told.as_bytes(), &forbidden(&[good, powerless]));
}
