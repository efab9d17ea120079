//! The table of routes. Both routers are made of it.

use super::{Step, Target};

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) method: &'static str,
    /// Below the mount. `{id}` stands for a token.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    pub(super) by: By,
}

/// The party that makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// An account that takes a step, or a token that the application lets manage others.
    Account(Step),
    /// A token.
    Bearer,
    /// A secret of a token, whatever the token's state.
    Secret,
    /// Anyone.
    Anyone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    List,
    Create,
    Abilities,
    RevokeMany,
    RevokePresented,
    ShowCurrent,
    RotateCurrent,
    RevokeCurrent,
    Show,
    Change,
    Revoke,
    Rotate,
    Suspend,
    Resume,
}

const fn route(method: &'static str, path: &'static str, operation: Operation, by: By) -> Route {
    Route { method, path, operation, by }
}

const SEE: By = By::Account(Step::See);
const CREATE: By = By::Account(Step::Create);
const CHANGE: By = By::Account(Step::Change);

/// Paths without parameters come before those with one.
pub(super) const ROUTES: &[Route] = &[
    route("GET", "/", Operation::List, SEE),
    route("POST", "/", Operation::Create, CREATE),
    route("GET", "/abilities", Operation::Abilities, SEE),
    route("POST", "/revoke", Operation::RevokeMany, CHANGE),
    route("POST", "/revoke-presented", Operation::RevokePresented, By::Anyone),
    route("GET", "/current", Operation::ShowCurrent, By::Bearer),
    route("DELETE", "/current", Operation::RevokeCurrent, By::Secret),
    route("POST", "/current/rotate", Operation::RotateCurrent, By::Bearer),
    route("GET", "/{id}", Operation::Show, SEE),
    route("PATCH", "/{id}", Operation::Change, CHANGE),
    route("DELETE", "/{id}", Operation::Revoke, CHANGE),
    route("POST", "/{id}/rotate", Operation::Rotate, CHANGE),
    route("POST", "/{id}/suspend", Operation::Suspend, CHANGE),
    route("POST", "/{id}/resume", Operation::Resume, CHANGE),
];

/// The result of a look at the table.
#[derive(Debug)]
pub(super) enum Found {
    Route(&'static Route),
    /// The path has other methods, as `Allow` names them.
    OtherMethods(String),
    Nothing,
}

/// Finds the route of a request. `is_on` says which routes the application has switched on.
pub(super) fn find(method: &str, target: &Target, is_on: impl Fn(&Route) -> bool) -> Found {
    let on = || ROUTES.iter().filter(|route| is_on(route));
    let Some(path) = on().map(|route| route.path).find(|path| matches(path, target)) else {
        return Found::Nothing;
    };
    // HEAD is GET without the body, which the server leaves out.
    let wanted = if method == "HEAD" { "GET" } else { method };
    if let Some(route) = on().find(|route| route.path == path && route.method == wanted) {
        return Found::Route(route);
    }
    let methods = on().filter(|route| route.path == path).flat_map(|route| {
        let head = (route.method == "GET").then_some("HEAD");
        [Some(route.method), head].into_iter().flatten()
    });
    Found::OtherMethods(methods.collect::<Vec<_>>().join(", "))
}

fn matches(path: &str, target: &Target) -> bool {
    let mut expected = path.split('/').skip(1).filter(|it| !it.is_empty());
    let mut segments = target.segments.iter();
    loop {
        match (expected.next(), segments.next()) {
            (None, None) => return true,
            (Some("{id}"), Some(_)) => {}
            (Some(expected), Some(segment)) if expected == segment => {}
            _ => return false,
        }
    }
}
