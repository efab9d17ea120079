use std::{fmt, sync::Arc};

use smol_str::SmolStr;

use super::{
    InvalidValue, Rule,
    text::{is_visible, text_traits},
};

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
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(SmolStr);

impl TokenName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`InvalidValue`] names the rule that the name breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let name = Self::stored(text.as_ref()).map_err(|rule| rule.broken_by("name"))?;
        if is_visible(name.as_str()) {
            Ok(name)
        } else {
            Err(Rule::NothingVisible.broken_by("name"))
        }
    }

    /// Takes a name that a store kept: an earlier version may have asked for less.
    pub(crate) fn stored(text: &str) -> Result<Self, Rule> {
        if text.is_empty() {
            Err(Rule::Empty)
        } else if text.chars().nth(MAX_CHARACTERS).is_some() {
            Err(Rule::TooManyCharacters { max: MAX_CHARACTERS })
        } else if text.trim().len() != text.len() {
            Err(Rule::OuterWhiteSpace)
        } else if text.chars().any(is_forbidden) {
            Err(Rule::ForbiddenCharacter)
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

text_traits!(TokenName);

/// Control characters, line and paragraph separators, and the explicit bidi controls of UAX #9.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A rule of the application's own: `Err` carries what the user is told.
type CustomRule = dyn Fn(&TokenName) -> Result<(), String> + Send + Sync;

/// Which names an application lets its users give.
///
/// ```
/// use keyfob::{InvalidValue, TokenName, token::{NamePolicy, Rule}};
///
/// let name = TokenName::new("ci deploy")?;
/// assert!(NamePolicy::free_text().check(&name).is_ok());
/// assert_eq!(NamePolicy::strict().check(&name), Err(Rule::NotStrict));
///
/// let own = NamePolicy::custom(|name| match name.as_str().starts_with("ci") {
///     true => Ok(()),
///     false => Err("must begin with ci".to_owned()),
/// });
/// assert!(own.check(&name).is_ok());
/// # Ok::<(), InvalidValue>(())
/// ```
#[derive(Clone, Default)]
pub struct NamePolicy(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    FreeText,
    Strict,
    Custom(Arc<CustomRule>),
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

    /// Returns `true` if it is [`strict`](Self::strict).
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(crate) fn is_strict(&self) -> bool {
        matches!(self.0, Kind::Strict)
    }

    /// Asks the policy.
    ///
    /// # Errors
    /// [`Rule`] that the name breaks.
    pub fn check(&self, name: &TokenName) -> Result<(), Rule> {
        match &self.0 {
            Kind::FreeText => Ok(()),
            Kind::Strict => check_strict(name.as_str()),
            Kind::Custom(rule) => rule(name).map_err(Rule::from),
        }
    }
}

fn check_strict(name: &str) -> Result<(), Rule> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.bytes().all(fits) {
        Err(Rule::NotStrict)
    } else if name.len() > 50 {
        Err(Rule::TooManyCharacters { max: 50 })
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
            ("", Rule::Empty),
            (long.as_str(), Rule::TooManyCharacters { max: 100 }),
            (" ", Rule::OuterWhiteSpace),
            ("a\u{00A0}", Rule::OuterWhiteSpace),
            ("a\0b", Rule::ForbiddenCharacter),
            ("a\r\nb", Rule::ForbiddenCharacter),
            ("a\u{202E}b", Rule::ForbiddenCharacter),
            ("a\u{2028}b", Rule::ForbiddenCharacter),
        ] {
            assert_eq!(TokenName::new(text), Err(error.broken_by("name")), "{text:?}");
        }
        for text in ["a", "é".repeat(100).as_str(), "a b", "<script>", "👩\u{200D}💻", "{{7*7}}"]
        {
            assert_eq!(TokenName::new(text).as_ref().map(TokenName::as_str), Ok(text));
        }
    }

    #[test]
    fn the_strict_policy_takes_fifty_plain_characters() {
        let check = |text: &str| NamePolicy::strict().check(&TokenName::new(text).unwrap());
        assert_eq!(check(&"a".repeat(50)), Ok(()));
        assert_eq!(check("ci-deploy_2"), Ok(()));
        assert_eq!(check(&"a".repeat(51)), Err(Rule::TooManyCharacters { max: 50 }));
        assert_eq!(check("a b"), Err(Rule::NotStrict));
        assert_eq!(check("é"), Err(Rule::NotStrict));
    }
}
