use smol_str::SmolStr;

use super::{InvalidValue, Rule, text::text_traits};

/// The application's own beginning of every token, such as `acme` or `acme_test`.
///
/// 2 to 32 of `[a-z0-9_]`, beginning with a letter, not ending in `_`. There is no default: a prefix of one's own is
/// what lets a secret scanner, and a person, see whose token was found.
///
/// ```
/// use keyfob::token::Prefix;
///
/// assert_eq!(Prefix::new("acme_test")?.as_str(), "acme_test");
/// assert!(Prefix::new("Acme").is_err());
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(SmolStr);

pub(super) const LONGEST: usize = 32;

const RULE: Rule =
    Rule::other("must be 2 to 32 of [a-z0-9_], begin with a letter and not end in an underscore");

impl Prefix {
    /// Takes a prefix.
    ///
    /// # Errors
    /// [`InvalidValue`] if the text is not a prefix.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        let fits = (2..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('_');
        fits.then(|| Self(SmolStr::new(text))).ok_or(RULE.broken_by("prefix"))
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_traits!(Prefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold_at_their_edges() {
        for good in ["ab", "a1", "a_b", "acme_test", &"a".repeat(32)] {
            assert!(Prefix::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "1a", "_a", "a_", "Ab", "a-b", "aé", "a b", &"a".repeat(33)] {
            assert_eq!(Prefix::new(bad), Err(RULE.broken_by("prefix")), "{bad}");
        }
    }
}
