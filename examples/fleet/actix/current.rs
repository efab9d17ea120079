//! The token that a request bears. The first resource that fits is taken, so these stand before those with an id.

use actix_web::{
    http::Method,
    web::{self, Data, ServiceConfig},
};
use keyfob::web::{Authenticated, JsonBody, actix::TokenMiddleware};

use super::resource;
use crate::{App, answer::Answered, current};

pub(super) fn routes(config: &mut ServiceConfig, tokens: &TokenMiddleware) {
    let resource = |path, routes| resource(path, Some(tokens), routes);
    config
        .service(resource(
            "/account/tokens/current",
            vec![(Method::GET, web::route().to(show)), (Method::DELETE, web::route().to(revoke))],
        ))
        .service(resource(
            "/account/tokens/current/rotate",
            vec![(Method::POST, web::route().to(rotate))],
        ));
}

async fn show(token: Authenticated, app: Data<App>) -> Answered {
    current::show(&app.tokens, &token).await
}

async fn rotate(token: Authenticated, app: Data<App>, body: JsonBody) -> Answered {
    current::rotate(&app.tokens, &token, &body).await
}

async fn revoke(token: Authenticated, app: Data<App>) -> Answered {
    current::revoke(&app.tokens, &token).await
}
