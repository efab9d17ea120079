//! What handlers take from a request beside the token or the login.

use std::str::FromStr;

use keyfob::web::{Problem, request::RequestError};
use serde_json::{Map, Value};

use crate::answer::Failure;

/// A handler argument: the id in a path. A text that can't be an id is the id of nothing.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr> Id<T> {
    /// The text is missing where it is not even UTF-8.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Failure> {
        let id = text.and_then(|text| text.parse().ok());
        id.map(Self).ok_or_else(|| Failure(Problem::not_found()))
    }
}

/// The members of a body.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body).map_err(RequestError::NotJson)? {
        Value::Object(members) => Ok(members),
        _ => Err(Failure(Problem::invalid_fields([("body", "must be a JSON object")]))),
    }
}
