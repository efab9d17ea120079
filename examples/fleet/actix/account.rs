//! The login, and the tokens of the account that is logged in.

use actix_web::{
    HttpRequest,
    http::Method,
    web::{self, Data, ServiceConfig},
};
use keyfob::{TokenId, web::JsonBody};

use super::resource;
use crate::{
    App, account,
    answer::{Answer, Answered},
    extract::Id,
    login::{self, Login},
    origin::SameOrigin,
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/login", None, vec![(Method::POST, web::route().to(log_in))]))
        .service(resource("/logout", None, vec![(Method::POST, web::route().to(log_out))]))
        .service(resource(
            "/account/tokens",
            None,
            vec![(Method::GET, web::route().to(list)), (Method::POST, web::route().to(create))],
        ))
        .service(resource(
            "/account/tokens/revoke",
            None,
            vec![(Method::POST, web::route().to(revoke))],
        ))
        .service(resource(
            "/account/tokens/{id}",
            None,
            vec![
                (Method::GET, web::route().to(show)),
                (Method::PATCH, web::route().to(change)),
                (Method::DELETE, web::route().to(revoke_one)),
            ],
        ))
        .service(resource(
            "/account/tokens/{id}/rotate",
            None,
            vec![(Method::POST, web::route().to(rotate))],
        ))
        .service(resource(
            "/account/tokens/{id}/suspend",
            None,
            vec![(Method::POST, web::route().to(suspend))],
        ))
        .service(resource(
            "/account/tokens/{id}/resume",
            None,
            vec![(Method::POST, web::route().to(resume))],
        ));
}

async fn log_in(_: SameOrigin, app: Data<App>, body: JsonBody) -> Answered {
    login::log_in(&app.cookie_key, &body)
}

async fn log_out(_: SameOrigin) -> Answer {
    login::log_out()
}

async fn list(Login(owner): Login, app: Data<App>, request: HttpRequest) -> Answered {
    account::list(&app.tokens, &owner, request.query_string()).await
}

async fn create(Login(owner): Login, app: Data<App>, body: JsonBody) -> Answered {
    account::create(&app.tokens, owner, &body).await
}

async fn show(Login(owner): Login, app: Data<App>, Id(id): Id<TokenId>) -> Answered {
    account::show(&app.tokens, &owner, id).await
}

async fn change(
    Login(owner): Login,
    app: Data<App>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Answered {
    account::change(&app.tokens, &owner, id, &body).await
}

async fn rotate(
    Login(owner): Login,
    app: Data<App>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Answered {
    account::rotate(&app.tokens, &owner, id, &body).await
}

async fn suspend(
    Login(owner): Login,
    app: Data<App>,
    Id(id): Id<TokenId>,
    body: JsonBody,
) -> Answered {
    account::suspend(&app.tokens, &owner, id, &body).await
}

async fn resume(Login(owner): Login, app: Data<App>, Id(id): Id<TokenId>) -> Answered {
    account::resume(&app.tokens, &owner, id).await
}

async fn revoke_one(Login(owner): Login, app: Data<App>, Id(id): Id<TokenId>) -> Answered {
    account::revoke_one(&app.tokens, &owner, id).await
}

async fn revoke(Login(owner): Login, app: Data<App>, body: JsonBody) -> Answered {
    account::revoke(&app.tokens, &owner, &body).await
}
