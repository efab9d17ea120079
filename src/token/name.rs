use std::{fmt, sync::Arc};

use smol_str::SmolStr;

use super::text::{is_visible, text_traits};

const MAX_CHARACTERS: usize = 100;

/// What a user calls a token: 1 to 100 characters, of which at least one can be seen, without white space at either end
/// and without control or bidi characters.
///
/// Names are compared by bytes: `é` as one character and as two are different names, and so are `CI` and `ci`.
///
/// These rules hold whatever the [`NamePolicy`] says; a policy may ask for more.
///
/// ```
/// use keyfob::TokenName;
///
/// assert_eq!(TokenName::new("Shopify App Production")?.as_str(), "Shopify App Production");
/// assert!(TokenName::new(" padded ").is_err());
/// # Ok::<(), keyfob::token::TokenNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(SmolStr);

/// Which rule a token's name breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenNameError {
    /// There is no character in it.
    #[error("must not be empty")]
    Empty,
    /// It has more characters than it may.
    #[error("must be at most {max} characters long")]
    TooLong {
        /// The greatest number of characters.
        max: usize,
    },
    /// White space stands at its beginning or end.
    #[error("must not begin or end with white space")]
    OuterWhiteSpace,
    /// It holds a control character, a line or paragraph separator, or one that changes the direction of the text.
    #[error("must not contain control or bidirectional formatting characters")]
    ForbiddenCharacter,
    /// It holds a character that the strict policy does not know.
    #[error("must contain only letters of a to z and A to Z, digits, hyphens and underscores")]
    NotStrict,
    /// There is nothing in it that can be seen.
    #[error("must have a visible character")]
    NothingVisible,
    /// A token stands in it, pasted into the wrong field.
    #[error("must not contain a token")]
    ContainsToken,
    /// The application's own policy refuses it, for the reason given.
    #[error("{0}")]
    Refused(String),
}

impl TokenName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`TokenNameError`] names the rule that it breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, TokenNameError> {
        let name = Self::stored(text.as_ref())?;
        if is_visible(name.as_str()) { Ok(name) } else { Err(TokenNameError::NothingVisible) }
    }

    /// Takes a name that a store kept: an earlier version may have asked for less.
    pub(crate) fn stored(text: &str) -> Result<Self, TokenNameError> {
        if text.is_empty() {
            Err(TokenNameError::Empty)
        } else if text.chars().nth(MAX_CHARACTERS).is_some() {
            Err(TokenNameError::TooLong { max: MAX_CHARACTERS })
        } else if text.trim().len() != text.len() {
            Err(TokenNameError::OuterWhiteSpace)
        } else if text.chars().any(is_forbidden) {
            Err(TokenNameError::ForbiddenCharacter)
        } else {
            Ok(Self(SmolStr::new(text)))
        }
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_traits!(TokenName, TokenNameError);

/// Control characters, line and paragraph separators, and the explicit bidi controls of UAX #9.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A rule of the application's own: `Err` carries what the user is told.
type Rule = dyn Fn(&TokenName) -> Result<(), String> + Send + Sync;

/// Which names an application lets its users give.
///
/// ```
/// use keyfob::token::{NamePolicy, TokenName, TokenNameError};
///
/// let name = TokenName::new("ci deploy")?;
/// assert!(NamePolicy::free_text().check(&name).is_ok());
/// assert_eq!(NamePolicy::strict().check(&name), Err(TokenNameError::NotStrict));
///
/// let own = NamePolicy::custom(|name| match name.as_str().starts_with("ci") {
///     true => Ok(()),
///     false => Err("must begin with ci".to_owned()),
/// });
/// assert!(own.check(&name).is_ok());
/// # Ok::<(), TokenNameError>(())
/// ```
#[derive(Clone, Default)]
pub struct NamePolicy(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    FreeText,
    Strict,
    Custom(Arc<Rule>),
}

impl NamePolicy {
    /// Any [`TokenName`].
    #[must_use]
    pub fn free_text() -> Self {
        Self(Kind::FreeText)
    }

    /// At most 50 of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn strict() -> Self {
        Self(Kind::Strict)
    }

    /// A rule of the application's own; what it returns as `Err` is shown to the user.
    #[must_use]
    pub fn custom(rule: impl Fn(&TokenName) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(rule)))
    }

    /// Asks the policy.
    ///
    /// # Errors
    /// [`TokenNameError`] names the rule that the name breaks.
    pub fn check(&self, name: &TokenName) -> Result<(), TokenNameError> {
        match &self.0 {
            Kind::FreeText => Ok(()),
            Kind::Strict => check_strict(name.as_str()),
            Kind::Custom(rule) => rule(name).map_err(TokenNameError::Refused),
        }
    }
}

fn check_strict(name: &str) -> Result<(), TokenNameError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.bytes().all(fits) {
        Err(TokenNameError::NotStrict)
    } else if name.len() > 50 {
        Err(TokenNameError::TooLong { max: 50 })
    } else {
        Ok(())
    }
}

impl fmt::Debug for NamePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::FreeText => "NamePolicy::free_text",
            Kind::Strict => "NamePolicy::strict",
            Kind::Custom(_) => "NamePolicy::custom",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_names_itself() {
        let long = "x".repeat(101);
        for (text, error) in [
            ("", TokenNameError::Empty),
            (long.as_str(), TokenNameError::TooLong { max: 100 }),
            (" ", TokenNameError::OuterWhiteSpace),
            ("a\u{00A0}", TokenNameError::OuterWhiteSpace),
            ("a\0b", TokenNameError::ForbiddenCharacter),
            ("a\r\nb", TokenNameError::ForbiddenCharacter),
            ("a\u{202E}b", TokenNameError::ForbiddenCharacter),
            ("a\u{2028}b", TokenNameError::ForbiddenCharacter),
        ] {
            assert_eq!(TokenName::new(text), Err(error), "{text:?}");
        }
        for text in ["a", "é".repeat(100).as_str(), "a b", "<script>", "👩\u{200D}💻", "{{7*7}}"]
        {
            assert_eq!(TokenName::new(text).as_ref().map(TokenName::as_str), Ok(text));
        }
    }

    #[test]
    fn the_strict_policy_takes_fifty_plain_characters() {
        let check =
            |text: &str| TokenName::new(text).and_then(|name| NamePolicy::strict().check(&name));
        assert_eq!(check(&"a".repeat(50)), Ok(()));
        assert_eq!(check("ci-deploy_2"), Ok(()));
        assert_eq!(check(&"a".repeat(51)), Err(TokenNameError::TooLong { max: 50 }));
        assert_eq!(check("a b"), Err(TokenNameError::NotStrict));
        assert_eq!(check("é"), Err(TokenNameError::NotStrict));
    }
}
