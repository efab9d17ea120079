//! The texts of the page, in each of its languages.

mod german_rules;
mod message;
mod messages;

pub use message::{Message, Plural};
pub use messages::Texts;

use std::sync::Arc;

/// The direction in which a language is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From left to right.
    #[default]
    LeftToRight,
    /// From right to left.
    RightToLeft,
}

impl Direction {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::LeftToRight => "ltr",
            Self::RightToLeft => "rtl",
        }
    }
}

/// The languages that the page has. The first one is for all who ask for another.
#[derive(Clone, Debug)]
pub(super) struct Languages(Vec<Arc<Texts>>);

impl Default for Languages {
    fn default() -> Self {
        Self(vec![Arc::new(Texts::english()), Arc::new(Texts::german())])
    }
}

impl Languages {
    /// Adds a language, or replaces the one with the same tag.
    pub(super) fn set(&mut self, texts: Texts) {
        let texts = Arc::new(texts);
        match self.0.iter_mut().find(|it| it.language == texts.language) {
            Some(known) => *known = texts,
            None => self.0.push(texts),
        }
    }

    /// The language that the application names for the person, else the best one of `Accept-Language`.
    pub(super) fn choose(&self, named: Option<&str>, accepted: Option<&str>) -> &Arc<Texts> {
        let accepted = accepted.map(preferred).unwrap_or_default();
        let mut tags = named.into_iter().chain(accepted);
        tags.find_map(|tag| self.find(tag)).unwrap_or(&self.0[0])
    }

    /// `de-AT` is served by `de-AT`, else by `de` (RFC 4647 §3.4).
    fn find(&self, tag: &str) -> Option<&Arc<Texts>> {
        let mut range = tag;
        loop {
            let found = self.0.iter().find(|it| it.language.eq_ignore_ascii_case(range));
            if found.is_some() {
                return found;
            }
            range = range.rsplit_once('-')?.0;
        }
    }
}

/// The tags of an `Accept-Language`, the most wanted first (RFC 9110 §12.5.4).
fn preferred(accepted: &str) -> Vec<&str> {
    let mut tags: Vec<_> = accepted
        .split(',')
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().filter(|it| !it.is_empty())?;
            let quality = parts.find_map(|it| it.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |it| it.parse::<f32>().ok())?;
            (quality > 0.0).then_some((tag, quality))
        })
        .collect();
    tags.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    tags.into_iter().map(|(tag, _)| tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        let languages = Languages::default();
        for (named, accepted, language) in [
            (None, None, "en"),
            (None, Some("de"), "de"),
            (None, Some("fr, de-AT;q=0.9, en;q=0.8"), "de"),
            (None, Some("en-GB;q=0.5, DE;q=0.6"), "de"),
            (None, Some("de;q=0, en"), "en"),
            (None, Some("de;q=x"), "en"),
            (None, Some("*"), "en"),
            (None, Some(",;,-"), "en"),
            (Some("de"), Some("en"), "de"),
            (Some("fr"), Some("de"), "de"),
        ] {
            assert_eq!(languages.choose(named, accepted).language, language, "{accepted:?}");
        }
    }
}
