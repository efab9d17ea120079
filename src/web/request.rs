//! What a client asks for, read from JSON or a query: field by field, so that it is told everything that is wrong at
//! once.
//!
//! Nothing in a body ever says whose token it is. A member that is not named at its function is refused.

mod body;
mod json;

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
    let text = content_type.and_then(|value| std::str::from_utf8(value).ok());
    let essence = text.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    let is_json = kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json");
    is_json.then_some(()).ok_or(RequestError::UnknownMediaType)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Vec<&'static str> {
        let owner = Owner::new("user:42").unwrap();
        match new_token(owner, body.as_bytes()) {
            Err(RequestError::Invalid(invalid)) => {
                invalid.errors.iter().map(|error| error.name).collect()
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

    type Reader = fn(&[u8]) -> Result<(), RequestError>;

    /// Each function that reads a body, with one that it takes.
    const READERS: [(&str, Reader); 5] = [
        (r#"{"name":"a""#, |body| new_token(Owner::new("user:42").unwrap(), body).map(drop)),
        (r#"{"name":"a""#, |body| token_change(body).map(drop)),
        (r#"{"generation":1"#, |body| rotation(body).map(drop)),
        (r#"{"reason":"a""#, |body| suspension(body).map(drop)),
        (r#"{"all":true"#, |body| revoke(body).map(drop)),
    ];

    #[test]
    fn what_is_not_known_repeated_or_inexact_is_refused_by_every_function() {
        let long = "x".repeat(80);
        for (body, read) in READERS {
            read(format!("{body}}}").as_bytes()).unwrap();
            for (more, message) in [
                (r#""ability":["a:b"]"#.to_owned(), r#"must not have the member "ability""#),
                (format!(r#""{long}":1"#), r#"must not have the member "…""#),
                (r#""x":1,"x":1"#.to_owned(), "must have each member once"),
                (
                    r#""x":18446744073709551616"#.to_owned(),
                    "must have only numbers that can be kept as they are",
                ),
            ] {
                let Err(RequestError::Invalid(invalid)) =
                    read(format!("{body},{more}}}").as_bytes())
                else {
                    panic!("{body},{more}");
                };
                let [error] = &invalid.errors[..] else { panic!("{invalid}") };
                assert_eq!(
                    (error.name, error.rule.to_string()),
                    ("body", message.to_owned()),
                    "{body}"
                );
            }
        }
    }

    #[test]
    fn null_is_none_for_every_member_that_need_not_be_there() {
        let nulls = r#"{"name":"a","expires_at":null,"not_before":null,"idle_seconds":null,
            "allowed_addresses":null,"metadata":null}"#;
        let owner = Owner::new("user:42").unwrap();
        let new = new_token(owner, nulls.as_bytes()).unwrap();
        assert_eq!(new.settings.metadata, Some(serde_json::json!({})));
        drop(token_change(nulls.as_bytes()).unwrap());
        suspension(br#"{"until":null,"reason":null}"#).unwrap();
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
        for good in [
            "",
            "per_page=1&cursor=x&state=any",
            "owner=eve&state=revoked",
            "&&",
            "state=active&state=not_yet_valid&sort=-last_used&q=caf%C3%A9+%26&ability=servers%3Aread",
            "unused_days=0&expiring_days=36500",
        ] {
            assert!(list(good).is_ok(), "{good}");
        }
        for (bad, parameter) in [
            ("state", "state"),
            ("state=", "state"),
            ("state=Active", "state"),
            ("state=any&state=broken", "state"),
            ("sort=", "sort"),
            ("sort=id", "sort"),
            ("sort=--created", "sort"),
            ("sort=+created", "sort"),
            ("unused_days=-1", "unused_days"),
            ("unused_days=36501", "unused_days"),
            ("expiring_days=1.5", "expiring_days"),
            ("expiring_days", "expiring_days"),
        ] {
            let Err(RequestError::Invalid(invalid)) = list(bad) else { panic!("{bad}") };
            let fields: Vec<_> = invalid.errors.iter().map(|it| it.name).collect();
            assert_eq!(fields, [parameter], "{bad}");
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
