use smol_str::SmolStr;

use super::Rule;

/// Returns `true` if there is something to see: a character that is no white space, no default-ignorable code point
/// (Unicode 17, `Default_Ignorable_Code_Point`) and not the braille pattern without dots. What joins the characters
/// beside it, as in emoji and in Persian, is ignorable and does no harm.
pub(crate) fn is_visible(text: &str) -> bool {
    text.chars().any(|it| {
        !it.is_whitespace()
            && !matches!(it,
                '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
    })
}

pub(super) fn check(text: &str, max: usize) -> Result<SmolStr, Rule> {
    match text.len() {
        0 => Err(Rule::Empty),
        len if len > max => Err(Rule::TooManyBytes { len, max }),
        _ if text.chars().any(char::is_control) => Err(Rule::ControlCharacter),
        _ => Ok(SmolStr::new(text)),
    }
}

/// Makes a validated text of 1 to `$max` bytes without control characters, compared by bytes.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $called:literal, $max:literal) => {
        super::text::text_value!(@kept $(#[$doc])* $name, $max);

        impl $name {
            /// Takes a text of 1 to
            #[doc = concat!(stringify!($max), " bytes.")]
            ///
            /// # Errors
            /// [`InvalidValue`](crate::InvalidValue) if the text is empty, too long, or has a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::token::InvalidValue> {
                let text = super::text::check(text.as_ref(), $max);
                text.map(Self).map_err(|rule| rule.broken_by($called))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $called:literal, $max:literal, visible) => {
        super::text::text_value!(@kept $(#[$doc])* $name, $max);

        impl $name {
            /// Takes a text of 1 to
            #[doc = concat!(stringify!($max), " bytes.")]
            ///
            /// # Errors
            /// [`InvalidValue`](crate::InvalidValue) if the text is empty, too long, has a control character or no
            /// visible character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::token::InvalidValue> {
                let text = Self::stored(text.as_ref()).map_err(|rule| rule.broken_by($called))?;
                if super::text::is_visible(&text.0) {
                    Ok(text)
                } else {
                    Err($crate::token::Rule::NothingVisible.broken_by($called))
                }
            }

            /// Takes a text that a store kept: an earlier version may have asked for less.
            pub(crate) fn stored(text: &str) -> Result<Self, $crate::token::Rule> {
                super::text::check(text, $max).map(Self)
            }
        }
    };
    (@kept $(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(smol_str::SmolStr);

        impl $name {
            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        super::text::text_traits!($name);
    };
}

/// `Debug`, `Display`, `FromStr` and serde for a newtype with `new` and `as_str`.
macro_rules! text_traits {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::token::InvalidValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        super::text::serde_as_text!($name);
    };
}

/// serde for what has `Display` and `FromStr`: as the text.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use {serde_as_text, text_traits, text_value};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Reason, TokenName};

    #[test]
    fn a_name_and_a_reason_have_something_that_can_be_seen() {
        let unseen = [
            "\u{200B}",
            "\u{2800}",
            "\u{3164}",
            "\u{AD}",
            "\u{FEFF}\u{2060}",
            "\u{E0061}",
            "\u{2800} \u{2800}",
        ];
        for text in unseen {
            assert!(!is_visible(text));
            assert!(TokenName::new(text).is_err() && Reason::new(text).is_err(), "{text:?}");
            assert!(TokenName::stored(text).is_ok() && Reason::stored(text).is_ok());
        }
        assert!(Reason::new(" \u{3000}").is_err());
        let seen = [
            "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}",
            "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645}",
            "e\u{301}",
            "\u{2764}\u{FE0F}",
            ".",
        ];
        for text in seen {
            assert!(TokenName::new(text).is_ok() && Reason::new(text).is_ok(), "{text:?}");
        }
    }
}
