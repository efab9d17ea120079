//! What a client asks for, read from JSON or a query: field by field, so that it is told everything that is wrong at
//! once.
//!
//! Nothing in a body ever says whose token it is. A member that is not named at its function is refused.

mod body;
mod json;
#[cfg(test)]
mod tests;

use serde_json::Value;
use time::Duration;

use crate::{
    issue::NewToken,
    manage::{ListTokens, TokenChange, TokenRotation},
    store::BoxError,
    token::{Fields, InvalidFields, Owner, Reason, Rule, Timestamp, TokenId, TokenState},
};

use super::Problem;

use self::body::Body;

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// How many tokens can be named in one request: what fits into a body.
const MOST_IDS: usize = 500;
/// How many texts can be sent in one request for revoking leaked tokens.
const MOST_PRESENTED: usize = 1_000;

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The body does not say that it is JSON.
    #[error("the body has another media type than JSON")]
    UnknownMediaType,
    /// The body has a `Content-Encoding` other than `identity`.
    #[error("the body is encoded")]
    Encoded,
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
            RequestError::UnknownMediaType | RequestError::Encoded => {
                Self::unsupported_media_type()
            }
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

/// How a token is to be suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspend {
    /// Until when; `None` is until somebody resumes it.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
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
    let (kind, subtype) = essence(content_type).split_once('/').unwrap_or_default();
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    let is_json = kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json");
    is_json.then_some(()).ok_or(RequestError::UnknownMediaType)
}

/// Checks that a body says that it is a form of a browser.
#[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
pub(super) fn check_form(content_type: Option<&[u8]>) -> Result<(), RequestError> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let is_form = essence(content_type).eq_ignore_ascii_case(FORM);
    is_form.then_some(()).ok_or(RequestError::UnknownMediaType)
}

/// A media type without its parameters.
fn essence(content_type: Option<&[u8]>) -> &str {
    let text = content_type.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.split(';').next()).unwrap_or_default().trim()
}

/// Reads which tokens to list from the query of a request, the part after `?`:
///
/// | parameter | takes | absent |
/// |---|---|---|
/// | `sort` | `created`, `name`, `last_used` or `expires`, and `-` before it for descending order | `-created` |
/// | `state` | a state, as often as there are states, or `any` | all but `revoked` |
/// | `q` | a part of the name, in upper or lower case | any name |
/// | `ability` | an ability that the token permits | any |
/// | `unused_days` | days, 0 to 36,500, in which the token was neither issued nor used | |
/// | `expiring_days` | days, 0 to 36,500, within which the token expires | |
/// | `per_page` | 1 to 200 | 50 |
/// | `cursor` | the `next_cursor` of a page of the same list | the first page |
///
/// Values may be written with `%` and two hex digits, and `+` for a space. Parameters that are not named here are passed
/// over. The size, the cursor, the ability and the length of `q` are checked when the tokens are listed.
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
    let (mut list, mut states) = (ListTokens::new(), Vec::new());
    for (parameter, value) in form_urlencoded::parse(query.as_bytes()) {
        list = match (&*parameter, &*value) {
            // What is no number is no size either, and is refused with the same words.
            ("per_page", size) => list.per_page(size.parse().unwrap_or(0)),
            ("cursor", cursor) => list.cursor(cursor),
            ("state", "any") => list.any_state(),
            ("state", state) => {
                states.extend(fields.check("state", state.parse::<TokenState>()));
                list
            }
            ("sort", order) => match fields.check("sort", order.parse()) {
                Some(order) => list.sort(order),
                None => list,
            },
            ("q", part) => list.name_contains(part),
            ("ability", ability) => list.ability(ability),
            ("unused_days", days) => match fields.check("unused_days", in_days(days)) {
                Some(time) => list.unused_for(time),
                None => list,
            },
            ("expiring_days", days) => match fields.check("expiring_days", in_days(days)) {
                Some(time) => list.expiring_within(time),
                None => list,
            },
            _ => list,
        };
    }
    if !states.is_empty() {
        list = list.states(states);
    }
    if fields.is_empty() { Ok(list) } else { Err(fields.into_error().into()) }
}

/// A time that is more than this was not before any token.
const MOST_DAYS: u16 = 36_500;

fn in_days(text: &str) -> Result<Duration, &'static str> {
    let days = text.parse::<u16>().ok().filter(|days| *days <= MOST_DAYS);
    days.map(|days| Duration::days(days.into())).ok_or("must be a number of days from 0 to 36500")
}

/// Reads what a new token is to be: `name`, `abilities`, `metadata`, either `expires_at` or `expires_in_days`, and what
/// makes it less: `not_before`, `idle_seconds`, `allowed_addresses`. Its rate limit is not the client's to say.
///
/// Absent is the application's default, and `null` is never, at once, or everywhere. What the application allows is
/// checked when the token is issued.
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
    if !body.members.contains_key("name") {
        body.refuse("name", Rule::Missing);
    }
    let name = body.text("name");
    let settings = body.settings(Body::expiry);
    body.finish()?;
    let mut new = NewToken::new(owner, name.unwrap_or_default());
    new.settings = settings;
    Ok(new)
}

/// Reads what is to be changed of a token: `name`, `abilities`, `expires_at`, `metadata`, `not_before`, `idle_seconds`,
/// `allowed_addresses`; absent stays as it is.
///
/// # Errors
/// [`RequestError`]
pub fn token_change(body: &[u8]) -> Result<TokenChange, RequestError> {
    let mut body = Body::read(body)?;
    let name = body.text("name");
    let settings = body.settings(Body::expires_at);
    body.finish()?;
    let mut change = name.map_or_else(TokenChange::new, |name| TokenChange::new().name(name));
    change.settings = settings;
    Ok(change)
}

/// Reads how a token is to be rotated: `grace_seconds`, `generation`, `expires_at`, `until_first_use`, `end_grace`, as
/// [`TokenRotation`] has them. No body is a rotation with a grace of 24 hours.
///
/// # Errors
/// [`RequestError`]
///
/// ```
/// use keyfob::web::request;
///
/// assert!(request::rotation(b"").is_ok());
/// assert!(request::rotation(br#"{ "grace_seconds": 3600, "generation": 2 }"#).is_ok());
/// assert!(request::rotation(br#"{ "grace_seconds": "long" }"#).is_err());
/// ```
pub fn rotation(body: &[u8]) -> Result<TokenRotation, RequestError> {
    let mut body = Body::read_optional(body)?;
    let mut rotation = TokenRotation::new();
    if let Some(seconds) = body.number("grace_seconds") {
        rotation = rotation.grace(Duration::seconds(seconds));
    }
    if let Some(generation) = body.number("generation") {
        match u32::try_from(generation) {
            Ok(generation) => rotation = rotation.generation(generation),
            Err(_) => body.refuse("generation", "must be at least 0 and below 4294967296"),
        }
    }
    if body.flag("until_first_use") {
        rotation = rotation.until_first_use();
    }
    if body.flag("end_grace") {
        rotation = rotation.end_running_grace();
    }
    rotation.expiry = body.expires_at();
    body.finish()?;
    Ok(rotation)
}

/// Reads how a token is to be suspended: `until`, and `reason`, a text of at most 255 bytes. No body is until somebody
/// resumes it.
///
/// # Errors
/// [`RequestError`]
pub fn suspension(body: &[u8]) -> Result<Suspend, RequestError> {
    let mut body = Body::read_optional(body)?;
    let until = body.instant("until", "must be an RFC 3339 date and time, or null").flatten();
    let text = match body.take("reason") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => Some(String::new()),
    };
    let reason = text.map(Reason::new).transpose();
    let reason = body.fields.check("reason", reason).flatten();
    body.finish()?;
    Ok(Suspend { until, reason })
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

/// Reads a body that asks for nothing in particular: none, or an empty object.
///
/// # Errors
/// [`RequestError`]
pub fn nothing(body: &[u8]) -> Result<(), RequestError> {
    Ok(Body::read_optional(body)?.finish()?)
}

/// Reads texts that may be tokens: `tokens`, a list of at most 1,000.
///
/// # Errors
/// [`RequestError`]
pub fn presented(body: &[u8]) -> Result<Vec<String>, RequestError> {
    let mut body = Body::read(body)?;
    let list = body.take("tokens");
    let list = list.as_ref().and_then(Value::as_array).filter(|it| it.len() <= MOST_PRESENTED);
    let texts = list.and_then(|list| body::texts(list));
    if texts.is_none() {
        body.refuse("tokens", "must be a list of at most 1000 texts");
    }
    body.finish()?;
    Ok(texts.unwrap_or_default())
}
