use std::rc::Rc;

use actix_web::{
    App, HttpRequest,
    test::{TestRequest, init_service},
};
use keyfob::web::{
    Authenticator, Problem,
    actix::{Management, management},
    auth::Account,
    manage::Asked,
};
use serde_json::Value;

use super::app::{Settings, Switches, TOKENS, account};
use crate::web::{actix_app::erase, app::Serve};

/// The future is none to send, as those of actix's sessions are.
async fn person(request: HttpRequest, asked: Asked) -> Result<Account, Problem> {
    let request = Rc::new(request);
    std::future::ready(()).await;
    account(request.headers().get("cookie").map(|it| it.to_str().unwrap()), &asked)
}

pub async fn serve(authenticator: Authenticator, switches: Switches) -> (Serve, Value) {
    let routes = Management::new(authenticator, person).set(switches);
    let document = routes.document(TOKENS);
    let app = App::new().service(management("/projects/{project}/tokens", routes));
    (erase(init_service(app).await, TestRequest::to_request), document)
}
