use std::ops::Deref;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use crate::{
    token::TokenFormat,
    web::credentials::{CredentialsError, MAX_LENGTH, one, scheme, token68},
};

use super::request_info::RequestInfo;

/// `curl` pads, some clients don't; [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617) asks for what can be decoded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where credentials are looked for beside `Authorization: Bearer`.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) basic: bool,
    /// Schemes that are read as `Bearer` is.
    pub(super) schemes: Vec<Box<str>>,
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

impl Presented<'_> {
    /// Returns `true` if this is not to be judged as a token of ours. A half of Basic credentials that only begins as
    /// one is a user name or a password.
    #[inline]
    pub(super) fn is_foreign(&self, format: &TokenFormat) -> bool {
        match self {
            Self::AsIs(text) => !format.has_prefix(text.as_bytes()),
            Self::Unreadable => true,
            Self::Decoded(text) => format.parse(text).is_err(),
        }
    }
}

impl Sources {
    /// The one credential of a request, if there is one.
    ///
    /// ```text
    ///                   beside: ours            looks like ours     foreign, malformed or none
    /// ours              Two (400)               the other (401)     it
    /// looks like ours   it (401 or 400)         it (401 or 400)     it (401 or 400)
    /// foreign           the other               the other (401)     whichever can be read
    /// ```
    /// *Ours* has the whole form of a token, with its checksum. What *looks like ours* begins with one of our prefixes,
    /// outside of Basic credentials; it is 400 if it is longer than a token can be, or no token68. All else is
    /// *foreign*: a proxy's JWT or Basic credentials, which are not for us if there is one of ours.
    pub(super) fn read<'a>(
        &self,
        request: &'a impl RequestInfo,
        format: &TokenFormat,
    ) -> Result<Option<Presented<'a>>, CredentialsError> {
        let authorization =
            one(request.authorization())?.and_then(|it| self.authorization(it, format).transpose());
        let Some(name) = &self.header else {
            return authorization.transpose();
        };
        let other = one(request.header(name))?.map(|value| text(value, format));
        match (authorization, other) {
            (Some(first), Some(second)) => one_of(first, second, format).map(Some),
            (first, second) => first.or(second).transpose(),
        }
    }

    /// Returns `true` if there is a token of ours in credentials that can't be read: in quotes, after a tab, behind
    /// another scheme. The program that sends it believes that it acts by its token.
    #[cold]
    pub(super) fn have_token(&self, request: &impl RequestInfo, format: &TokenFormat) -> bool {
        let has_token = |value: &[u8]| {
            let looked_at = &value[..value.len().min(MAX_LENGTH)];
            format.contains_token(&String::from_utf8_lossy(looked_at))
        };
        let mut named = self.header.iter().flat_map(|name| request.header(name));
        request.authorization().any(has_token) || named.any(has_token)
    }

    fn authorization<'a>(
        &self,
        value: &'a [u8],
        format: &TokenFormat,
    ) -> Result<Option<Presented<'a>>, CredentialsError> {
        let (scheme, credentials) = scheme(value);
        let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
        if is("bearer") || self.schemes.iter().any(|it| is(it)) {
            text(credentials, format).map(Some)
        } else if self.basic && is("basic") {
            match token68(credentials).and_then(|encoded| basic(encoded, format)) {
                Err(CredentialsError::Malformed) => Ok(Some(Presented::Unreadable)),
                read => read,
            }
        } else {
            Ok(None)
        }
    }
}

type Read<'a> = Result<Presented<'a>, CredentialsError>;

/// What credentials are, from what counts least.
#[derive(PartialEq, PartialOrd)]
enum Kind {
    Unreadable,
    Foreign,
    Ours,
    /// It begins as ours and has not the form: a bad one is never passed over for a good one.
    LooksLikeOurs,
}

impl Kind {
    fn of(read: &Read<'_>, format: &TokenFormat) -> Self {
        match read {
            Ok(Presented::Unreadable) => Self::Unreadable,
            Ok(presented) if presented.is_foreign(format) => Self::Foreign,
            Ok(presented) if format.parse(presented).is_ok() => Self::Ours,
            Ok(_) | Err(_) => Self::LooksLikeOurs,
        }
    }
}

/// Of two credentials, that which counts.
#[cold]
fn one_of<'a>(first: Read<'a>, second: Read<'a>, format: &TokenFormat) -> Read<'a> {
    match (Kind::of(&first, format), Kind::of(&second, format)) {
        (Kind::Ours, Kind::Ours) => Err(CredentialsError::Two),
        (one, other) if one >= other => first,
        _ => second,
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
/// unless it is a whole token of ours as well. A user name may begin as our tokens do.
fn basic(
    encoded: &str,
    format: &TokenFormat,
) -> Result<Option<Presented<'static>>, CredentialsError> {
    let decoded = BASE64.decode(encoded).map(Zeroizing::new);
    let decoded = decoded.map_err(|_| CredentialsError::Malformed)?;
    let text = std::str::from_utf8(&decoded).map_err(|_| CredentialsError::Malformed)?;
    let (user, password) = text.split_once(':').ok_or(CredentialsError::Malformed)?;
    let presented = match (format.parse(user).is_ok(), format.parse(password).is_ok()) {
        (true, true) => return Err(CredentialsError::Two),
        (true, false) => user,
        (false, false) if password.is_empty() => user,
        (false, _) => password,
    };
    let presented = Zeroizing::new(presented.to_owned());
    Ok((!presented.is_empty()).then_some(Presented::Decoded(presented)))
}
