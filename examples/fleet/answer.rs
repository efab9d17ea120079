//! What handlers answer, as plain values: each framework only translates them.

use std::error::Error;

use keyfob::web::Problem;
use serde::Serialize;

use crate::page::HTML;

pub(crate) type Answered = Result<Answer, Failure>;

/// What a handler answers when it did what it is for.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn created(body: &impl Serialize) -> Self {
        Self::json(201, body)
    }

    pub(crate) fn html(body: &str) -> Self {
        let answer = Self { status: 200, headers: Vec::new(), body: body.to_owned() };
        answer.header("content-type", HTML)
    }

    pub(crate) fn see_other(path: &str) -> Self {
        Self { status: 303, headers: Vec::new(), body: String::new() }.header("location", path)
    }

    /// A browser goes on to the start page, and a program needs no content.
    pub(crate) fn after_log_out(accept: Option<&[u8]>) -> Self {
        let is_browser = accept.is_some_and(|it| it.starts_with(b"text/html"));
        if is_browser { Self::see_other("/") } else { Self::no_content() }
    }

    pub(crate) fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        // Resources of the library, and values, can always be written as JSON.
        let body = serde_json::to_string(body).unwrap_or_default();
        let answer = Self { status, headers: Vec::new(), body };
        // All of them are about one account.
        answer.header("content-type", "application/json").header("cache-control", "no-store")
    }
}

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
