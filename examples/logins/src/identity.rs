//! actix with actix-identity, which keeps the user's name in a session of actix-session.

use actix_identity::{Identity, IdentityExt, error::GetIdentityError};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, error::Error, web};
use keyfob::{ApiTokens, InvalidValue, web::actix::TokenMiddleware};

use crate::{Login, account, authenticator, session::panel};

pub fn session_or_token(tokens: ApiTokens) -> Result<TokenMiddleware, InvalidValue> {
    Ok(TokenMiddleware::new(authenticator(tokens)?).or_session(|request: &HttpRequest| {
        let identity = request.get_identity();
        async move {
            let name = match identity.and_then(|identity| identity.id()) {
                Err(GetIdentityError::MissingIdentityError(_)) => return Ok(None),
                name => name?,
            };
            Ok::<_, Box<dyn std::error::Error>>(Some(account(&name)?))
        }
    }))
}

pub fn routes(session_or_token: TokenMiddleware) -> impl FnOnce(&mut web::ServiceConfig) {
    move |app| {
        app.route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .service(panel(session_or_token));
    }
}

async fn log_in(request: HttpRequest, login: web::Form<Login>) -> Result<HttpResponse, Error> {
    Identity::login(&request.extensions(), login.name.clone())?;
    Ok(HttpResponse::NoContent().finish())
}

async fn log_out(identity: Identity) -> HttpResponse {
    identity.logout();
    HttpResponse::NoContent().finish()
}
