use std::{borrow::Cow, fmt, sync::Arc};

use askama::filters::HtmlSafe;

use crate::token::Timestamp;

use super::super::markup::{Chosen, Escaped, Time, visible};

/// A message of the page: plain text. Parts in braces, such as `{name}` or `{time}`, are replaced: keep those of the English
/// text.
///
/// ```
/// use keyfob::web::manage::page::Message;
///
/// let message = Message::from("Make a token");
/// assert_eq!(message.to_string(), "Make a token");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Cow<'static, str>);

/// A message that depends on a number: a function of the number, whose text has it as `{n}`.
///
/// ```
/// use keyfob::web::manage::page::Plural;
///
/// // Polish has three forms.
/// let tokens = Plural::new(|n| match (n % 10, n % 100) {
///     (1, _) if n == 1 => "{n} token",
///     (2..=4, tens) if !(12..=14).contains(&tens) => "{n} tokeny",
///     _ => "{n} tokenów",
/// });
/// # let _ = tokens;
/// ```
#[derive(Clone)]
pub struct Plural(Arc<dyn Fn(u64) -> &'static str + Send + Sync>);

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Plural {
    /// Takes the function of the number.
    #[must_use]
    pub fn new(text: impl Fn(u64) -> &'static str + Send + Sync + 'static) -> Self {
        Self(Arc::new(text))
    }

    pub(in super::super) fn n(&self, n: impl Number) -> Filled<'_> {
        let n = n.number();
        let filled = Filled { message: (self.0)(n), values: Vec::new() };
        filled.with("n", Value::Number(n))
    }
}

/// The texts for one and for another number.
impl From<(&'static str, &'static str)> for Plural {
    fn from((one, other): (&'static str, &'static str)) -> Self {
        Self::new(move |n| if n == 1 { one } else { other })
    }
}

impl fmt::Debug for Plural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plural({:?}, {:?})", (self.0)(1), (self.0)(2))
    }
}

/// A count, as templates and code have it.
pub(in super::super) trait Number {
    fn number(&self) -> u64;
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Number for $number {
            fn number(&self) -> u64 {
                u64::try_from(*self).unwrap_or(u64::MAX)
            }
        }
    )+};
}

numbers!(i32, u32, u64, usize, i64);

impl<N: Number> Number for &N {
    fn number(&self) -> u64 {
        N::number(self)
    }
}

/// A message with its values. As HTML it is escaped; the texts that people chose stand between `<bdi>`.
#[derive(Clone, Debug)]
pub(in super::super) struct Filled<'m> {
    message: &'m str,
    values: Vec<(&'static str, Value<'m>)>,
}

#[derive(Clone, Debug)]
enum Value<'m> {
    Chosen(Cow<'m, str>),
    Number(u64),
    Time(Timestamp),
    /// The script puts a text of this name here.
    Slot(&'static str),
}

impl Message {
    fn filled(&self) -> Filled<'_> {
        Filled { message: &self.0, values: Vec::new() }
    }

    pub(in super::super) fn name<'m>(&'m self, name: &'m (impl AsRef<str> + ?Sized)) -> Filled<'m> {
        self.filled().text("name", name.as_ref().into())
    }

    pub(in super::super) fn named(&self, name: String) -> Filled<'_> {
        self.filled().text("name", name.into())
    }

    pub(in super::super) fn at(&self, time: Timestamp) -> Filled<'_> {
        self.filled().at(time)
    }

    pub(in super::super) fn n(&self, n: impl Number) -> Filled<'_> {
        self.filled().with("n", Value::Number(n.number()))
    }

    pub(in super::super) fn slot(&self, name: &'static str) -> Filled<'_> {
        self.filled().with(name, Value::Slot(name))
    }
}

impl<'m> Filled<'m> {
    fn with(mut self, name: &'static str, value: Value<'m>) -> Self {
        self.values.push((name, value));
        self
    }

    pub(in super::super) fn text(self, name: &'static str, text: Cow<'m, str>) -> Self {
        self.with(name, Value::Chosen(text))
    }

    pub(in super::super) fn at(self, time: Timestamp) -> Self {
        self.with("time", Value::Time(time))
    }

    pub(in super::super) fn of(self, n: impl Number) -> Self {
        self.with("of", Value::Number(n.number()))
    }

    /// The same with a place in which the script puts the number.
    pub(in super::super) fn counted_as(mut self, slot: &'static str) -> Self {
        self.values.retain(|(name, _)| *name != "n");
        self.with("n", Value::Slot(slot))
    }

    /// As plain text, for a title or an attribute.
    pub(in super::super) fn plain(&self) -> String {
        self.write(|text, value| match value {
            None => text.to_owned(),
            Some(Value::Chosen(text)) => visible(text).into_owned(),
            Some(Value::Number(n)) => n.to_string(),
            Some(Value::Time(time)) => Time(*time).text(),
            Some(Value::Slot(_)) => String::new(),
        })
    }

    fn write(&self, write: impl Fn(&str, Option<&Value<'_>>) -> String) -> String {
        let (mut written, mut rest) = (String::new(), self.message);
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, it)| Some((before, it.split_once('}')?)))
        {
            written += &write(before, None);
            let value = self.values.iter().find(|(it, _)| *it == name);
            written += &match value {
                Some((_, value)) => write(name, Some(value)),
                None => write(&format!("{{{name}}}"), None),
            };
            rest = after;
        }
        written + &write(rest, None)
    }
}

impl fmt::Display for Filled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(|text, value| match value {
            None => Escaped(text).to_string(),
            Some(Value::Chosen(text)) => Chosen(text).to_string(),
            Some(Value::Number(n)) => n.to_string(),
            Some(Value::Time(time)) => Time(*time).to_string(),
            Some(Value::Slot(name)) => format!("<bdi data-kf-slot=\"{name}\"></bdi>"),
        }))
    }
}

impl HtmlSafe for Filled<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_can_do_nothing() {
        let message = Message::from("Revoke <{name}> & {none}?");
        let filled = message.name("<b>{n}");
        assert_eq!(filled.to_string(), "Revoke &#60;<bdi>&#60;b&#62;{n}</bdi>&#62; &#38; {none}?");
        assert_eq!(filled.plain(), "Revoke <<b>{n}> & {none}?");
        let tokens = Plural::from(("{n} token", "{n} tokens"));
        assert_eq!(
            (tokens.n(1).plain(), tokens.n(7).plain()),
            ("1 token".into(), "7 tokens".into())
        );
    }
}
