use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::request_info::RequestInfo;

/// What every route asks of a token, found out while a test suite calls them, so that a test can pin it.
///
/// A layer that is told of it [records](super::Authenticator::record_guards) the method, the route and the ability of
/// every guard that is asked, and the requests that were let in and met none. Printed, it has a line for each guard.
///
/// ```
/// # futures_executor::block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use keyfob::{testing, web::{Allowed, Authenticator, GuardLog, Realm, axum::TokenLayer}};
/// use tower::ServiceExt;
///
/// keyfob::abilities! {
///     pub enum PanelAbility {
///         ServersRead = "servers:read", "List and show servers";
///     }
/// }
///
/// async fn show(_: Allowed<ServersRead>) {}
/// async fn forgotten() {}
///
/// let (tokens, _) = testing::in_memory("acme");
/// let guards = GuardLog::default();
/// let authenticator = Authenticator::require(tokens.clone(), Realm::new("Acme")?).record_guards(&guards);
/// let routes: Router = Router::new()
///     .route("/servers/{id}", get(show))
///     .route("/forgotten", get(forgotten))
///     .layer(TokenLayer::new(authenticator));
///
/// let ada = testing::acting_as(&tokens, "user:42", ["servers:read"]).await;
/// for path in ["/servers/7", "/forgotten"] {
///     let (name, value) = ada.header();
///     let request = Request::get(path).header(name, value).body(Body::empty())?;
///     routes.clone().oneshot(request).await?;
/// }
/// assert_eq!(guards.to_string(), "GET /servers/{id} servers:read\n");
/// assert_eq!(guards.unguarded(), ["GET /forgotten"]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct GuardLog(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Route, method, and what was asked.
    guards: BTreeSet<(String, String, String)>,
    /// Route and method.
    unguarded: BTreeSet<(String, String)>,
}

impl GuardLog {
    /// The method and route of every request that was let in and that no guard was asked about. What was answered with
    /// 405, or with 404 where no route was matched, does not count: there was nothing to guard.
    #[must_use]
    pub fn unguarded(&self) -> Vec<String> {
        let seen = self.lock();
        seen.unguarded.iter().map(|(route, method)| format!("{method} {route}")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for GuardLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock()
            .guards
            .iter()
            .try_for_each(|(route, method, asked)| writeln!(f, "{method} {route} {asked}"))
    }
}

/// One request, as a log of guards sees it.
#[derive(Debug)]
pub(super) struct GuardTrace {
    log: GuardLog,
    method: String,
    route: String,
    has_route: bool,
    guarded: AtomicBool,
}

impl GuardTrace {
    pub(super) fn new(log: GuardLog, request: &impl RequestInfo) -> Self {
        let (method, has_route) = (request.method().to_owned(), request.route().is_some());
        Self { log, method, route: route(request), has_route, guarded: AtomicBool::new(false) }
    }

    pub(super) fn asked(&self, request: &impl RequestInfo, what: String) {
        self.guarded();
        self.log.lock().guards.insert((route(request), self.method.clone(), what));
    }

    pub(super) fn guarded(&self) {
        self.guarded.store(true, Relaxed);
    }

    pub(super) fn end(&self, status: u16) {
        let is_nowhere = status == 405 || status == 404 && !self.has_route;
        if !self.guarded.load(Relaxed) && !is_nowhere {
            self.log.lock().unguarded.insert((self.route.clone(), self.method.clone()));
        }
    }
}

fn route(request: &impl RequestInfo) -> String {
    request.route().unwrap_or_else(|| request.path().to_owned())
}
