use std::rc::Rc;

use ::axum::Router;
use ::http::request::Parts;
use ::tower::ServiceExt;
use futures_util::FutureExt;
use keyfob::web::{
    Authenticator, Problem,
    auth::Account,
    axum::{Management, management},
    manage::Asked,
};
use serde_json::Value;

use super::app::{Settings, Switches, TOKENS, account};
use crate::web::{
    app::Serve,
    axum_app::{answer, translate},
};

async fn person(parts: Parts, asked: Asked) -> Result<Account, Problem> {
    account(parts.headers.get("cookie").map(|it| it.to_str().unwrap()), &asked)
}

pub fn serve(authenticator: Authenticator, switches: Switches) -> (Serve, Value) {
    let mounted = Management::new(authenticator, person).set(switches);
    let document = mounted.document(TOKENS);
    let router: Router = Router::new().nest("/projects/{project}/tokens", management(mounted));
    let serve: Serve = Rc::new(move |request| {
        let router = router.clone();
        async move { answer(router.oneshot(translate(request)).await).await }.boxed_local()
    });
    (serve, document)
}
