//! The headers that a request about tokens can have beside its body.

use crate::{
    manage::TokenRotation,
    token::{Fields, IdempotencyKey, Rule},
    web::{Problem, auth::RequestInfo, credentials::one, request},
};

/// Reads `Idempotency-Key`: 1 to 255 visible ASCII characters.
pub(super) fn idempotency_key(
    request: &impl RequestInfo,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(text) = text(request, "idempotency-key", "Idempotency-Key")? else { return Ok(None) };
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match IdempotencyKey::new(text) {
        Ok(key) if is_visible => Ok(Some(key)),
        Err(invalid) if is_visible => Err(refuse("Idempotency-Key", invalid.rule)),
        _ => Err(refuse("Idempotency-Key", "must be 1 to 255 visible ASCII characters")),
    }
}

/// Reads `If-Match`: the version of a token as an entity tag, such as `"3"`. `None` without the header, and for `*`.
pub(super) fn expected_version(request: &impl RequestInfo) -> Result<Option<u32>, Problem> {
    let Some(text) = text(request, "if-match", "If-Match")? else { return Ok(None) };
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let is_number = |it: &&str| it.bytes().all(|byte| byte.is_ascii_digit());
    match version.filter(is_number).and_then(|it| it.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None => Err(refuse("If-Match", "must be one version in quotes, such as \"3\", or *")),
    }
}

/// Reads how a token is to be rotated, and which version of it.
pub(super) fn rotation(request: &impl RequestInfo, body: &[u8]) -> Result<TokenRotation, Problem> {
    let rotation = request::rotation(body)?;
    Ok(match expected_version(request)? {
        Some(version) => rotation.if_version(version),
        None => rotation,
    })
}

/// Refuses `If-Match` where it has no meaning: its client relies on it.
pub(super) fn no_version(request: &impl RequestInfo) -> Result<(), Problem> {
    match expected_version(request)? {
        None => Ok(()),
        Some(_) => Err(refuse("If-Match", "must be given only to change or rotate a token")),
    }
}

fn text<'r>(
    request: &'r impl RequestInfo,
    header: &str,
    field: &'static str,
) -> Result<Option<&'r str>, Problem> {
    if request.header(header).next().is_none() {
        return Ok(None);
    }
    let value = one(request.header(header));
    let value = value.map_err(|_| refuse(field, "must be there once"))?;
    // A client that sends an empty one relies on it.
    let text = std::str::from_utf8(value.unwrap_or_default());
    text.map(Some).map_err(|_| refuse(field, "must be visible ASCII characters"))
}

fn refuse(field: &'static str, rule: impl Into<Rule>) -> Problem {
    let mut fields = Fields::default();
    fields.refuse(field, rule);
    (&fields.into_error()).into()
}
