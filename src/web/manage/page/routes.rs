//! The table of the page's routes.

use super::super::{Step, routes::Place};

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    place: (&'static str, &'static str),
    pub(super) operation: Operation,
    /// `None`: anyone.
    pub(super) step: Option<Step>,
    pub(super) shows_secret: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Asset,
    List,
    AskCreate,
    Create,
    Show,
    Change,
    AskRotate,
    Rotate,
    AskSuspend,
    Suspend,
    Resume,
    AskRevoke,
    Revoke,
    AskRevokeAll,
    RevokeMany,
}

impl Place for Route {
    fn place(&self) -> (&'static str, &'static str) {
        self.place
    }
}

impl Route {
    const fn new(
        method: &'static str,
        path: &'static str,
        step: Option<Step>,
        operation: Operation,
    ) -> Self {
        let shows_secret = matches!(operation, Operation::Create | Operation::Rotate);
        Self { place: (method, path), operation, step, shows_secret }
    }
}

const SEE: Option<Step> = Some(Step::See);
const CREATE: Option<Step> = Some(Step::Create);
const CHANGE: Option<Step> = Some(Step::Change);

/// Paths without parameters come before those with one.
pub(super) const ROUTES: &[Route] = &[
    Route::new("GET", "/", SEE, Operation::List),
    Route::new("GET", "/new", CREATE, Operation::AskCreate),
    Route::new("POST", "/new", CREATE, Operation::Create),
    Route::new("GET", "/revoke", CHANGE, Operation::AskRevokeAll),
    Route::new("POST", "/revoke", CHANGE, Operation::RevokeMany),
    Route::new("GET", "/assets/{id}", None, Operation::Asset),
    Route::new("GET", "/{id}", SEE, Operation::Show),
    Route::new("POST", "/{id}", CHANGE, Operation::Change),
    Route::new("GET", "/{id}/rotate", CHANGE, Operation::AskRotate),
    Route::new("POST", "/{id}/rotate", CHANGE, Operation::Rotate),
    Route::new("GET", "/{id}/suspend", CHANGE, Operation::AskSuspend),
    Route::new("POST", "/{id}/suspend", CHANGE, Operation::Suspend),
    Route::new("POST", "/{id}/resume", CHANGE, Operation::Resume),
    Route::new("GET", "/{id}/revoke", CHANGE, Operation::AskRevoke),
    Route::new("POST", "/{id}/revoke", CHANGE, Operation::Revoke),
];
