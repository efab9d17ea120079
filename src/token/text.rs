use smol_str::SmolStr;

/// Why a text was refused as an [`Owner`](crate::Owner), an [`Actor`](super::Actor) or another short text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is no character in it.
    #[error("must not be empty")]
    Empty,
    /// It is longer than it may be.
    #[error("must be at most {max} bytes long, not {len}")]
    TooLong {
        /// The length that was given, in bytes.
        len: usize,
        /// The greatest length, in bytes.
        max: usize,
    },
    /// It holds a control character (Unicode category Cc), such as NUL or a line break.
    #[error("must not contain control characters")]
    ControlCharacter,
}

pub(super) fn check(text: &str, max: usize) -> Result<SmolStr, TextError> {
    match text.len() {
        0 => Err(TextError::Empty),
        len if len > max => Err(TextError::TooLong { len, max }),
        _ if text.chars().any(char::is_control) => Err(TextError::ControlCharacter),
        _ => Ok(SmolStr::new(text)),
    }
}

/// Makes a validated text of 1 to `$max` bytes without control characters, compared by bytes.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(smol_str::SmolStr);

        impl $name {
            /// Takes a text of 1 to
            #[doc = concat!(stringify!($max), " bytes.")]
            ///
            /// # Errors
            /// [`TextError`](crate::token::TextError) where it is empty, too long, or holds a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::token::TextError> {
                super::text::check(text.as_ref(), $max).map(Self)
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        super::text::text_traits!($name, $crate::token::TextError);
    };
}

/// `Debug`, `Display`, `FromStr` and serde for a newtype with `new` and `as_str`.
macro_rules! text_traits {
    ($name:ident, $error:ty) => {
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
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
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
