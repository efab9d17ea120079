use std::ops::Deref;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use crate::{
    token::TokenFormat,
    web::credentials::{CredentialsError, one, scheme, token68},
};

use super::arrival::Arrival;

/// `curl` pads, some clients don't; [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617) asks for what can be decoded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where credentials are looked for beside `Authorization: Bearer`.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) basic: bool,
    /// The lower-case name of one more header.
    pub(super) header: Option<Box<str>>,
}

/// A text that was presented as a token.
pub(super) enum Presented<'a> {
    AsIs(&'a str),
    /// It is malformed, and does not begin as a token of ours.
    Unreadable,
    Decoded(Zeroizing<String>),
}

impl Deref for Presented<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::AsIs(text) => text,
            Self::Unreadable => "",
            Self::Decoded(text) => text,
        }
    }
}

impl Sources {
    /// The one credential of a request, if there is one.
    pub(super) fn read<'a>(
        &self,
        request: &'a impl Arrival,
        format: &TokenFormat,
    ) -> Result<Option<Presented<'a>>, CredentialsError> {
        let authorization = match one(request.authorization())? {
            Some(value) => self.authorization(value, format)?,
            None => None,
        };
        let Some(name) = &self.header else {
            return Ok(authorization);
        };
        let other = match one(request.header(name))? {
            Some(value) => Some(text(value, format)?),
            None => None,
        };
        match (authorization, other) {
            (Some(_), Some(_)) => Err(CredentialsError::Two),
            (authorization, other) => Ok(authorization.or(other)),
        }
    }

    fn authorization<'a>(
        &self,
        value: &'a [u8],
        format: &TokenFormat,
    ) -> Result<Option<Presented<'a>>, CredentialsError> {
        let (scheme, credentials) = scheme(value);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            text(credentials, format).map(Some)
        } else if self.basic && scheme.eq_ignore_ascii_case(b"basic") {
            basic(token68(credentials)?, format)
        } else {
            Ok(None)
        }
    }
}

fn text<'a>(
    credentials: &'a [u8],
    format: &TokenFormat,
) -> Result<Presented<'a>, CredentialsError> {
    match token68(credentials) {
        Err(CredentialsError::Malformed) if !format.has_prefix(credentials) => {
            Ok(Presented::Unreadable)
        }
        read => read.map(Presented::AsIs),
    }
}

/// The token stands as the user name or as the password, as in `curl -u <token>:`; the other half is passed over,
/// unless it is a token of ours as well.
fn basic(
    encoded: &str,
    format: &TokenFormat,
) -> Result<Option<Presented<'static>>, CredentialsError> {
    let decoded = BASE64.decode(encoded).map(Zeroizing::new);
    let decoded = decoded.map_err(|_| CredentialsError::Malformed)?;
    let text = std::str::from_utf8(&decoded).map_err(|_| CredentialsError::Malformed)?;
    let (user, password) = text.split_once(':').ok_or(CredentialsError::Malformed)?;
    let presented =
        match (format.has_prefix(user.as_bytes()), format.has_prefix(password.as_bytes())) {
            (true, true) => return Err(CredentialsError::Two),
            (true, false) => user,
            (false, false) if password.is_empty() => user,
            (false, _) => password,
        };
    let presented = Zeroizing::new(presented.to_owned());
    Ok((!presented.is_empty()).then_some(Presented::Decoded(presented)))
}
