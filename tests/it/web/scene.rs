//! The tokens that the cases name, good and bad, and an application that knows them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use keyfob::{
    Abilities, ApiTokens, IssuedToken, TokenId, TokenRecord,
    limit::RateLimiter,
    testing::rare_of,
    token::{
        AllowedAddresses, KeyId, PreviousSecret, RateLimit, Revocation, Suspension, TokenDigest,
    },
    web::{Authenticator, Realm},
};
use sha2::{Digest, Sha256};
use time::Duration;

use super::{
    app::{Framework, Ground, Serve, Setup},
    http::{Request, Response},
};
use crate::support::{World, after, checked, first_use, redis::Corner, secret_of};

/// Good tokens, by the name that requests use, and what they hold.
const GOOD: &[(&str, &[&str])] = &[
    ("good", &["servers:read"]),
    ("other", &["servers:read"]),
    ("create", &["servers:create"]),
    ("delete", &["servers:delete"]),
    ("create-delete", &["servers:create", "servers:delete"]),
    ("both", &["servers:read", "servers:create"]),
    ("project", &["projects:42:write"]),
    ("projects", &["projects:*"]),
    ("none", &[]),
];

/// Every token that is refused as `invalid_token`, and the reason that the log is told.
pub const BAD: &[(&str, &str)] = &[
    ("too-short", "malformed"),
    ("too-long", "malformed"),
    ("bad-alphabet", "malformed"),
    ("bad-checksum", "malformed"),
    ("foreign-prefix", "malformed"),
    ("jwt", "malformed"),
    ("wrong-prefix", "wrong_prefix"),
    ("unknown", "unknown"),
    ("wrong-secret", "wrong_secret"),
    ("retired", "retired_secret"),
    ("early", "not_yet_valid"),
    ("expired", "expired"),
    ("idle", "idle"),
    ("revoked", "revoked"),
    ("suspended", "suspended"),
];

pub struct Scene {
    pub framework: Framework,
    pub world: World,
    pub tokens: ApiTokens,
    pub issued: BTreeMap<&'static str, IssuedToken>,
    texts: BTreeMap<&'static str, String>,
    used: RefCell<BTreeSet<String>>,
    /// Where it is counted, if not in this process.
    corner: Option<Corner>,
}

/// An application of a scene, as a client sees it.
pub struct Client {
    pub serve: Serve,
    texts: BTreeMap<&'static str, String>,
}

impl Scene {
    pub async fn new(ground: impl Into<Ground>) -> Self {
        let Ground { framework, shared } = ground.into();
        let world = World::memory().await;
        let tokens = world.builder().accept_prefix("newco").build().unwrap();
        let (issued, texts, used) = <_>::default();
        let corner = shared.then(Corner::new);
        let mut scene = Self { framework, world, tokens, issued, texts, used, corner };
        for (name, abilities) in GOOD {
            scene.plant(name, |it| it.abilities = Abilities::set(*abilities).unwrap()).await;
        }
        scene.plant("everything", |it| it.abilities = Abilities::all()).await;
        for (name, requests) in [("three", 3), ("hundred", 100)] {
            scene.plant(name, |it| rare_of(it).rate_limit = Some(per_minute(requests))).await;
        }
        let networks = AllowedAddresses::new(["192.0.2.0/24"]).unwrap();
        scene.plant("office", |it| rare_of(it).allowed_addresses = Some(networks)).await;
        let key = KeyId::new("2026-11").unwrap();
        let digest = |it: &TokenDigest| TokenDigest::from_bytes(*it.as_bytes(), Some(key));
        scene.plant("peppered", |it| it.digest = digest(&it.digest)).await;
        scene.plant_bad().await;
        scene.world.clock.set(after(1_000).datetime());
        scene.world.events.take();
        scene
    }

    /// A token that may do `servers:read`, unless it is altered.
    async fn plant(&mut self, name: &'static str, alter: impl FnOnce(&mut TokenRecord)) {
        let issued = self.world.plant(|it| {
            it.abilities = Abilities::set(["servers:read"]).unwrap();
            alter(it);
        });
        let issued = issued.await;
        self.texts.insert(name, issued.plain.expose_secret().to_owned());
        self.issued.insert(name, issued);
    }

    async fn plant_bad(&mut self) {
        self.plant("early", |it| it.not_before = Some(after(5_000))).await;
        self.plant("expired", |it| it.expires_at = Some(after(999))).await;
        self.plant("idle", |it| it.idle_seconds = NonZeroU32::new(500)).await;
        let revocation = Box::new(Revocation::new(after(1)));
        self.plant("revoked", |it| it.revocation = Some(revocation)).await;
        let suspension = Box::new(Suspension::new(after(1)));
        self.plant("suspended", |it| it.suspension = Some(suspension)).await;

        let (good, other) = (&self.issued["good"], &self.issued["other"]);
        let (id, secret) = (good.record.id, secret_of(good).to_owned());
        let other = secret_of(other).to_owned();
        let forged = |prefix, id: TokenId, secret| checked(&format!("{prefix}_{id}_{secret}"));
        let digest = TokenDigest::from_bytes(Sha256::digest(&other).into(), None);
        let previous = Box::new(PreviousSecret::until(digest, after(999)));
        self.plant("rotated", |it| it.previous = Some(previous)).await;
        let rotated = self.issued["rotated"].record.id;

        let text = self.texts["good"].clone();
        let (start, last) = text.split_at(text.len() - 1);
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned();
        self.texts.extend([
            ("too-short", start.to_owned()),
            ("too-long", format!("{text}0")),
            ("bad-alphabet", text.replacen('_', "-", 2).replacen('-', "_", 1)),
            ("bad-checksum", format!("{start}{}", if last == "0" { "1" } else { "0" })),
            ("foreign-prefix", forged("other", id, &secret)),
            ("jwt", jwt),
            ("wrong-prefix", forged("newco", id, &secret)),
            ("unknown", forged("acme", TokenId::from_u128(7), &secret)),
            ("wrong-secret", forged("acme", id, &other)),
            ("retired", forged("acme", rotated, &other)),
        ]);
    }

    pub fn text(&self, name: &str) -> &str {
        &self.texts[name]
    }

    /// What is told of a token's first use: something only where it is asked for the first time.
    pub fn first_use(&self, name: &str) -> Option<String> {
        let is_first = self.used.borrow_mut().insert(name.to_owned());
        is_first.then(|| first_use(&self.issued[name].record))
    }

    pub fn require(&self) -> Authenticator {
        let realm = Realm::new("Acme API").unwrap();
        self.counting(Authenticator::require(self.tokens.clone(), realm).rate_limit(None))
    }

    pub fn identify(&self) -> Authenticator {
        let realm = Realm::new("Acme API").unwrap();
        self.counting(Authenticator::identify(self.tokens.clone(), realm).rate_limit(None))
    }

    /// One that lets every token make so many requests a minute.
    pub fn limited(&self, requests: u32) -> Authenticator {
        self.require().rate_limit(per_minute(requests))
    }

    /// The same with a limiter of its own, where it is counted in this scene.
    pub fn counting(&self, authenticator: Authenticator) -> Authenticator {
        match &self.corner {
            None => authenticator,
            Some(_) => authenticator.limiter(self.limiter()),
        }
    }

    /// A limiter that shares nothing with others of the scene.
    pub fn limiter(&self) -> RateLimiter {
        match &self.corner {
            None => RateLimiter::local(),
            Some(corner) => RateLimiter::redis(corner.own_limits().by_given_instants()),
        }
    }

    /// How many buckets the limiters of the scene hold, of which this is the only one.
    pub fn buckets(&self, limiter: &RateLimiter) -> usize {
        self.corner.as_ref().map_or(limiter.buckets(), |corner| corner.keys().len())
    }

    pub async fn client(&self, authenticator: Authenticator) -> Client {
        self.client_of(Setup::new(authenticator)).await
    }

    pub async fn client_of(&self, setup: Setup) -> Client {
        self.over(self.framework.serve(setup).await)
    }

    pub fn over(&self, serve: Serve) -> Client {
        Client { serve, texts: self.texts.clone() }
    }
}

impl Client {
    pub async fn send(&self, request: Request) -> Response {
        (self.serve)(self.filled(request)).await
    }

    pub async fn told(&self, request: Request) -> (u16, String) {
        self.send(request).await.told()
    }

    /// The request with tokens for their names.
    pub fn filled(&self, mut request: Request) -> Request {
        for (_, value) in &mut request.headers {
            for (name, text) in &self.texts {
                let name = format!("{{{name}}}");
                if let Some(at) = value.windows(name.len()).position(|it| it == name.as_bytes()) {
                    value.splice(at..at + name.len(), text.bytes());
                }
            }
        }
        request
    }
}

pub fn per_minute(requests: u32) -> RateLimit {
    RateLimit::new(requests, Duration::MINUTE).unwrap()
}

/// What a refusal or success is told by.
pub fn is(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}
