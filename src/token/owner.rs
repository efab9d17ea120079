use std::borrow::Cow;

use super::{TokenFormat, text::text_value};

text_value! {
    /// Whom a token belongs to: an opaque text of 1 to 255 bytes that the application chooses.
    ///
    /// `user:42`, `project:7`: a person, a project, whatever the application's own login has proven. It is compared
    /// by bytes; owners that differ only in case, accents or trailing spaces are different owners in every store.
    /// Never make one from what a request says of itself, and never give the text of a deleted owner out again: tokens
    /// that were not erased would belong to the new one.
    ///
    /// ```
    /// use keyfob::Owner;
    ///
    /// let owner = Owner::new("user:42")?;
    /// assert_eq!(owner.as_str(), "user:42");
    /// assert!(Owner::new("").is_err());
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    Owner, "owner", 255
}

text_value! {
    /// Who did something to a token: an opaque text of 1 to 255 bytes that the application chooses.
    ///
    /// Kept beside what was done (created by, revoked by) and never used to decide anything: a project's token has
    /// the project as its [`Owner`] and the member who made it as its creator.
    ///
    /// ```
    /// use keyfob::token::Actor;
    ///
    /// assert_eq!(Actor::new("user:42")?.as_str(), "user:42");
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    Actor, "actor", 255
}

text_value! {
    /// Why a token was revoked or suspended: 1 to 255 bytes for people to read. A token of the application in it is
    /// kept and told as `[token]`.
    ///
    /// ```
    /// use keyfob::token::Reason;
    ///
    /// assert_eq!(Reason::new("laptop stolen")?.as_str(), "laptop stolen");
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    Reason, "reason", 255, visible
}

text_value! {
    /// The caller's name for one request to issue a token: 1 to 255 bytes.
    ///
    /// A second request of the same owner with the same key issues nothing; it is told the id of the first token.
    ///
    /// ```
    /// use keyfob::token::IdempotencyKey;
    ///
    /// assert_eq!(IdempotencyKey::new("deploy-2026-11-21")?.as_str(), "deploy-2026-11-21");
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    IdempotencyKey, "idempotency_key", 255
}

impl From<&Owner> for Owner {
    fn from(owner: &Self) -> Self {
        owner.clone()
    }
}

/// An owner who acts for themselves.
impl From<&Owner> for Actor {
    fn from(owner: &Owner) -> Self {
        Self(owner.0.clone())
    }
}

macro_rules! without_tokens {
    ($($name:ident)+) => {
        $(impl $name {
            /// The same without tokens of the application in it.
            pub(crate) fn without_tokens(self, format: &TokenFormat) -> Self {
                match format.without_tokens(&self.0) {
                    Cow::Borrowed(_) => self,
                    Cow::Owned(text) => Self(text.into()),
                }
            }
        })+
    };
}

without_tokens! { Actor Reason }
