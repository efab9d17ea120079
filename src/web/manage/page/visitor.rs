use std::{borrow::Borrow, fmt};

use crate::web::auth::Account;

/// The person who looks at the page: the account, and how the page is to be for it. An [`Account`] alone converts into one.
///
/// ```
/// use keyfob::{Owner, web::{auth::Account, manage::page::{Choice, Visitor}}};
///
/// let account = Account::new(Owner::new("user:42")?);
/// let visitor = Visitor::new(account)
///     .language("de")
///     .choices([Choice::new("projects:7:write", "Change the project “Blog”")]);
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
pub struct Visitor {
    pub(super) account: Account,
    pub(super) language: Option<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) layout: Option<Layout>,
}

/// Puts the parts of a document into the application's own layout.
pub(super) type Layout = Box<dyn FnOnce(PageParts) -> String + Send>;

/// An ability of one resource, such as `projects:7:write`, which the person can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub(super) ability: String,
    pub(super) label: String,
}

/// The parts of a document, for the layout of the application.
///
/// The layout needs `script-src` and `style-src` for its own origin in its content policy, and nothing inline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PageParts {
    /// The language of the document, such as `en`.
    pub language: String,
    /// The title: plain text, which is still to be escaped.
    pub title: String,
    /// HTML for the head: the stylesheet and the script.
    pub head: String,
    /// HTML for the body.
    pub main: String,
}

impl Visitor {
    /// Takes the account.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self { account, language: None, choices: Vec::new(), layout: None }
    }

    /// Sets the language, such as `de` or `pt-BR`. Default: the first language of `Accept-Language` that the page has, else
    /// English.
    #[must_use]
    pub fn language(self, tag: impl Into<String>) -> Self {
        Self { language: Some(tag.into()), ..self }
    }

    /// Sets the abilities of resources that the person can choose. They are needed only if the application declares ability
    /// [templates](crate::abilities) such as `projects:{project}:write`. Default: none.
    #[must_use]
    pub fn choices(self, choices: impl IntoIterator<Item = Choice>) -> Self {
        Self { choices: choices.into_iter().collect(), ..self }
    }

    /// Puts documents into a layout of the application: a function that returns the whole HTML. The application then sends
    /// its own content policy. Default: a document of the page's own.
    ///
    /// A document that shows a secret has its own layout and policy, unless
    /// [`secret_in_layout`](super::PageOptions::secret_in_layout) is set: analytics must not meet the secret.
    ///
    /// ```
    /// # use keyfob::{Owner, web::{auth::Account, manage::page::{PageParts, Visitor}}};
    /// # fn escape(text: &str) -> String { text.to_owned() }
    /// let account = Account::new(Owner::new("user:42")?);
    /// let visitor = Visitor::new(account).layout(|parts: PageParts| {
    ///     let PageParts { language, title, head, main, .. } = parts;
    ///     let title = escape(&title);
    ///     format!("<!doctype html><html lang={language:?}><title>{title}</title>{head}<main>{main}</main></html>")
    /// });
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    #[must_use]
    pub fn layout(self, layout: impl FnOnce(PageParts) -> String + Send + 'static) -> Self {
        Self { layout: Some(Box::new(layout)), ..self }
    }
}

impl From<Account> for Visitor {
    fn from(account: Account) -> Self {
        Self::new(account)
    }
}

impl Borrow<Account> for Visitor {
    fn borrow(&self) -> &Account {
        &self.account
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor")
            .field("account", &self.account)
            .field("language", &self.language)
            .field("choices", &self.choices)
            .finish_non_exhaustive()
    }
}

impl Choice {
    /// Takes the ability, and its label for people.
    #[must_use]
    pub fn new(ability: impl Into<String>, label: impl Into<String>) -> Self {
        Self { ability: ability.into(), label: label.into() }
    }
}
