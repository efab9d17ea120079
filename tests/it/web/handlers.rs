//! The handlers, the same on both frameworks.

use keyfob::{
    ApiTokens, NewToken, Owner, VerifyError,
    limit::Charge,
    store::MemoryStore,
    token::{RateLimit, ReportOnly},
    web::{
        Allowed, AllowedAll, AllowedAny, Authenticated, Guard, JsonBody, MaybeAllowed, Problem,
        TokenAllowed, TokenAuthenticated, auth::Caller, request,
    },
};
use time::Duration;

use super::app::handled;

keyfob::abilities! {
    pub enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
        ServersDelete = "servers:delete", "Delete servers";
        ProjectWrite = "projects:{id}:write", "Change a project";
    }
}

pub type Both = (ServersRead, ServersCreate);
pub type Mixed = (ServersCreate, ReportOnly<ServersDelete>);
pub type ProjectOrServers = (ProjectWrite, ServersRead);
pub type Reported = (ReportOnly<ServersCreate>, ReportOnly<ServersDelete>);

/// An answer with headers of the handler's own.
pub struct OwnHeaders;

impl OwnHeaders {
    pub const HEADERS: &[(&str, &str)] =
        &[("x-ratelimit-limit", "7"), ("cache-control", "max-age=60")];
}

/// The headers of a request that are marked as sensitive, in the order of names.
pub struct Sensitive(pub Vec<String>);

pub fn hello(caller: &Caller) -> String {
    handled();
    match caller.actor() {
        Some(actor) => format!("hello {actor} of {}", caller.owner()),
        None => format!("hello {}", caller.owner()),
    }
}

pub fn hello_maybe(token: MaybeAllowed<ServersRead>) -> String {
    match token.into_inner() {
        Some(token) => hello(&token),
        None => open_to_all("hello nobody"),
    }
}

fn open_to_all(text: &str) -> String {
    handled();
    text.to_owned()
}

pub async fn open() -> String {
    open_to_all("open")
}

pub async fn absent() -> Result<String, Problem> {
    handled();
    Err(Problem::not_found())
}

/// Another text is verified than the one that came with the request.
pub async fn refused() -> Result<String, Problem> {
    handled();
    Err(VerifyError::Unknown)?
}

pub async fn lacking() -> Result<String, Problem> {
    handled();
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
    let issued = tokens.issue(NewToken::new(Owner::new("user:42")?, "ci")).await?;
    tokens.verify(issued.plain.expose_secret()).await?.require("servers:create")?;
    Ok(String::new())
}

pub async fn invalid() -> Result<String, Problem> {
    handled();
    Ok(Owner::new("")?.to_string())
}

pub async fn own_body() -> Result<String, Problem> {
    handled();
    Err(Problem::new(409, "busy").with_body("text/plain", "the handler's own"))
}

pub async fn authenticated(token: Authenticated) -> String {
    hello(&token)
}

/// Only a token has an id.
pub async fn token_authenticated(token: TokenAuthenticated) -> String {
    handled();
    format!("token of {}", token.owner())
}

pub async fn token_allowed(token: TokenAllowed<ServersRead>) -> String {
    handled();
    format!("token of {}", token.owner())
}

pub async fn allowed(token: Allowed<ServersRead>) -> String {
    hello(&token)
}

pub async fn maybe(token: MaybeAllowed<ServersRead>) -> String {
    hello_maybe(token)
}

pub async fn any(token: AllowedAny<Both>) -> String {
    hello(&token)
}

pub async fn all(token: AllowedAll<Both>) -> String {
    hello(&token)
}

pub async fn trial(token: Allowed<ReportOnly<ServersCreate>>) -> String {
    hello(&token)
}

pub async fn trial_maybe(token: MaybeAllowed<ReportOnly<ServersCreate>>) -> String {
    token.as_ref().map_or_else(|| open_to_all("hello nobody"), |it| hello(it))
}

pub async fn trial_any(token: AllowedAny<Mixed>) -> String {
    hello(&token)
}

pub async fn trial_all(token: AllowedAll<Mixed>) -> String {
    hello(&token)
}

pub async fn trial_none(token: AllowedAny<Reported>) -> String {
    hello(&token)
}

pub async fn typed(caller: Allowed<ProjectWrite>) -> String {
    hello(&caller)
}

pub async fn typed_trial(caller: MaybeAllowed<ReportOnly<ProjectWrite>>) -> String {
    caller.as_ref().map_or_else(|| open_to_all("hello nobody"), |it| hello(it))
}

pub async fn typed_maybe(caller: MaybeAllowed<ProjectWrite>) -> String {
    caller.as_ref().map_or_else(|| open_to_all("hello nobody"), |it| hello(it))
}

pub async fn typed_any(caller: AllowedAny<ProjectOrServers>) -> String {
    hello(&caller)
}

pub async fn typed_all(caller: AllowedAll<ProjectOrServers>) -> String {
    hello(&caller)
}

pub async fn own_headers(_: Authenticated) -> OwnHeaders {
    handled();
    OwnHeaders
}

pub async fn sensitive(_: MaybeAllowed<ServersRead>, sensitive: Sensitive) -> String {
    open_to_all(&sensitive.0.join(" "))
}

pub async fn json(_: Allowed<ServersRead>, body: JsonBody) -> Result<String, Problem> {
    let change = request::token_change(&body).map_err(|error| Problem::from(&error))?;
    handled();
    Ok(format!("{change:?}"))
}

pub fn guard(ability: &str) -> Guard {
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    Guard::ability(&tokens, ability).unwrap()
}

/// Five of a hundred in an hour.
pub fn five() -> Charge {
    let hourly = RateLimit::new(100, Duration::HOUR).unwrap();
    Charge::new("create", hourly).unwrap().cost(5).unwrap()
}

/// One in a minute.
pub fn seldom() -> Charge {
    Charge::new("seldom", RateLimit::new(1, Duration::MINUTE).unwrap()).unwrap()
}

/// Four more of what every request is charged.
pub fn costly() -> Charge {
    Charge::of(RateLimit::default()).cost(4).unwrap()
}

/// Handlers that authenticate by themselves, with the `Verified` that is in scope.
macro_rules! state_handlers {
    () => {
        async fn state_authenticated(Verified(token): Verified<Authenticated>) -> String {
            hello(&token)
        }

        async fn state_allowed(Verified(token): Verified<Allowed<ServersRead>>) -> String {
            hello(&token)
        }

        async fn state_maybe(Verified(token): Verified<MaybeAllowed<ServersRead>>) -> String {
            hello_maybe(token)
        }

        async fn state_two(
            Verified(token): Verified<Allowed<ServersRead>>,
            Verified(other): Verified<Authenticated>,
        ) -> String {
            assert_eq!(token.token().map(|it| it.id()), other.token().map(|it| it.id()));
            hello(&token)
        }

        async fn state_maybe_two(
            Verified(_): Verified<MaybeAllowed<ServersRead>>,
            Verified(token): Verified<MaybeAllowed<ServersRead>>,
        ) -> String {
            hello_maybe(token)
        }

        async fn state_typed(Verified(token): Verified<Allowed<ProjectWrite>>) -> String {
            hello(&token)
        }

        async fn state_results(
            one: Result<Verified<Authenticated>, keyfob::web::Problem>,
            other: Result<Verified<Authenticated>, keyfob::web::Problem>,
        ) -> String {
            let status =
                |it: Result<_, keyfob::web::Problem>| it.err().map_or(200, |it| it.status());
            format!("{} {}", status(one), status(other))
        }

        async fn state_served(
            token: Result<Verified<Authenticated>, keyfob::web::Problem>,
        ) -> &'static str {
            token.map_or("served", |_| "good")
        }

        async fn state_beside(
            Verified(token): Verified<Authenticated>,
            layers: Allowed<ServersRead>,
        ) -> String {
            format!("{} beside {}", hello(&token), layers.owner())
        }
    };
}
pub(super) use state_handlers;
