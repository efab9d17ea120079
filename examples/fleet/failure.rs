use std::error::Error;

use axum::response::{IntoResponse, Response};
use keyfob::web::Problem;

/// What a handler answers when it can't do what it is for. Every error that knows its problem becomes one with `?`.
pub(crate) struct Failure(pub(crate) Problem);

impl<E: Error + 'static> From<E> for Failure
where
    for<'a> Problem: From<&'a E>,
{
    fn from(error: E) -> Self {
        let problem = Problem::from(&error);
        if problem.status() >= 500 {
            tracing::error!(error = &error as &dyn Error, "request failed");
        }
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
