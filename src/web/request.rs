//! What a client asks for, read from JSON: field by field, so that it is told everything that is wrong at once.
//!
//! Nothing in a body ever says whose token it is. Members that are not named here are passed over.

use serde_json::{Map, Value};
use time::Duration;

use crate::{
    InvalidFields, NewToken, Owner, Timestamp, TokenChange, TokenId,
    policy::{Expiry, Fields, Requested},
};

use super::Problem;

/// How many tokens can be named in one request.
const MOST_IDS: usize = 1_000;

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is no JSON.
    #[error("the body is no JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON, and members of it are wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidFields),
}

impl From<&RequestError> for Problem {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::NotJson(_) => Self::malformed_body(),
            RequestError::Invalid(invalid) => Self::validation_failed(invalid),
        }
    }
}

/// Which tokens are to be revoked together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoke {
    /// These.
    Ids(Vec<TokenId>),
    /// All of the owner.
    All,
}

/// Reads what a new token is to be: `name`, `abilities`, `metadata`, and either `expires_at` or `expires_in_days`.
///
/// Absent is the application's default, and an expiry of `null` is never. What the application allows is checked when
/// the token is issued.
///
/// # Errors
/// [`RequestError`]
///
/// ```
/// use keyfob::{Owner, web::request};
///
/// let owner = Owner::new("user:42").unwrap();
/// assert!(request::new_token(owner.clone(), br#"{ "name": "ci", "expires_in_days": 90 }"#).is_ok());
/// assert!(request::new_token(owner, br#"{ "name": 7 }"#).is_err());
/// ```
pub fn new_token(owner: Owner, body: &[u8]) -> Result<NewToken, RequestError> {
    let mut body = Body::read(body)?;
    let name = body.text("name");
    if !body.members.contains_key("name") {
        body.refuse("name", "must be given");
    }
    let (abilities, expiry, metadata) = (body.abilities(), body.expiry(), body.take("metadata"));
    body.finish()?;
    let new = NewToken::new(owner, name.unwrap_or_default());
    Ok(new.requested(abilities, expiry.unwrap_or_default(), metadata))
}

/// Reads what is to be changed of a token: `name`, `abilities`, `expires_at`, `metadata`; absent stays as it is.
///
/// # Errors
/// [`RequestError`]
pub fn token_change(body: &[u8]) -> Result<TokenChange, RequestError> {
    let mut body = Body::read(body)?;
    let (name, abilities) = (body.text("name"), body.abilities());
    let (expiry, metadata) = (body.expires_at(), body.take("metadata"));
    body.finish()?;
    Ok(TokenChange::requested(name, abilities, expiry, metadata))
}

/// Reads which tokens are to be revoked: `ids`, a list of at most 1,000, or `"all": true`.
///
/// # Errors
/// [`RequestError`]
pub fn revoke(body: &[u8]) -> Result<Revoke, RequestError> {
    let mut body = Body::read(body)?;
    let revoke = match (body.take("ids"), body.take("all")) {
        (None, Some(Value::Bool(true))) => Some(Revoke::All),
        (Some(Value::Array(ids)), None) if ids.len() <= MOST_IDS => {
            let ids = ids.iter().map(|id| id.as_str()?.parse().ok()).collect::<Option<_>>();
            ids.map(Revoke::Ids)
        }
        _ => None,
    };
    if revoke.is_none() {
        body.refuse(
            "ids",
            "must be a list of at most 1,000 token ids, or \"all\": true in its place",
        );
    }
    body.finish()?;
    Ok(revoke.unwrap_or(Revoke::Ids(Vec::new())))
}

/// The members of a body, and what is wrong with them so far.
struct Body {
    members: Map<String, Value>,
    fields: Fields,
}

impl Body {
    fn read(body: &[u8]) -> Result<Self, RequestError> {
        let mut fields = Fields::default();
        match serde_json::from_slice(body).map_err(RequestError::NotJson)? {
            Value::Object(members) => Ok(Self { members, fields }),
            _ => {
                fields.refuse("body", "must be a JSON object");
                Err(fields.into_error().into())
            }
        }
    }

    fn take(&mut self, member: &str) -> Option<Value> {
        self.members.remove(member)
    }

    fn refuse(&mut self, field: &'static str, message: &str) {
        self.fields.refuse(field, message);
    }

    fn finish(self) -> Result<(), InvalidFields> {
        if self.fields.is_empty() { Ok(()) } else { Err(self.fields.into_error()) }
    }

    fn text(&mut self, field: &'static str) -> Option<String> {
        match self.members.get(field)? {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.refuse(field, "must be a text");
                None
            }
        }
    }

    fn abilities(&mut self) -> Option<Requested> {
        match self.take("abilities")? {
            Value::String(all) if all == "*" => Some(Requested::All),
            Value::Array(list) => {
                let texts: Option<Vec<_>> =
                    list.iter().map(|it| it.as_str().map(str::to_owned)).collect();
                texts.map(Requested::Set).or_else(|| self.refuse_abilities())
            }
            _ => self.refuse_abilities(),
        }
    }

    fn refuse_abilities<T>(&mut self) -> Option<T> {
        self.refuse("abilities", "must be a list of texts, or \"*\" for all");
        None
    }

    fn expires_at(&mut self) -> Option<Expiry> {
        match self.take("expires_at")? {
            Value::Null => Some(Expiry::Never),
            value => {
                let instant = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
                if instant.is_none() {
                    let message = "must be an RFC 3339 date and time, or null for never";
                    self.refuse("expires_at", message);
                }
                instant.map(Expiry::At)
            }
        }
    }

    fn expiry(&mut self) -> Option<Expiry> {
        let Some(days) = self.take("expires_in_days") else {
            return self.expires_at();
        };
        if self.members.contains_key("expires_at") {
            self.refuse("expires_in_days", "must not be given together with expires_at");
        }
        let days = days.as_u64().and_then(|days| u32::try_from(days).ok());
        if days.is_none_or(|days| days == 0) {
            self.refuse("expires_in_days", "must be a whole number of days, at least 1");
        }
        days.map(|days| Expiry::In(Duration::days(days.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Vec<&'static str> {
        let owner = Owner::new("user:42").unwrap();
        match new_token(owner, body.as_bytes()) {
            Err(RequestError::Invalid(invalid)) => {
                invalid.errors.iter().map(|error| error.field).collect()
            }
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let body = r#"{"name":7,"abilities":"all","expires_at":"soon"}"#;
        assert_eq!(refused(body), ["name", "abilities", "expires_at"]);
        assert_eq!(refused("[]"), ["body"]);
        assert_eq!(refused("{}"), ["name"]);
        assert_eq!(refused(r#"{"name":null}"#), ["name"]);
    }

    #[test]
    fn an_expiry_is_given_in_one_way() {
        let both = r#"{"name":"a","expires_in_days":1,"expires_at":null}"#;
        assert_eq!(refused(both), ["expires_in_days"]);
        for days in ["0", "-1", "1.5", "null", "\"1\"", "4294967296"] {
            let body = format!(r#"{{"name":"a","expires_in_days":{days}}}"#);
            assert_eq!(refused(&body), ["expires_in_days"], "{days}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_wrong() {
        let owner = Owner::new("user:42").unwrap();
        assert!(matches!(new_token(owner, b"{"), Err(RequestError::NotJson(_))));
        assert!(matches!(token_change(b""), Err(RequestError::NotJson(_))));
    }

    #[test]
    fn ids_or_all_are_revoked_and_never_both() {
        let id = TokenId::from_u128(7);
        let ids = revoke(format!(r#"{{"ids":["{id}"]}}"#).as_bytes());
        assert_eq!(ids.unwrap(), Revoke::Ids(vec![id]));
        assert_eq!(revoke(br#"{"all":true}"#).unwrap(), Revoke::All);
        for body in ["{}", r#"{"all":false}"#, r#"{"ids":[],"all":true}"#, r#"{"ids":["x"]}"#] {
            assert!(revoke(body.as_bytes()).is_err(), "{body}");
        }
    }
}
