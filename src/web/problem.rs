use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use smol_str::{SmolStr, ToSmolStr, format_smolstr};

use crate::{
    limit::Quota,
    store::StoreError,
    token::{InvalidFields, InvalidValue, Rule, TokenId},
    verify::VerifyError,
};

use super::{credentials::CredentialsError, quota};

/// The media type of a problem, unless the application writes the body ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
const MEDIA_TYPE: &str = "application/problem+json";

/// An answer that is no success, as plain values: a status, headers, and a body of `application/problem+json`
/// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
///
/// It holds fixed texts and nothing of the request or of the token. All refusals of a token are equal to the byte.
///
/// Every error of keyfob converts into one, so a handler returns it with `?`:
///
/// ```
/// use keyfob::{ApiTokens, Owner, TokenId, web::Problem};
///
/// async fn revoke(tokens: ApiTokens, owner: Owner, id: TokenId) -> Result<(), Problem> {
///     // 404 if the owner has no such token, 503 if the store does not answer.
///     tokens.owned_by(&owner).revoke(id).await?;
///     Ok(())
/// }
/// ```
///
/// ```
/// use keyfob::web::Problem;
///
/// let problem = Problem::not_found();
/// assert_eq!(problem.status(), 404);
/// assert_eq!(problem.body(), r#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_found"}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Problem {
    headers: Vec<(&'static str, SmolStr)>,
    /// Boxed, so that a `Result` that may hold a problem stays small.
    body: Box<Body>,
}

/// The members of the body, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Body {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<Vec<String>>,
    /// The token that was issued for the same idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<TokenId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<BTreeMap<&'static str, Vec<String>>>,
    /// Whether a limit refuses the request, or can't be counted.
    #[serde(skip)]
    is_by_limit: bool,
    /// Another media type and text in place of all this.
    #[serde(skip)]
    replaced: Option<(&'static str, String)>,
    /// The parameters of a challenge whose realm the layer has to name.
    #[serde(skip)]
    open_challenge: Option<SmolStr>,
}

/// The protection space that a challenge names ([RFC 9110 §11.5](https://www.rfc-editor.org/rfc/rfc9110#section-11.5)):
/// 1 to 100 visible ASCII characters and spaces without `"` and `\`.
///
/// ```
/// use keyfob::web::Realm;
///
/// assert!(Realm::new("Acme API").is_ok());
/// assert!(Realm::new("a\"b").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(std::sync::Arc<str>);

const INVALID_REALM: InvalidValue = Rule::other(
    "must be 1 to 100 visible ASCII characters and spaces without quotes and backslashes",
)
.broken_by("realm");

/// "API".
impl Default for Realm {
    fn default() -> Self {
        Self("API".into())
    }
}

impl Realm {
    /// Takes a realm.
    ///
    /// # Errors
    /// [`InvalidValue`] if the text is not a realm.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let fits = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let good = (1..=100).contains(&text.len()) && text.bytes().all(fits);
        good.then(|| Self(text.into())).ok_or(INVALID_REALM)
    }

    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn challenge(&self, parameters: &str) -> SmolStr {
        format_smolstr!("Bearer realm=\"{}\"{parameters}", self.0)
    }
}

impl Problem {
    /// A problem of the application's own, in the same form: a status from 400 to 599 (another is taken for 500) and a
    /// code that programs tell it by.
    ///
    /// ```
    /// use keyfob::web::Problem;
    ///
    /// let problem = Problem::new(409, "server_is_busy");
    /// assert_eq!(problem.body(), r#"{"type":"about:blank","title":"Conflict","status":409,"code":"server_is_busy"}"#);
    /// ```
    pub fn new(status: u16, code: &'static str) -> Self {
        let status = if matches!(status, 400..=599) { status } else { 500 };
        let body = Box::new(Body {
            r#type: "about:blank",
            title: phrase(status),
            status,
            code,
            required: None,
            id: None,
            errors: None,
            is_by_limit: false,
            replaced: None,
            open_challenge: None,
        });
        Self { headers: vec![("cache-control", SmolStr::new_static("no-store"))], body }
    }

    /// The same with another body, in a form of the application's own.
    pub fn with_body(mut self, media_type: &'static str, text: impl Into<String>) -> Self {
        self.body.replaced = Some((media_type, text.into()));
        self
    }

    /// The same, of a request that a limit refuses: what it was charged before is given back.
    pub(super) fn by_limit(mut self) -> Self {
        self.body.is_by_limit = true;
        self
    }

    pub(super) fn is_by_limit(&self) -> bool {
        self.body.is_by_limit
    }

    /// Returns `true` if an answer still has the body of this problem, and not one of the application's own: a layer
    /// inside may have made something else of it.
    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(super) fn is_as_written(&self, status: u16, media_type: Option<&[u8]>) -> bool {
        let is_same = status == self.status() && media_type == Some(MEDIA_TYPE.as_bytes());
        is_same && self.body.replaced.is_none()
    }

    /// Returns `true` if an authenticator has written it: with the application's own body, or with a rate limit.
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(super) fn is_finished(&self) -> bool {
        let tells_limit = self.headers.iter().any(|(name, _)| *name == "x-ratelimit-limit");
        tells_limit || self.body.replaced.is_some()
    }

    /// The media type of the body.
    pub(super) fn media_type(&self) -> &'static str {
        self.body.replaced.as_ref().map_or(MEDIA_TYPE, |(media_type, _)| media_type)
    }

    /// The same with what is told of a rate limit: `X-RateLimit-Limit` and `X-RateLimit-Remaining`, and the headers of
    /// the draft where wanted.
    pub fn with_quota(mut self, quota: &Quota, draft: bool) -> Self {
        self.headers.extend(quota::headers(quota, draft));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: SmolStr) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Names the parameters of a challenge, each with a comma before it. Without a realm, the layer names it.
    fn challenge(mut self, realm: Option<&Realm>, parameters: &str) -> Self {
        let challenge = if let Some(realm) = realm {
            realm.challenge(parameters)
        } else {
            self.body.open_challenge = Some(parameters.into());
            format_smolstr!("Bearer {}", parameters.trim_start_matches([',', ' ']))
        };
        self.header("www-authenticate", challenge)
    }

    /// The challenge in the realm of a layer, if the answer still has the one without a realm.
    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(super) fn challenge_in(&self, realm: &Realm, answered: &[u8]) -> Option<SmolStr> {
        let parameters = self.body.open_challenge.as_ref()?;
        let own = |(_, value): &(_, SmolStr)| value.as_bytes() == answered;
        self.headers.iter().any(own).then(|| realm.challenge(parameters))
    }

    /// 401 for a request without credentials. It names no error, as RFC 6750 §3.1 asks.
    pub fn missing_credentials(realm: &Realm) -> Self {
        Self::new(401, "missing_credentials").challenge(Some(realm), "")
    }

    /// 400 for credentials that can't be read, whatever is wrong with them.
    pub fn invalid_request(realm: &Realm, _: CredentialsError) -> Self {
        Self::unreadable(Some(realm))
    }

    pub(super) fn unreadable(realm: Option<&Realm>) -> Self {
        Self::new(400, "invalid_request").challenge(realm, ", error=\"invalid_request\"")
    }

    /// The answer to a token that was not accepted: the reason stays here.
    pub fn refused(realm: &Realm, reason: &VerifyError) -> Self {
        Self::refused_in(Some(realm), reason)
    }

    pub(super) fn refused_in(realm: Option<&Realm>, reason: &VerifyError) -> Self {
        match reason {
            VerifyError::Store(error) => Self::store(error),
            VerifyError::UnknownKey(_) => Self::store_unavailable(),
            VerifyError::AddressNotAllowed(_) => Self::new(403, "address_not_allowed"),
            VerifyError::Malformed(_)
            | VerifyError::Unknown
            | VerifyError::WrongSecret
            | VerifyError::WrongPrefix(_)
            | VerifyError::RetiredSecret(_)
            | VerifyError::Expired(_)
            | VerifyError::Idle(_)
            | VerifyError::Revoked(_)
            | VerifyError::Suspended(_)
            | VerifyError::NotYetValid(_)
            | VerifyError::OwnerDisabled(_)
            | VerifyError::Unpeppered => Self::new(401, "invalid_token").challenge(
                realm,
                ", error=\"invalid_token\", error_description=\"The access token is invalid\"",
            ),
        }
    }

    /// 403 for a good token that lacks what is required; nothing in particular where it holds no ability at all.
    ///
    /// ```
    /// use keyfob::web::{Problem, Realm};
    ///
    /// let problem = Problem::insufficient_scope(&Realm::new("Acme API")?, &["servers:create"]);
    /// assert!(problem.body().ends_with(r#""code":"insufficient_scope","required":["servers:create"]}"#));
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    pub fn insufficient_scope(realm: &Realm, required: &[&str]) -> Self {
        Self::insufficient_scope_in(Some(realm), required)
    }

    pub(super) fn insufficient_scope_in(realm: Option<&Realm>, required: &[&str]) -> Self {
        let scope = match required {
            [] => String::new(),
            // Scopes are separated by spaces: RFC 6750 §3.
            _ => format!(", scope=\"{}\"", required.join(" ")),
        };
        let parameters = format!(", error=\"insufficient_scope\"{scope}");
        let mut problem = Self::new(403, "insufficient_scope").challenge(realm, &parameters);
        problem.body.required = Some(required.iter().map(|&it| it.to_owned()).collect());
        problem
    }

    /// 429 for a token whose rate limit is reached: in so many seconds it will be let through.
    pub fn rate_limited(retry_after: u32) -> Self {
        Self::new(429, "rate_limited").header("retry-after", retry_after.to_smolstr())
    }

    /// 503 where the store or the application's own login can't answer, or shared rate limits can't be reached. There is no challenge: a client must
    /// not throw its token away.
    pub fn store_unavailable() -> Self {
        Self::new(503, "store_unavailable").header("retry-after", SmolStr::new_static("1"))
    }

    /// 500 for what is our fault.
    pub fn internal() -> Self {
        Self::new(500, "internal")
    }

    /// 403 for a request that a page of another site has made a browser send with the session of its user.
    pub fn cross_site_request() -> Self {
        Self::new(403, "cross_site_request")
    }

    /// 404 for a token, or anything else, that is not there or is somebody else's.
    pub fn not_found() -> Self {
        Self::new(404, "not_found")
    }

    /// 400 for a body that is no JSON.
    pub fn malformed_body() -> Self {
        Self::new(400, "malformed_body")
    }

    /// 405 for a method that the resource does not have. Its router knows which it has and says so in `Allow`.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "method_not_allowed")
    }

    /// 409 for a create that was done before: names the token that it made.
    pub(super) fn already_issued(id: TokenId) -> Self {
        let mut problem = Self::new(409, "already_issued");
        problem.body.id = Some(id);
        problem
    }

    /// 413 for a body of more than [`MAX_BODY`](super::request::MAX_BODY) bytes.
    pub fn content_too_large() -> Self {
        Self::new(413, "content_too_large")
    }

    /// 415 for a body that does not say that it is JSON.
    pub fn unsupported_media_type() -> Self {
        Self::new(415, "unsupported_media_type")
    }

    /// 422 with what is wrong, field by field.
    pub fn validation_failed(invalid: &InvalidFields) -> Self {
        Self::invalid_fields(invalid.errors.iter().map(|it| (it.name, it.rule.to_string())))
    }

    /// 422 with what is wrong with a request of the application's own: fields, each with a message for people.
    ///
    /// ```
    /// use keyfob::web::Problem;
    ///
    /// let problem = Problem::invalid_fields([("name", "must be given"), ("region", "must be a text")]);
    /// assert!(problem.body().ends_with(r#""errors":{"name":["must be given"],"region":["must be a text"]}}"#));
    /// ```
    pub fn invalid_fields<T: Into<String>>(
        fields: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Self {
        let mut errors = BTreeMap::<_, Vec<_>>::new();
        for (field, message) in fields {
            errors.entry(field).or_default().push(message.into());
        }
        let mut problem = Self::new(422, "validation_failed");
        problem.body.errors = Some(errors);
        problem
    }

    pub(super) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Busy(_) => Self::store_unavailable(),
            StoreError::Corrupt(_) | StoreError::Faulty(_) => Self::internal(),
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.body.status
    }

    /// What programs tell problems apart by.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.body.code
    }

    /// The title: the phrase of the status.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.body.title
    }

    /// The headers, with lower-case names. The content type is among them.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let content_type = ("content-type", self.media_type());
        let others = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        std::iter::once(content_type).chain(others)
    }

    /// The body: a JSON object, unless the application has written another.
    #[must_use]
    pub fn body(&self) -> String {
        match &self.body.replaced {
            Some((_, text)) => text.clone(),
            // Texts and numbers can always be written as JSON.
            None => serde_json::to_string(&self.body).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status(), self.code())
    }
}

impl std::error::Error for Problem {}

/// The phrase of a status, the title that RFC 9457 §4.2.1 asks for beside `about:blank`. What is not named here counts
/// as the first of its class, as in RFC 9110 §15.
fn phrase(status: u16) -> &'static str {
    match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        400..=499 => "Bad Request",
        _ => "Internal Server Error",
    }
}
