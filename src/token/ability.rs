use std::{fmt, sync::Arc};

use smol_str::SmolStr;

use super::{InvalidValue, Rule, text::text_traits};

pub(super) const MAX_LENGTH: usize = 100;
const MAX_PER_TOKEN: usize = 100;

/// Something that a token may do, as a token holds it: `servers:read`, or a whole branch with `servers:*`.
///
/// Segments of `[A-Za-z0-9_.-]`, case-sensitive, joined by `:`, at most 100 characters. A last segment of `*` stands
/// for every ability below; nothing else is a wildcard. Everything at once is [`Abilities::all`], never a `*` alone.
///
/// ```
/// use keyfob::token::Ability;
///
/// let branch = Ability::new("servers:*")?;
/// assert!(branch.permits("servers:read") && branch.permits("servers:42:restart"));
/// assert!(!branch.permits("servers") && !branch.permits("sites:read"));
/// assert!(Ability::new("*").is_err());
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ability(SmolStr);

/// Tells whether a text is one ability and no pattern, as a handler requires it. Usable in constants.
///
/// ```
/// const _: () = assert!(keyfob::token::is_ability("servers:read"));
/// assert!(!keyfob::token::is_ability("servers:*"));
/// ```
#[must_use]
pub const fn is_ability(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at_start = true;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b':' if at_start => return false,
            b':' => at_start = true,
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') => {
                at_start = false;
            }
            _ => return false,
        }
        i += 1;
    }
    !at_start && bytes.len() <= MAX_LENGTH
}

impl Ability {
    /// Takes an ability or a branch.
    ///
    /// # Errors
    /// [`InvalidValue`] names the rule that the ability breaks. It never contains the text.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        Self::read(text.as_ref()).map_err(|rule| rule.broken_by("abilities"))
    }

    fn read(text: &str) -> Result<Self, Rule> {
        if text.len() > MAX_LENGTH {
            return Err(Rule::AbilityTooLong { max: MAX_LENGTH });
        }
        if text == "*" {
            return Err(Rule::BareWildcard);
        }
        let branch = text.strip_suffix(":*").unwrap_or(text);
        if is_ability(branch) {
            Ok(Self(SmolStr::new(text)))
        } else if branch.contains('*') {
            Err(Rule::MisplacedWildcard)
        } else if branch.split(':').any(str::is_empty) {
            Err(Rule::EmptySegment)
        } else {
            Err(Rule::AbilityCharacter)
        }
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether holding this permits `required`. What is required is one ability, never a pattern.
    #[must_use]
    pub fn permits(&self, required: &str) -> bool {
        match self.0.as_bytes() {
            [branch @ .., b'*'] => required.as_bytes().starts_with(branch) && is_ability(required),
            ability => ability == required.as_bytes(),
        }
    }

    /// Tells whether holding this permits everything that holding `other` does.
    fn covers(&self, other: &Self) -> bool {
        match (self.0.as_bytes(), other.0.as_bytes()) {
            ([branch @ .., b'*'], below) => below.starts_with(branch),
            (ability, other) => ability == other,
        }
    }
}

text_traits!(Ability);

/// What a token may do: everything, or what is in a set. The empty set permits nothing.
///
/// ```
/// use keyfob::Abilities;
///
/// let abilities = Abilities::set(["servers:read", "sites:*"])?;
/// assert!(abilities.permit("servers:read") && abilities.permit("sites:create"));
/// assert!(!abilities.permit("servers:create"));
/// assert!(!Abilities::none().permit("servers:read"));
/// assert!(Abilities::all().permit("servers:read"));
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Abilities(Held);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Held {
    All,
    Set(Arc<[Ability]>),
}

impl Abilities {
    /// Everything, also what the application does not know yet.
    #[must_use]
    pub const fn all() -> Self {
        Self(Held::All)
    }

    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Held::Set(Arc::default()))
    }

    /// A set of at most 100; what is named twice is held once, in the order given.
    ///
    /// # Errors
    /// [`InvalidValue`] for the first text that is not an ability, or if there are too many.
    pub fn set<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, InvalidValue> {
        let mut held = Vec::new();
        for text in texts {
            let ability = Ability::new(text)?;
            if held.contains(&ability) {
                continue;
            }
            if held.len() == MAX_PER_TOKEN {
                return Err(Rule::TooManyAbilities { max: MAX_PER_TOKEN }.broken_by("abilities"));
            }
            held.push(ability);
        }
        Ok(Self(Held::Set(held.into())))
    }

    /// Tells whether `required`, one ability and no pattern, is permitted. What is no ability never is.
    #[must_use]
    pub fn permit(&self, required: &str) -> bool {
        match &self.0 {
            Held::All => is_ability(required),
            Held::Set(held) => held.iter().any(|ability| ability.permits(required)),
        }
    }

    /// Tells whether these permit everything that `others` do.
    ///
    /// ```
    /// use keyfob::Abilities;
    ///
    /// let servers = Abilities::set(["servers:*"])?;
    /// assert!(servers.cover(&Abilities::set(["servers:read", "servers:42:*"])?));
    /// assert!(!servers.cover(&Abilities::set(["servers:read", "sites:read"])?));
    /// assert!(!servers.cover(&Abilities::all()));
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        match (&self.0, &others.0) {
            (Held::All, _) => true,
            (Held::Set(_), Held::All) => false,
            (Held::Set(_), Held::Set(others)) => others.iter().all(|other| self.hold(other)),
        }
    }

    /// Returns `true` if these permit everything that one ability or branch does.
    pub(crate) fn hold(&self, ability: &Ability) -> bool {
        match &self.0 {
            Held::All => true,
            Held::Set(held) => held.iter().any(|it| it.covers(ability)),
        }
    }

    /// Tells whether everything is permitted.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self.0, Held::All)
    }

    /// Tells whether nothing is permitted.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.as_set().is_some_and(<[_]>::is_empty)
    }

    /// What is in the set; `None` where everything is permitted.
    #[must_use]
    pub fn as_set(&self) -> Option<&[Ability]> {
        match &self.0 {
            Held::All => None,
            Held::Set(held) => Some(held),
        }
    }
}

impl fmt::Debug for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Held::All => f.write_str("Abilities::all"),
            Held::Set(held) => f.debug_set().entries(held.iter().map(Ability::as_str)).finish(),
        }
    }
}

/// A list of abilities, or the text `"*"` for all: how abilities are written in JSON.
impl serde::Serialize for Abilities {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Held::All => serializer.serialize_str("*"),
            Held::Set(held) => serializer.collect_seq(held.iter()),
        }
    }
}

/// A good token that lacks what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token lacks the ability {required}")]
#[non_exhaustive]
pub struct MissingAbility {
    /// The ability that was asked for.
    pub required: SmolStr,
}

impl MissingAbility {
    pub(crate) fn new(required: &str) -> Self {
        Self { required: SmolStr::new(required) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_names_itself() {
        for (text, error) in [
            ("", Rule::EmptySegment),
            ("a::b", Rule::EmptySegment),
            (":a", Rule::EmptySegment),
            ("a:", Rule::EmptySegment),
            ("*", Rule::BareWildcard),
            ("a:*:b", Rule::MisplacedWildcard),
            ("a*", Rule::MisplacedWildcard),
            ("*:a", Rule::MisplacedWildcard),
            ("a:**", Rule::MisplacedWildcard),
            ("a b", Rule::AbilityCharacter),
            ("é", Rule::AbilityCharacter),
            ("a\0", Rule::AbilityCharacter),
        ] {
            assert_eq!(Ability::read(text), Err(error), "{text:?}");
        }
        assert!(Ability::new("a".repeat(100)).is_ok());
        assert_eq!(Ability::read(&"a".repeat(101)), Err(Rule::AbilityTooLong { max: MAX_LENGTH }));
        let abilities = |n: usize| Abilities::set((0..n).map(|i| format!("a:{i}")));
        assert!(abilities(100).is_ok());
        assert_eq!(
            abilities(10_000),
            Err(Rule::TooManyAbilities { max: 100 }.broken_by("abilities"))
        );
    }

    /// Held, required, permitted: every pair of these, so that no rule of the matcher is left to chance.
    #[test]
    fn the_truth_table_holds() {
        let required = ["a", "a:b", "a:b:c", "A:b", "ab:c", "a:*", "*", "", "a:b:", "b"];
        for (held, permitted) in [
            ("a", &["a"][..]),
            ("a:b", &["a:b"]),
            ("a:*", &["a:b", "a:b:c"]),
            ("a:b:*", &["a:b:c"]),
            ("A:*", &["A:b"]),
            ("ab:*", &["ab:c"]),
        ] {
            let held = Abilities::set([held]).unwrap_or_else(|error| panic!("{held}: {error}"));
            for text in required {
                assert_eq!(held.permit(text), permitted.contains(&text), "{held:?} {text}");
            }
        }
        for text in required {
            assert_eq!(Abilities::all().permit(text), is_ability(text), "{text}");
            assert!(!Abilities::none().permit(text), "{text}");
        }
    }

    #[test]
    fn what_is_named_twice_is_held_once() {
        let abilities = Abilities::set(["b", "a", "b"]);
        let held = abilities.as_ref().ok().and_then(Abilities::as_set);
        assert_eq!(held.map(<[_]>::len), Some(2));
    }
}
