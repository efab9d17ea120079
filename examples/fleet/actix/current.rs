//! The token that a request bears. The first resource that fits is taken, so these stand before those with an id.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{AUTHORIZATION, HeaderValue},
    },
    web::{self, Data, ServiceConfig},
};
use keyfob::web::{JsonBody, TokenAuthenticated, actix::TokenMiddleware};

use super::resource;
use crate::{App, answer::Answered, current};

pub(super) fn routes(config: &mut ServiceConfig, tokens: &TokenMiddleware) {
    config
        .service(resource(
            "/account/tokens/current",
            None,
            vec![
                (Method::GET, web::route().to(show).wrap(tokens.clone())),
                (Method::DELETE, web::route().to(revoke)),
            ],
        ))
        .service(resource(
            "/account/tokens/current/rotate",
            Some(tokens),
            vec![(Method::POST, web::route().to(rotate))],
        ));
}

async fn show(token: TokenAuthenticated, app: Data<App>) -> Answered {
    current::show(&app.tokens, &token).await
}

async fn rotate(token: TokenAuthenticated, app: Data<App>, body: JsonBody) -> Answered {
    current::rotate(&app.tokens, &token, &body).await
}

async fn revoke(request: HttpRequest, app: Data<App>) -> Answered {
    let headers = request.headers().get_all(AUTHORIZATION);
    current::revoke(&app, headers.map(HeaderValue::as_bytes)).await
}
