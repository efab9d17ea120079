//! The table of routes. Both routers, the answers and the OpenAPI document are made of it.

use crate::web::request::MAX_BODY;

use super::{Step, Target, leaked};

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Below the mount. `{id}` stands for a token.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    pub(super) summary: &'static str,
    pub(super) by: By,
    pub(super) body: Option<Body>,
    /// The status of success, and the schema of its body.
    pub(super) gives: (u16, Option<&'static str>),
    /// The statuses of refusals that follow from neither `by` nor `body`.
    pub(super) refuses: &'static [u16],
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

/// The body that a route takes. The body of a request to another route is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub(super) schema: &'static str,
    pub(super) is_required: bool,
    /// In bytes.
    pub(super) longest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    List,
    Create,
    Abilities,
    Document,
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

const SEE: By = By::Account(Step::See);
const CREATE: By = By::Account(Step::Create);
const CHANGE: By = By::Account(Step::Change);

impl Route {
    const fn new(
        (method, path): (&'static str, &'static str),
        by: By,
        operation: Operation,
        summary: &'static str,
    ) -> Self {
        Self { method, path, operation, summary, by, body: None, gives: (204, None), refuses: &[] }
    }

    const fn takes(self, schema: &'static str) -> Self {
        let body = Body { schema, is_required: true, longest: MAX_BODY };
        Self { body: Some(body), ..self }
    }

    const fn may_take(self, schema: &'static str) -> Self {
        let body = Body { schema, is_required: false, longest: MAX_BODY };
        Self { body: Some(body), ..self }
    }

    const fn takes_up_to(self, longest: usize, schema: &'static str) -> Self {
        let body = Body { schema, is_required: true, longest };
        Self { body: Some(body), ..self }
    }

    const fn gives(self, status: u16, schema: &'static str) -> Self {
        Self { gives: (status, Some(schema)), ..self }
    }

    /// Returns `true` if the answer shows the plain text of a token.
    pub(super) fn shows_secret(&self) -> bool {
        self.gives.1 == Some("IssuedToken")
    }

    const fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }
}

use Operation as Op;

/// Paths without parameters come before those with one.
pub(super) const ROUTES: &[Route] = &[
    Route::new(("GET", "/"), SEE, Op::List, "Lists tokens.")
        .gives(200, "TokenPage")
        .refuses(&[422]),
    Route::new(("POST", "/"), CREATE, Op::Create, "Creates a token, and shows it once.")
        .takes("NewToken")
        .gives(201, "IssuedToken")
        .refuses(&[409]),
    Route::new(("GET", "/abilities"), SEE, Op::Abilities, "Lists the abilities to grant.")
        .gives(200, "GrantableAbilities"),
    Route::new(("GET", "/openapi.json"), By::Anyone, Op::Document, "Shows this document.")
        .gives(200, "Document"),
    Route::new(("POST", "/revoke"), CHANGE, Op::RevokeMany, "Revokes several tokens, or all.")
        .takes("Revocation")
        .gives(200, "Revoked"),
    Route::new(
        ("POST", "/revoke-presented"),
        By::Anyone,
        Op::RevokePresented,
        "Revokes leaked tokens.",
    )
    .takes_up_to(leaked::MAX_BODY, "PresentedTokens")
    .gives(202, "Nothing")
    .refuses(&[429]),
    Route::new(("GET", "/current"), By::Bearer, Op::ShowCurrent, "Shows the token presented.")
        .gives(200, "CurrentToken"),
    Route::new(
        ("DELETE", "/current"),
        By::Secret,
        Op::RevokeCurrent,
        "Revokes the token presented, whatever its state.",
    ),
    Route::new(
        ("POST", "/current/rotate"),
        By::Bearer,
        Op::RotateCurrent,
        "Rotates the token presented, and shows its new text once.",
    )
    .may_take("Rotation")
    .gives(201, "IssuedToken")
    .refuses(&[409, 412]),
    Route::new(("GET", "/{id}"), SEE, Op::Show, "Shows a token.")
        .gives(200, "Token")
        .refuses(&[404]),
    Route::new(("PATCH", "/{id}"), CHANGE, Op::Change, "Changes a token.")
        .takes("TokenChange")
        .gives(200, "Token")
        .refuses(&[404, 409, 412]),
    Route::new(("DELETE", "/{id}"), CHANGE, Op::Revoke, "Revokes a token, for good.")
        .refuses(&[404, 422]),
    Route::new(
        ("POST", "/{id}/rotate"),
        CHANGE,
        Op::Rotate,
        "Rotates a token, and shows its new text once.",
    )
    .may_take("Rotation")
    .gives(201, "IssuedToken")
    .refuses(&[404, 409, 412]),
    Route::new(("POST", "/{id}/suspend"), CHANGE, Op::Suspend, "Suspends a token.")
        .may_take("Suspension")
        .gives(200, "Token")
        .refuses(&[404, 409]),
    Route::new(("POST", "/{id}/resume"), CHANGE, Op::Resume, "Ends the suspension of a token.")
        .may_take("Nothing")
        .gives(200, "Token")
        .refuses(&[404, 409]),
];

/// A route as a request finds it.
pub(super) trait Place {
    /// The method, and the path below the mount.
    fn place(&self) -> (&'static str, &'static str);
}

impl Place for Route {
    fn place(&self) -> (&'static str, &'static str) {
        (self.method, self.path)
    }
}

/// The result of a look at a table of routes.
#[derive(Debug)]
pub(super) enum Found<R: 'static> {
    Route(&'static R),
    /// The path has other methods, as `Allow` names them.
    OtherMethods(String),
    Nothing,
}

/// Finds the route of a request among those that are switched on.
pub(super) fn find<R: Place>(
    routes: &(impl Iterator<Item = &'static R> + Clone),
    method: &str,
    target: &Target,
) -> Found<R> {
    let places = || routes.clone().map(|route| (route, route.place()));
    let Some(path) = places().map(|(_, (_, path))| path).find(|path| matches(path, target)) else {
        return Found::Nothing;
    };
    // HEAD is GET without the body, which the server leaves out.
    let wanted = if method == "HEAD" { "GET" } else { method };
    if let Some((route, _)) = places().find(|(_, place)| *place == (wanted, path)) {
        return Found::Route(route);
    }
    let methods = places().filter(|(_, (_, it))| *it == path).flat_map(|(_, (method, _))| {
        let head = (method == "GET").then_some("HEAD");
        [Some(method), head].into_iter().flatten()
    });
    Found::OtherMethods(methods.collect::<Vec<_>>().join(","))
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
