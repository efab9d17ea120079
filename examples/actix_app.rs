//! A service in one file: people keep notes in notebooks, by their browser or by a program with a token.
//!
//! `cargo run --example actix_app --features actix,manage,sqlite`, then `examples/notes.sh http://127.0.0.1:3000`.

use std::{env, error::Error, future::ready, net::TcpListener};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::header::SET_COOKIE,
    web::{self, Data, Path},
};
use keyfob::{
    ApiTokens, Owner,
    store::SqliteStore,
    web::{
        Allowed, Authenticator, Problem, Realm,
        actix::{Management, TokenMiddleware, management},
        auth::Account,
        manage::Asked,
    },
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

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
    let middleware =
        TokenMiddleware::new(Authenticator::require(tokens.clone(), Realm::new("Notes")?))
            .client_address(|request| Some(request.peer_addr()?.ip()))
            .or_session(|request| ready(Ok::<_, Problem>(person(request).map(Account::new))));
    // The session, for the tokens.
    let account = |request: HttpRequest, _: Asked| {
        let person = person(&request).ok_or_else(|| Problem::new(401, "login_required"));
        ready(person.map(Account::new))
    };
    let account_tokens = Management::new(middleware.clone(), account).openapi(true);

    let listener = TcpListener::bind(address)?;
    println!("Listening on http://{}", listener.local_addr()?);
    HttpServer::new(move || {
        let notebook = web::resource("/notebooks/{notebook}");
        App::new()
            .app_data(Data::new(database.clone()))
            .service(notebook.get(list).post(add).wrap(middleware.clone()))
            .service(management("/account/tokens", account_tokens.clone()))
            .route("/login", web::post().to(log_in))
    })
    .listen(listener)?
    .run()
    .await?;
    Ok(tokens.close().await?)
}

async fn list(
    caller: Allowed<NotebookRead>,
    notebook: Path<String>,
    database: Data<SqlitePool>,
) -> Result<String, Problem> {
    let rows = sqlx::query_scalar("SELECT text FROM notes WHERE owner = ? AND notebook = ?");
    let rows = rows.bind(caller.owner().as_str()).bind(&*notebook).fetch_all(&**database).await;
    let texts: Vec<String> = rows.map_err(|_| Problem::internal())?;
    Ok(texts.join("\n") + "\n")
}

async fn add(
    caller: Allowed<NotebookWrite>,
    notebook: Path<String>,
    database: Data<SqlitePool>,
    text: String,
) -> Result<HttpResponse, Problem> {
    let row = sqlx::query("INSERT INTO notes (owner, notebook, text) VALUES (?, ?, ?)");
    let row = row.bind(caller.owner().as_str()).bind(&*notebook).bind(text);
    row.execute(&**database).await.map_err(|_| Problem::internal())?;
    Ok(HttpResponse::Created().finish())
}

/// A STAND-IN for the application's own login: it believes each name, and the cookie is not signed.
async fn log_in(name: String) -> Result<HttpResponse, Problem> {
    Owner::new(&*name)?;
    let cookie = format!("person={name}; HttpOnly; SameSite=Lax; Path=/");
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, cookie)).finish())
}

/// The person who is logged in.
fn person(request: &HttpRequest) -> Option<Owner> {
    let cookies = request.headers().get("cookie")?.to_str().ok()?;
    let name = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("person="))?;
    Owner::new(name).ok()
}
