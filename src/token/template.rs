use super::{Ability, is_ability};

/// Returns `true` if a text is an ability, or a template of one: an ability in which some segments are parameters of a
/// route, such as `projects:{project}:write`. A parameter is a whole segment, and its name is 1 or more of
/// `[A-Za-z0-9_]`. Usable in constants.
///
/// ```
/// const _: () = assert!(keyfob::token::is_ability_template("projects:{project}:write"));
/// assert!(keyfob::token::is_ability_template("servers:read"));
/// assert!(!keyfob::token::is_ability_template("projects:p{project}"));
/// ```
#[must_use]
pub const fn is_ability_template(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut start, mut end) = (0, 0);
    while end <= bytes.len() {
        if end == bytes.len() || bytes[end] == b':' {
            if !is_segment(bytes, start, end) {
                return false;
            }
            start = end + 1;
        }
        end += 1;
    }
    bytes.len() <= super::ability::MAX_LENGTH
}

const fn is_segment(bytes: &[u8], mut start: usize, mut end: usize) -> bool {
    let is_parameter = start < end && bytes[start] == b'{' && bytes[end - 1] == b'}';
    if is_parameter {
        start += 1;
        end -= 1;
    }
    if start >= end {
        return false;
    }
    while start < end {
        let byte = bytes[start];
        let fits = byte.is_ascii_alphanumeric() || byte == b'_';
        if !fits && (is_parameter || (byte != b'.' && byte != b'-')) {
            return false;
        }
        start += 1;
    }
    true
}

/// An ability as an application names it, of which some segments may be parameters of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AbilityTemplate<'t>(&'t str);

/// A template with the parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Ability(String),
    /// A parameter is something else than a segment of an ability, so there is no such ability.
    Nothing,
    /// The route has no parameter of that name.
    NoParameter,
}

impl<'t> AbilityTemplate<'t> {
    /// Takes a text that [`is_ability_template`].
    pub(crate) const fn new(text: &'t str) -> Self {
        Self(text)
    }

    /// Returns `true` if there is a parameter.
    pub(crate) const fn has_parameters(self) -> bool {
        let bytes = self.0.as_bytes();
        let mut place = 0;
        while place < bytes.len() {
            if bytes[place] == b'{' {
                return true;
            }
            place += 1;
        }
        false
    }

    /// Replaces the parameters by their values, which are decoded.
    pub(crate) fn fill(self, mut value_of: impl FnMut(&str) -> Option<String>) -> Filled {
        let mut filled = Vec::new();
        for segment in self.0.split(':') {
            filled.push(match parameter(segment) {
                None => segment.to_owned(),
                Some(name) => match value_of(name) {
                    None => return Filled::NoParameter,
                    Some(value) if value.contains(':') => return Filled::Nothing,
                    Some(value) => value,
                },
            });
        }
        let filled = filled.join(":");
        if is_ability(&filled) { Filled::Ability(filled) } else { Filled::Nothing }
    }

    /// Returns `true` if there is an ability that both stand for.
    pub(crate) fn meets(self, other: AbilityTemplate<'_>) -> bool {
        let (mut ours, mut others) = (self.0.split(':'), other.0.split(':'));
        loop {
            match (ours.next(), others.next()) {
                (None, None) => return true,
                (Some(one), Some(other)) if is_same(one, other) => {}
                _ => return false,
            }
        }
    }

    /// Returns `true` if a token that holds an ability or a branch may do something that this stands for.
    pub(crate) fn is_within(self, held: &Ability) -> bool {
        let Some(branch) = held.as_str().strip_suffix(":*") else {
            return self.meets(AbilityTemplate::new(held.as_str()));
        };
        let mut ours = self.0.split(':');
        let is_above =
            branch.split(':').all(|held| ours.next().is_some_and(|it| is_same(it, held)));
        is_above && ours.next().is_some()
    }
}

fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn is_same(one: &str, other: &str) -> bool {
    one == other || parameter(one).is_some() || parameter(other).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_whole_segment() {
        for good in
            ["servers:read", "projects:{id}:write", "{kind}:{id}", "{id}", "a", "a-b.c_d:{A_9}"]
        {
            assert!(is_ability_template(good), "{good}");
        }
        for bad in [
            "", "a:*", "a:{}:b", "p{id}", "{id}s", "{id", "id}", "{a}{b}", "{a\"b}", "a::b", "a b",
            ":a", "a:", "{a-b}", "{{a}}", "é",
        ] {
            assert!(!is_ability_template(bad), "{bad}");
        }
        assert!(is_ability_template(&"a".repeat(100)) && !is_ability_template(&"a".repeat(101)));
    }

    #[test]
    fn a_template_is_filled_with_segments_only() {
        let template = AbilityTemplate::new("projects:{id}:write");
        let fill = |value: &str| template.fill(|name| (name == "id").then(|| value.to_owned()));
        assert_eq!(fill("7"), Filled::Ability("projects:7:write".to_owned()));
        for bad in ["", "7:8", "*", "a b", "é", "{id}", &"7".repeat(100)] {
            assert_eq!(fill(bad), Filled::Nothing, "{bad}");
        }
        assert_eq!(template.fill(|_| None), Filled::NoParameter);
        let bare = AbilityTemplate::new("{a}:{b}");
        assert_eq!(bare.fill(|name| Some(name.replace('a', ""))), Filled::Nothing);
    }

    #[test]
    fn what_a_token_holds_is_within_a_template_or_not() {
        let template = AbilityTemplate::new("projects:{project}:write");
        for (held, is_within) in [
            ("projects:7:write", true),
            ("projects:7:wrte", false),
            ("projects:7", false),
            ("projects:7:write:all", false),
            ("projects:*", true),
            ("projects:7:*", true),
            ("projects:7:write:*", false),
            ("servers:*", false),
            ("servers:7:write", false),
        ] {
            let held = Ability::new(held).unwrap();
            assert_eq!(template.is_within(&held), is_within, "{held}");
        }
        for (other, meets) in [
            ("projects:{id}:write", true),
            ("projects:7:{part}", true),
            ("{kind}:{id}:write", true),
            ("projects:{id}:read", false),
            ("projects:{id}", false),
        ] {
            assert_eq!(template.meets(AbilityTemplate::new(other)), meets, "{other}");
        }
    }
}
