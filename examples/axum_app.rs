//! A service in one file: people keep notes in notebooks, by their browser or by a program with a token.
//!
//! `cargo run --example axum_app --features axum,manage,sqlite`, then `examples/notes.sh http://127.0.0.1:3000`.

use std::{env, error::Error, future::ready, net::SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header::SET_COOKIE, request::Parts},
    routing::{get, post},
};
use keyfob::{
    ApiTokens, Owner,
    store::SqliteStore,
    web::{
        Allowed, Authenticator, Problem, Realm,
        auth::Account,
        axum::{Management, TokenLayer, management},
        manage::Asked,
    },
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio::net::TcpListener;

keyfob::abilities! {
    enum NotesAbility {
        NotebookRead = "notebooks:{notebook}:read", "Read the notes of a notebook";
        NotebookWrite = "notebooks:{notebook}:write", "Add notes to a notebook";
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let file = arguments.next().unwrap_or_else(|| "notes.db".to_owned());
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let database = SqlitePool::connect_with(options).await?;
    let notes = "CREATE TABLE IF NOT EXISTS notes (owner TEXT, notebook TEXT, text TEXT)";
    sqlx::query(notes).execute(&database).await?;

    let tokens = ApiTokens::builder(SqliteStore::with_pool(database.clone()).await?)
        .prefix("notes")
        .declare(NotesAbility::ALL)
        .build()?;
    tokio::spawn(tokens.background());

    // A token, or the session of the browser, for the API.
    let layer = TokenLayer::new(Authenticator::require(tokens.clone(), Realm::new("Notes")?))
        .client_address(|parts| Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()))
        .or_session(|parts| ready(Ok::<_, Problem>(person(&parts.headers).map(Account::new))));
    // The session, for the tokens.
    let account = |parts: Parts, _: Asked| {
        let person = person(&parts.headers).ok_or_else(|| Problem::new(401, "login_required"));
        ready(person.map(Account::new))
    };
    let account_tokens = Management::new(layer.clone(), account).openapi(true);

    let app = Router::new()
        .route("/notebooks/{notebook}", get(list).post(add))
        .layer(layer)
        // These routes authenticate by themselves. Inside of the layer, a suspended token could not end itself.
        .nest("/account/tokens", management(account_tokens))
        .route("/login", post(log_in))
        .with_state(database);
    let listener = TcpListener::bind(address).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stop()).await?;
    Ok(tokens.close().await?)
}

async fn list(
    caller: Allowed<NotebookRead>,
    Path(notebook): Path<String>,
    State(database): State<SqlitePool>,
) -> Result<String, Problem> {
    let rows = sqlx::query_scalar("SELECT text FROM notes WHERE owner = ? AND notebook = ?");
    let rows = rows.bind(caller.owner().as_str()).bind(notebook).fetch_all(&database).await;
    let texts: Vec<String> = rows.map_err(|_| Problem::internal())?;
    Ok(texts.join("\n") + "\n")
}

async fn add(
    caller: Allowed<NotebookWrite>,
    Path(notebook): Path<String>,
    State(database): State<SqlitePool>,
    text: String,
) -> Result<StatusCode, Problem> {
    let row = sqlx::query("INSERT INTO notes (owner, notebook, text) VALUES (?, ?, ?)");
    let row = row.bind(caller.owner().as_str()).bind(notebook).bind(text);
    row.execute(&database).await.map_err(|_| Problem::internal())?;
    Ok(StatusCode::CREATED)
}

/// A STAND-IN for the application's own login: it believes each name, and the cookie is not signed.
async fn log_in(
    name: String,
) -> Result<(StatusCode, [(axum::http::HeaderName, String); 1]), Problem> {
    Owner::new(&*name)?;
    let cookie = format!("person={name}; HttpOnly; SameSite=Lax; Path=/");
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]))
}

/// The person who is logged in.
fn person(headers: &HeaderMap) -> Option<Owner> {
    let cookies = headers.get("cookie")?.to_str().ok()?;
    let name = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("person="))?;
    Owner::new(name).ok()
}

async fn stop() {
    let _ = tokio::signal::ctrl_c().await;
}
