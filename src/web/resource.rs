use std::{borrow::Cow, fmt, num::NonZeroU32};

use serde::Serialize;

use crate::{
    manage::TokenPage,
    token::{
        Abilities, Ability, Actor, IssuedToken, Metadata, RateLimit, Reason, Timestamp, TokenId,
        TokenName, TokenRecord, TokenState,
    },
};

/// A token as JSON, for its owner: everything but the secret, its digest and the owner.
///
/// Times are RFC 3339 in UTC and whole seconds; `null` is never. Abilities are a list, or `"*"` for all. What few
/// tokens have is a member only where there is something to say: `rotated_at`, `grace_ends_at`,
/// `grace_until_first_use`, `not_before`, `idle_seconds`, `suspended_at`, `suspended_until` and `suspended_because`,
/// `allowed_addresses`, `rate_limit`, `parent`, `used_abilities`, `created_by`.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore, web::TokenResource};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// let owner = Owner::new("user:42").unwrap();
/// let issued = tokens.issue(NewToken::new(owner, "ci").abilities(["servers:read"])).await.unwrap();
///
/// let json = serde_json::to_value(TokenResource::new(&issued.record, tokens.now())).unwrap();
/// assert_eq!(json["abilities"], serde_json::json!(["servers:read"]));
/// assert_eq!(json["state"], "active");
/// assert_eq!(json["last_used_at"], serde_json::Value::Null);
/// # });
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct TokenResource<'a> {
    id: TokenId,
    public_part: String,
    name: &'a TokenName,
    abilities: &'a Abilities,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a Actor>,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    state: TokenState,
    generation: u32,
    version: u32,
    #[serde(flatten)]
    rare: RareMembers<'a>,
    metadata: Cow<'a, Metadata>,
}

/// Members that are there only where they say something.
#[derive(Clone, Debug, Default, Serialize)]
struct RareMembers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_ends_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    grace_until_first_use: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_seconds: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_because: Option<&'a Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_addresses: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimitResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<TokenId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    used_abilities: Vec<&'a Ability>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct RateLimitResource {
    requests: u32,
    seconds: u32,
}

impl From<RateLimit> for RateLimitResource {
    fn from(limit: RateLimit) -> Self {
        Self { requests: limit.requests(), seconds: limit.seconds() }
    }
}

impl<'a> RareMembers<'a> {
    fn of(record: &'a TokenRecord, now: Timestamp) -> Self {
        let suspension = record.suspension.as_deref().filter(|it| it.holds_at(now));
        let previous =
            record.previous.as_deref().filter(|it| it.is_good_at(now, record.first_used_at));
        Self {
            rotated_at: record.rotated_at,
            grace_ends_at: previous.and_then(|it| it.ends_at),
            grace_until_first_use: previous.is_some_and(|it| it.ends_on_first_use),
            not_before: record.not_before,
            idle_seconds: record.idle_seconds,
            suspended_at: suspension.map(|it| it.since),
            suspended_until: suspension.and_then(|it| it.until),
            suspended_because: suspension.and_then(|it| it.reason.as_ref()),
            allowed_addresses: record.allowed_addresses().map(|it| it.iter().collect()),
            rate_limit: record.rate_limit().map(RateLimitResource::from),
            parent: record.parent(),
            used_abilities: record
                .rare
                .as_ref()
                .map_or_else(Vec::new, |rare| rare.used_abilities.iter().collect()),
        }
    }
}

impl<'a> TokenResource<'a> {
    /// The token as it is at an instant.
    #[must_use]
    pub fn new(record: &'a TokenRecord, now: Timestamp) -> Self {
        Self {
            id: record.id,
            public_part: record.public_part(),
            name: &record.name,
            abilities: &record.abilities,
            created_at: record.created_at,
            created_by: record.rare.as_ref().and_then(|rare| rare.created_by.as_ref()),
            last_used_at: record.last_used_at,
            expires_at: record.expires_at,
            revoked_at: record.revocation.as_ref().map(|revocation| revocation.at),
            state: record.state_at(now),
            generation: record.generation,
            version: record.version,
            rare: RareMembers::of(record, now),
            metadata: record.metadata().map(Cow::Borrowed).unwrap_or_default(),
        }
    }
    /// The same with the rate limit that holds for the token, whether it is its own or not.
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(super) fn with_rate_limit(mut self, limit: Option<RateLimit>) -> Self {
        self.rare.rate_limit = limit.map(RateLimitResource::from);
        self
    }
}

/// A token that was just issued or rotated, as JSON: the token with one more member, `token`. That is its plain text,
/// which can't be had again, so whatever carries this must not be kept: answer it with `Cache-Control: no-store`.
#[derive(Serialize)]
pub struct IssuedTokenResource<'a> {
    #[serde(flatten)]
    resource: TokenResource<'a>,
    token: &'a str,
}

impl<'a> IssuedTokenResource<'a> {
    /// The token as it was issued.
    #[must_use]
    pub fn new(issued: &'a IssuedToken) -> Self {
        let made = issued.record.rotated_at.unwrap_or(issued.record.created_at);
        let resource = TokenResource::new(&issued.record, made);
        Self { resource, token: issued.plain.expose_secret() }
    }
}

impl fmt::Debug for IssuedTokenResource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokenResource").field("id", &self.resource.id).finish_non_exhaustive()
    }
}

/// A page of tokens as JSON: `tokens`, and `next_cursor`, which is `null` on the last page.
#[derive(Clone, Debug, Serialize)]
pub struct TokenPageResource<'a> {
    tokens: Vec<TokenResource<'a>>,
    next_cursor: Option<&'a str>,
}

impl<'a> TokenPageResource<'a> {
    /// The tokens as they are at an instant.
    #[must_use]
    pub fn new(page: &'a TokenPage, now: Timestamp) -> Self {
        Self {
            tokens: page.tokens.iter().map(|record| TokenResource::new(record, now)).collect(),
            next_cursor: page.next_cursor.as_deref(),
        }
    }
}
