use std::{future::ready, rc::Rc};

use ::axum::Router;
use ::http::request::Parts;
use ::tower::ServiceExt;
use futures_util::FutureExt;
use keyfob::web::{
    Authenticator, Problem,
    auth::Account,
    axum::{Management, TokenLayer, management},
    manage::Asked,
};
use serde_json::Value;

use super::app::{Settings, Switches, TOKENS, account, session};
use crate::web::{
    app::Serve,
    axum_app::{answer, translate},
};

async fn person(parts: Parts, asked: Asked) -> Result<Account, Problem> {
    account(parts.headers.get("cookie").map(|it| it.to_str().unwrap()), &asked)
}

pub fn serve(authenticator: Authenticator, switches: Switches) -> (Serve, Value) {
    let layer = TokenLayer::new(authenticator).or_session(|parts: &Parts| {
        let cookie = parts.headers.get("cookie").map(|it| it.to_str().unwrap());
        ready(session(cookie))
    });
    let mounted = Management::new(layer.clone(), person).set(switches);
    let document = mounted.document(TOKENS);
    let router: Router = Router::new().nest("/projects/{project}/tokens", management(mounted));
    let router = if switches.inside { router.layer(layer) } else { router };
    let serve: Serve = Rc::new(move |request| {
        let router = router.clone();
        async move { answer(router.oneshot(translate(request)).await).await }.boxed_local()
    });
    (serve, document)
}
