use serde::Serialize;

use crate::{
    token::{IssuedToken, Timestamp, TokenRecord},
    web::{IssuedTokenResource, Problem, TokenResource},
};

use super::Target;

/// A response as plain values, which an adapter translates.
pub(crate) enum Answer {
    Problem(Problem),
    Done(Done),
}

/// The response to a request that was served. It may show a token, so it has no `Debug`.
pub(crate) struct Done {
    pub(crate) status: u16,
    /// With lower-case names.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

pub(super) type Answered = Result<Done, Problem>;

impl Done {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        // Resources can always be written as JSON.
        let body = serde_json::to_string(body).unwrap_or_default();
        // All of them are about one account.
        let answer = Self { body, ..Self::new(status) }.header("cache-control", "no-store");
        answer.header("content-type", "application/json")
    }

    /// A document, or a file of one.
    pub(super) fn text(status: u16, media_type: &str, body: String) -> Self {
        Self { body, ..Self::new(status) }.header("content-type", media_type)
    }

    /// Sends the browser on to a path of the page.
    pub(super) fn see_other(path: String) -> Self {
        Self::new(303).header("location", path).header("cache-control", "no-store")
    }

    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    pub(super) fn no_content() -> Self {
        Self::new(204)
    }

    pub(super) fn accepted() -> Self {
        Self::json(202, &serde_json::json!({}))
    }

    /// A token as it is at an instant.
    pub(super) fn token(record: &TokenRecord, now: Timestamp) -> Self {
        Self::ok(&TokenResource::new(record, now))
    }

    /// A token with its plain text, which is shown here and nowhere else.
    pub(super) fn issued(issued: &IssuedToken, target: &Target) -> Self {
        Self::json(201, &IssuedTokenResource::new(issued))
            .header("location", target.path_of(issued.record.id))
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
