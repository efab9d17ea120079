//! The fields of a form that was sent.

/// The longest form, in bytes: a page of selected tokens is long.
pub(super) const LONGEST: usize = 64 * 1024;

/// A form. Each field is taken out of it, and a field that is left, or that is there twice, makes it unreadable.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
    is_bad: bool,
}

/// The form has fields that the page does not send.
#[derive(Debug)]
pub(super) struct BadForm;

impl Form {
    pub(super) fn read(body: &[u8]) -> Self {
        let fields = form_urlencoded::parse(body);
        let fields = fields.map(|(name, value)| (name.into_owned(), value.into_owned()));
        Self { fields: fields.collect(), is_bad: std::str::from_utf8(body).is_err() }
    }

    /// All values of a field.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        let is_named = |(it, _): &mut (String, String)| it == name;
        self.fields.extract_if(.., is_named).map(|(_, value)| value).collect()
    }

    /// The value of a field that is there once.
    pub(super) fn one(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(name).into_iter();
        let value = values.next();
        self.is_bad |= values.next().is_some();
        value
    }

    /// The value of a field, without white space around it; empty if the field is not there.
    pub(super) fn text(&mut self, name: &str) -> String {
        // A browser sends line breaks of a text area as CR LF.
        self.one(name).unwrap_or_default().trim().replace("\r\n", "\n")
    }

    /// Returns `true` if a box is ticked.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let value = self.one(name);
        self.is_bad |= value.as_ref().is_some_and(|it| it != "1");
        value.is_some()
    }

    /// A number that the page has put into the form.
    pub(super) fn number(&mut self, name: &str) -> Option<u32> {
        let number = self.one(name).and_then(|it| it.parse().ok());
        self.is_bad |= number.is_none();
        number
    }

    /// Marks the form as one that the page did not send.
    pub(super) fn refuse(&mut self) {
        self.is_bad = true;
    }

    pub(super) fn finish(self) -> Result<(), BadForm> {
        if self.is_bad || !self.fields.is_empty() { Err(BadForm) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_each_field_once_and_no_other() {
        for (body, is_good) in [
            ("name=ci&id=1&id=2&box=1&n=7", true),
            ("name=ci&box=1&n=7", true),
            ("n=7", true),
            ("name=ci&name=cd&n=7", false),
            ("n=7&owner=grace", false),
            ("box=2&n=7", false),
            ("name=ci", false),
            ("n=-7", false),
            ("n=7&%ff=1", false),
        ] {
            let mut form = Form::read(body.as_bytes());
            let _ = (form.text("name"), form.all("id"), form.flag("box"), form.number("n"));
            assert_eq!(form.finish().is_ok(), is_good, "{body}");
        }
        assert_eq!(Form::read(b"a=+x%0D%0Ay+").text("a"), "x\ny");
    }
}
