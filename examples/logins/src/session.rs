//! actix with actix-session.

use actix_session::{Session, SessionExt, SessionMiddleware, storage::CookieSessionStore};
use actix_web::{
    HttpRequest, HttpResponse, cookie::Key, dev::HttpServiceFactory, error::Error, web,
};
use keyfob::{
    ApiTokens, InvalidValue,
    web::{Allowed, TokenAuthenticated, actix::TokenMiddleware},
};

use crate::{Login, ServersCreate, ServersRead, account, authenticator};

/// Make it once, outside of the closure that makes the app: all workers then share the rate limits.
pub fn session_or_token(tokens: ApiTokens) -> Result<TokenMiddleware, InvalidValue> {
    Ok(TokenMiddleware::new(authenticator(tokens)?).or_session(|request: &HttpRequest| {
        let session = request.get_session();
        async move {
            let name = session.get::<String>("name")?;
            let account = name.map(|name| account(&name)).transpose()?;
            Ok::<_, Box<dyn std::error::Error>>(account)
        }
    }))
}

pub fn sessions(key: Key) -> SessionMiddleware<CookieSessionStore> {
    SessionMiddleware::new(CookieSessionStore::default(), key)
}

pub fn routes(session_or_token: TokenMiddleware) -> impl FnOnce(&mut web::ServiceConfig) {
    move |app| {
        app.route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .service(panel(session_or_token));
    }
}

/// The routes that accept a session or a token.
pub fn panel(session_or_token: TokenMiddleware) -> impl HttpServiceFactory {
    web::scope("")
        .wrap(session_or_token)
        .route("/servers", web::get().to(list_servers))
        .route("/servers", web::post().to(create_server))
        .route("/current", web::get().to(current))
}

async fn list_servers(caller: Allowed<ServersRead>) -> String {
    format!("the servers of {}", caller.owner())
}

async fn create_server(caller: Allowed<ServersCreate>) -> HttpResponse {
    HttpResponse::Created().body(format!("a server of {}", caller.owner()))
}

async fn current(token: TokenAuthenticated) -> String {
    token.name().to_string()
}

async fn log_in(session: Session, login: web::Form<Login>) -> Result<HttpResponse, Error> {
    session.renew();
    session.insert("name", &login.name)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn log_out(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::NoContent().finish()
}
