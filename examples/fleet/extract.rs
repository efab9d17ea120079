//! What handlers take from a request beside the token or the login.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use keyfob::web::{Problem, request::RequestError};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The id in a path. A text that can't be an id is the id of nothing.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
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
