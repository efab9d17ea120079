//! A document on its way to the browser.

use askama::Template;

use crate::web::Problem;

use super::{
    super::answer::Done,
    markup::Markup,
    view::{Main, Site, Whole},
    visitor::{Layout, PageParts},
};

/// The answer to a request of the page.
pub(super) enum Reply {
    Document(Document),
    /// The browser is sent on to this path.
    SeeOther(String),
}

pub(super) struct Document {
    status: u16,
    title: String,
    content: Markup,
    shows_secret: bool,
}

impl From<Document> for Reply {
    fn from(document: Document) -> Self {
        Self::Document(document)
    }
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// `no-referrer` would make a browser send `Origin: null` with a form, and over plain HTTP it sends nothing else that
/// tells whose form it is.
const HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

impl Document {
    pub(super) fn new(
        status: u16,
        title: String,
        template: &impl Template,
    ) -> Result<Self, Problem> {
        let content = Markup(template.render().map_err(|_| Problem::internal())?);
        Ok(Self { status, title, content, shows_secret: false })
    }

    /// The one document with a secret.
    pub(super) fn with_secret(title: String, template: &impl Template) -> Result<Self, Problem> {
        Ok(Self { shows_secret: true, ..Self::new(200, title, template)? })
    }

    pub(super) fn finish(self, site: &Site, layout: Option<Layout>) -> Result<Done, Problem> {
        let title = match self.status {
            200 => self.title,
            _ => site.t.error_prefix.name(&self.title).plain(),
        };
        let title = match &site.options.application {
            Some(application) => format!("{title} · {application}"),
            None => title,
        };
        let main = Main { site, content: self.content };
        let main = main.render().map_err(|_| Problem::internal())?;
        let head = site.options.assets.head(&site.mount);
        let layout = layout.filter(|_| !self.shows_secret || site.options.secret_in_layout);
        let (body, policy) = if let Some(layout) = layout {
            let language = site.t.language.to_string();
            (layout(PageParts { language, title, head, main }), None)
        } else {
            let whole = Whole { site, title: &title, head: Markup(head), main: Markup(main) };
            let policy = ("content-security-policy", POLICY);
            (whole.render().map_err(|_| Problem::internal())?, Some(policy))
        };
        let mut done = Done::text(self.status, "text/html; charset=utf-8", body);
        for (name, value) in HEADERS.into_iter().chain(policy) {
            done = done.header(name, value);
        }
        Ok(done)
    }
}
