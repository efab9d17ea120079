//! A hosting panel's API: accounts log in, make tokens, and call `/api/v1` with them.
//!
//! What it does knows no framework. The folder of a framework holds what only that one can say: routes, and handlers
//! that name the ability they ask for.
//!
//! `cargo run --example fleet --features actix,axum,manage,sqlite,tracing`, then paste the line that it prints.

mod abilities;
mod actix;
mod answer;
mod api;
mod axum;
mod database;
mod extract;
mod log;
mod login;
mod origin;
mod page;
mod panel;
mod stop;

use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use cookie::Key;
use keyfob::{
    Cache, Policy,
    event::TracingObserver,
    limit::RateLimiter,
    token::{NamePolicy, RateLimit},
    web::{Authenticator, Realm, manage::page::PageOptions},
};
#[cfg(feature = "redis")]
use keyfob::{cluster::RedisSignal, limit::RedisLimits};
use tokio::net::TcpListener;

use abilities::PanelAbility;
use database::Database;
use panel::Panel;

#[derive(Parser)]
#[command(about = "A hosting panel's API, with tokens by keyfob")]
struct Arguments {
    /// The address to listen on; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
    /// What keeps everything, the same for every process of a fleet: `sqlite://FILE`, `postgres://…` or `mysql://…`
    #[arg(long, default_value = "sqlite://fleet.db")]
    database: String,
    /// For how many seconds a token is good by what was read of it before, at most 60; 0 asks the database each time
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    max_staleness: u32,
    /// Where the processes of a fleet count requests together, and tell each other of revocations: `redis://…`
    #[cfg(feature = "redis")]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// How often a token may be used in a minute
    #[arg(long, value_name = "REQUESTS", default_value_t = 60)]
    per_minute: u32,
    /// How long a client may take to send the headers of a request
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    header_timeout: u64,
    /// How long a request may take, from its headers to its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    request_timeout: u64,
    /// The names that tokens may have: `free` is any name, `strict` at most 50 letters, digits, `-` and `_`
    #[arg(long, value_enum, default_value_t)]
    name_policy: Names,
    /// The framework that serves
    #[arg(long, value_enum, default_value_t)]
    server: Server,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Server {
    #[default]
    Axum,
    Actix,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Names {
    #[default]
    Free,
    Strict,
}

impl From<Names> for NamePolicy {
    fn from(names: Names) -> Self {
        match names {
            Names::Free => Self::free_text(),
            Names::Strict => Self::strict(),
        }
    }
}

/// What handlers work with.
#[derive(Clone)]
struct App {
    panel: Panel,
    cookie_key: Key,
    authenticator: Authenticator,
    page: PageOptions,
    patience: Patience,
}

/// How long a client is waited for. A client that never ends what it began would otherwise hold a connection for ever.
#[derive(Clone, Copy)]
struct Patience {
    headers: Duration,
    request: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    log::to_stderr();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.as_ref(), "the service failed");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let database = Database::open(&arguments.database).await?;
    let tokens = database
        .tokens()
        .await?
        .prefix("fleet")
        .declare(PanelAbility::ALL)
        .policy(Policy::new().unique_names(true).name_policy(arguments.name_policy.into()))
        .cache(Cache::for_up_to(time::Duration::seconds(arguments.max_staleness.into())))
        .inline_observer(TracingObserver);
    let limiter = RateLimiter::local();
    #[cfg(feature = "redis")]
    let (tokens, limiter) = match &arguments.redis {
        Some(url) => (
            tokens.signal(RedisSignal::open(url, "fleet:tokens")?),
            RateLimiter::redis(RedisLimits::open(url)?.prefix("fleet")),
        ),
        None => (tokens, limiter),
    };
    let tokens = tokens.build()?;
    tokens.check().await?;
    tokio::spawn(tokens.background());

    let listener = TcpListener::bind(&arguments.listen).await?;
    let address = listener.local_addr()?;
    let app = App {
        panel: Panel::new(database.clone(), tokens.clone()).await?,
        cookie_key: login::cookie_key(&database).await?,
        authenticator: Authenticator::require(tokens.clone(), Realm::new("Fleet")?)
            .rate_limit(RateLimit::new(arguments.per_minute, time::Duration::MINUTE)?)
            .limiter(limiter),
        page: page::options(&address.to_string())?,
        patience: Patience {
            headers: Duration::from_secs(arguments.header_timeout),
            request: Duration::from_secs(arguments.request_timeout),
        },
    };
    let stop = stop::signal()?;
    greet(address);
    let served = match arguments.server {
        Server::Axum => axum::serve(app, listener, stop).await,
        Server::Actix => actix::serve(app, listener, stop).await,
    };

    tokens.close().await?;
    database.close().await;
    Ok(served?)
}

/// The token goes from one program to the next: it is on no screen, in no history and in no list of processes.
fn greet(address: SocketAddr) {
    let json = format!("-H 'Content-Type: application/json' -H 'Origin: http://{address}'");
    let new = r#"{"name":"first-'$RANDOM$RANDOM'","abilities":["servers:read"]}"#;
    let header = r#"s/.*"token":"\([^"]*\)".*/header = "Authorization: Bearer \1"/"#;
    println!("Listening on http://{address}");
    println!(
        "Open http://{address}/settings/tokens in a browser, or paste this to call the API with a new token:"
    );
    println!(
        r#"curl -sS -c - {json} -d '{{"account":"ada"}}' http://{address}/login | curl -sS -b - {json} -d '{new}' http://{address}/account/tokens | sed '{header}' | curl -sS -K - -w '\n' http://{address}/api/v1/servers"#
    );
}
