//! Texts and instants as they stand in a document. All of it is escaped here or by the template.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use askama::filters::{self, HtmlSafe};

use crate::token::Timestamp;

use super::texts::Message;

/// HTML that a template has made.
#[derive(Clone, Debug)]
pub(super) struct Markup(pub(super) String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

/// A text that somebody chose, between `<bdi>`: it can't change the direction of the text around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'a>(pub(super) &'a str);

impl fmt::Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<bdi>{}</bdi>", Escaped(&visible(self.0)))
    }
}

impl HtmlSafe for Chosen<'_> {}

/// The same text with each control character, and each that changes the direction, shown as its code point. In an
/// attribute, nothing else keeps such a character from having its effect.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |it: char| {
        it.is_control()
            || matches!(it, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut shown = String::new();
    for character in text.chars() {
        if is_hidden(character) {
            let _ = write!(shown, "[U+{:04X}]", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// A text in which `<`, `>`, `&` and both quotes are escaped.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(escaped) = filters::escape(self.0, filters::Html);
        escaped.fmt(f)
    }
}

/// An instant in UTC, which the script makes local: `2026-01-31 08:00 UTC` is read in the same way everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) Timestamp);

impl Time {
    pub(super) fn text(self) -> String {
        let text = self.0.to_string();
        // `2026-01-31T08:00:00Z`, or a longer year.
        let (date, time) = text.split_once('T').unwrap_or((&text, ""));
        format!("{date} {} UTC", time.get(..5).unwrap_or_default())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<time datetime=\"{}\">{}</time>", self.0, self.text())
    }
}

impl HtmlSafe for Time {}

/// A text that is escaped as it becomes HTML.
pub(super) trait AsMarkup {
    fn as_markup(&self) -> Markup;
}

impl<T: fmt::Display + HtmlSafe> AsMarkup for T {
    fn as_markup(&self) -> Markup {
        Markup(self.to_string())
    }
}

impl AsMarkup for Message {
    fn as_markup(&self) -> Markup {
        Markup(Escaped(&self.to_string()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_text_has_no_effect() {
        for (text, shown) in [
            ("ci-deploy", "<bdi>ci-deploy</bdi>"),
            ("<b>\"&'", "<bdi>&#60;b&#62;&#34;&#38;&#39;</bdi>"),
            ("a\u{202E}b\r\n", "<bdi>a[U+202E]b[U+000D][U+000A]</bdi>"),
            ("👩\u{200D}💻", "<bdi>👩\u{200D}💻</bdi>"),
        ] {
            assert_eq!(Chosen(text).to_string(), shown);
        }
    }

    #[test]
    fn an_instant_is_read_in_the_same_way_everywhere() {
        let instant = Timestamp::from_unix_seconds(1_769_846_400).unwrap();
        let time = "<time datetime=\"2026-01-31T08:00:00Z\">2026-01-31 08:00 UTC</time>";
        assert_eq!(Time(instant).to_string(), time);
    }
}
