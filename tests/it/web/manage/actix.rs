use std::{future::ready, rc::Rc};

use actix_web::{
    App, HttpRequest,
    middleware::Condition,
    test::{TestRequest, init_service},
};
use keyfob::web::{
    Authenticator, Problem,
    actix::{Management, TokenMiddleware, management},
    auth::Account,
    manage::Asked,
};
use serde_json::Value;

use super::app::{Settings, Switches, TOKENS, account, session};
use crate::web::{actix_app::erase, app::Serve};

/// The future is none to send, as those of actix's sessions are.
async fn person(request: HttpRequest, asked: Asked) -> Result<Account, Problem> {
    let request = Rc::new(request);
    std::future::ready(()).await;
    account(request.headers().get("cookie").map(|it| it.to_str().unwrap()), &asked)
}

pub async fn serve(authenticator: Authenticator, switches: Switches) -> (Serve, Value) {
    let middleware = TokenMiddleware::new(authenticator).or_session(|request: &HttpRequest| {
        let cookie = request.headers().get("cookie").map(|it| it.to_str().unwrap());
        ready(session(cookie))
    });
    let routes = Management::new(middleware.clone(), person).set(switches);
    let document = routes.document(TOKENS);
    let app = App::new()
        .service(management("/projects/{project}/tokens", routes))
        .wrap(Condition::new(switches.inside, middleware));
    (erase(init_service(app).await, TestRequest::to_request), document)
}
