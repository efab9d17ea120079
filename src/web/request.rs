//! What a client asks for, read from JSON or a query: field by field, so that it is told everything that is wrong at
//! once.
//!
//! Nothing in a body ever says whose token it is. Members that are not named here are passed over.

use serde_json::{Map, Value};
use time::Duration;

use crate::{
    InvalidFields, ListTokens, NewToken, Owner, Timestamp, TokenChange, TokenId,
    policy::{Expiry, Fields, Requested, Terms},
    store::{BoxError, Show},
};

use super::Problem;

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// How many tokens can be named in one request: what fits into a body.
const MOST_IDS: usize = 500;

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The body does not say that it is JSON.
    #[error("the body has another media type than JSON")]
    UnknownMediaType,
    /// The body is longer than [`MAX_BODY`].
    #[error("the body is longer than {MAX_BODY} bytes")]
    TooLong,
    /// The body ended before it was complete.
    #[error("the body was interrupted")]
    Interrupted(#[source] BoxError),
    /// The body is no JSON.
    #[error("the body is no JSON")]
    NotJson(#[source] serde_json::Error),
    /// Members of the body, or parameters of the query, are wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidFields),
}

impl From<&RequestError> for Problem {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::UnknownMediaType => Self::unsupported_media_type(),
            RequestError::TooLong => Self::content_too_large(),
            RequestError::Interrupted(_) | RequestError::NotJson(_) => Self::malformed_body(),
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

/// Checks that a body says that it is JSON: `application/json`, or a type that ends in `+json`, with any parameters.
///
/// # Errors
/// [`RequestError::UnknownMediaType`], also where it does not say what it is.
///
/// ```
/// use keyfob::web::request::check_media_type;
///
/// assert!(check_media_type(Some(b"application/json; charset=utf-8")).is_ok());
/// assert!(check_media_type(Some(b"text/plain")).is_err());
/// assert!(check_media_type(None).is_err());
/// ```
pub fn check_media_type(content_type: Option<&[u8]>) -> Result<(), RequestError> {
    let text = content_type.and_then(|value| std::str::from_utf8(value).ok());
    let essence = text.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    let is_json = kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json");
    is_json.then_some(()).ok_or(RequestError::UnknownMediaType)
}

/// Reads which tokens to list from the query of a request, the part after `?`: `per_page`, `cursor`, and `state`, which
/// is `revoked` or `any`. Absent is 50 tokens a page from the newest on, without the revoked ones.
///
/// Nothing is decoded: all that is valid here is written without `%`. Parameters that are not named here are passed
/// over. The size and the cursor are checked when the tokens are listed.
///
/// # Errors
/// [`RequestError::Invalid`]
///
/// ```
/// use keyfob::web::request;
///
/// assert!(request::list("per_page=20&state=any").is_ok());
/// assert!(request::list("state=broken").is_err());
/// ```
pub fn list(query: &str) -> Result<ListTokens, RequestError> {
    let mut fields = Fields::default();
    let mut list = ListTokens::new();
    for parameter in query.split('&') {
        list = match parameter.split_once('=').unwrap_or((parameter, "")) {
            // What is no number is no size either, and is refused with the same words.
            ("per_page", size) => list.per_page(size.parse().unwrap_or(0)),
            ("cursor", cursor) => list.cursor(cursor),
            ("state", "revoked") => list.show(Show::Revoked),
            ("state", "any") => list.show(Show::Any),
            ("state", _) => {
                fields.refuse("state", "must be \"revoked\" or \"any\"");
                list
            }
            _ => list,
        };
    }
    if fields.is_empty() { Ok(list) } else { Err(fields.into_error().into()) }
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
    let terms = body.terms(Body::expiry);
    body.finish()?;
    let mut new = NewToken::new(owner, name.unwrap_or_default());
    new.terms = terms;
    Ok(new)
}

/// Reads what is to be changed of a token: `name`, `abilities`, `expires_at`, `metadata`; absent stays as it is.
///
/// # Errors
/// [`RequestError`]
pub fn token_change(body: &[u8]) -> Result<TokenChange, RequestError> {
    let mut body = Body::read(body)?;
    let name = body.text("name");
    let terms = body.terms(Body::expires_at);
    body.finish()?;
    let mut change = name.map_or_else(TokenChange::new, |name| TokenChange::new().name(name));
    change.terms = terms;
    Ok(change)
}

/// Reads which tokens are to be revoked: `ids`, a list of at most 500, or `"all": true`.
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
            "must be a list of at most 500 token ids, or \"all\": true in its place",
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
        let value = serde_json::from_slice(body).map_err(RequestError::NotJson)?;
        if let Value::Object(members) = value {
            return Ok(Self { members, fields });
        }
        fields.refuse("body", "must be a JSON object");
        Err(fields.into_error().into())
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
        let text = self.members.get(field)?.as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse(field, "must be a text");
        }
        text
    }

    fn terms(&mut self, expiry: fn(&mut Self) -> Option<Expiry>) -> Terms {
        let (abilities, expiry) = (self.abilities(), expiry(self));
        Terms { abilities, expiry, metadata: self.take("metadata") }
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
    fn only_json_is_taken_for_json() {
        for good in
            ["application/json", "Application/JSON ;charset=utf-8", "application/merge-patch+json"]
        {
            assert!(check_media_type(Some(good.as_bytes())).is_ok(), "{good}");
        }
        for bad in [
            "",
            "json",
            "text/json",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "\u{e9}",
        ] {
            assert!(check_media_type(Some(bad.as_bytes())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_listing_is_asked_for_by_its_parameters_alone() {
        for good in ["", "per_page=1&cursor=x&state=any", "owner=eve&state=revoked", "&&"] {
            assert!(list(good).is_ok(), "{good}");
        }
        for bad in ["state", "state=", "state=active", "state=any&state=broken"] {
            assert!(matches!(list(bad), Err(RequestError::Invalid(_))), "{bad}");
        }
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
