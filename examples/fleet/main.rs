//! A hosting panel's API on axum and SQLite: accounts log in, make tokens, and call `/api/v1` with them.
//!
//! `cargo run --example fleet --features axum,sqlite,tracing`, then paste the line that it prints.

mod abilities;
mod account;
mod api;
mod extract;
mod failure;
mod log;
mod login;
mod panel;
mod stop;

use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use axum::{Router, extract::FromRef, middleware};
use axum_extra::extract::cookie::Key;
use clap::Parser;
use keyfob::{
    ApiTokens, TracingObserver,
    store::SqliteStore,
    web::{Problem, Realm, axum::TokenLayer},
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::net::TcpListener;

use abilities::PanelAbility;
use panel::Panel;

/// How long a request waits for the database.
const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Parser)]
#[command(about = "A hosting panel's API, with tokens by keyfob")]
struct Arguments {
    /// The address to listen on; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
    /// The SQLite file that keeps everything, made where there is none
    #[arg(long, default_value = "sqlite://fleet.db")]
    database: SqliteConnectOptions,
}

#[derive(Clone)]
struct App {
    tokens: ApiTokens,
    panel: Panel,
    cookie_key: Key,
}

impl FromRef<App> for ApiTokens {
    fn from_ref(app: &App) -> Self {
        app.tokens.clone()
    }
}

impl FromRef<App> for Panel {
    fn from_ref(app: &App) -> Self {
        app.panel.clone()
    }
}

impl FromRef<App> for Key {
    fn from_ref(app: &App) -> Self {
        app.cookie_key.clone()
    }
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
    let database = arguments
        .database
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(DEADLINE);
    let pool = SqlitePoolOptions::new().acquire_timeout(DEADLINE).connect_with(database).await?;

    let tokens = ApiTokens::builder(SqliteStore::with_pool(pool.clone()).await?)
        .prefix("fleet")
        .declare(PanelAbility::ALL)
        .unique_names(true)
        .observer(TracingObserver)
        .build()?;
    tokens.check().await?;
    tokio::spawn(tokens.background());

    let app = App {
        tokens: tokens.clone(),
        panel: Panel::new(pool.clone()).await?,
        cookie_key: login::cookie_key(&pool).await?,
    };
    let listener = TcpListener::bind(&arguments.listen).await?;
    let stop = stop::signal()?;
    greet(listener.local_addr()?);
    let served = stop::serve_until(stop, listener, routes(app)?).await;

    tokens.flush().await?;
    pool.close().await;
    Ok(served?)
}

fn routes(app: App) -> Result<Router, Box<dyn Error>> {
    let layer = TokenLayer::new(app.tokens.clone(), Realm::new("Fleet")?);
    Ok(Router::new()
        .merge(login::routes())
        .merge(account::routes())
        .merge(api::routes(layer))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn(log::request))
        .with_state(app))
}

/// The token goes from one program to the next: it is on no screen, in no history and in no list of processes.
fn greet(address: SocketAddr) {
    let json = "-H 'Content-Type: application/json'";
    let new = r#"{"name":"first-'$RANDOM$RANDOM'","abilities":["servers:read"]}"#;
    let header = r#"s/.*"token":"\([^"]*\)".*/header = "Authorization: Bearer \1"/"#;
    println!("Listening on http://{address}");
    println!("Paste this to log in, make a token and call the API with it:");
    println!(
        r#"curl -sS -c - {json} -d '{{"account":"ada"}}' http://{address}/login | curl -sS -b - {json} -d '{new}' http://{address}/account/tokens | sed '{header}' | curl -sS -K - -w '\n' http://{address}/api/v1/servers"#
    );
}
