use std::{borrow::Cow, fmt, sync::Arc};

use crate::token::{Ability, InvalidValue, Rule};

use super::{
    assets::Assets,
    texts::{Languages, Texts},
};

/// The colours of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColorScheme {
    /// Light or dark, as the person's system has it.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// The texts of the application about its abilities, by language and by name.
type AbilityTexts = dyn Fn(&str, &str) -> Option<Cow<'static, str>> + Send + Sync;

/// A function of the application.
#[derive(Clone)]
pub(super) struct Describe(pub(super) Arc<AbilityTexts>);

impl fmt::Debug for Describe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom")
    }
}

/// Abilities that fill in the form together.
#[derive(Clone, Debug)]
pub(super) struct Preset {
    pub(super) label: String,
    pub(super) abilities: Vec<String>,
}

/// A text that shows how a token is used.
#[derive(Clone, Debug)]
pub(super) struct Snippet {
    pub(super) label: String,
    pub(super) text: String,
}

/// How the page looks, and what it offers. Several pages can have the same options.
///
/// ```
/// use keyfob::web::manage::page::PageOptions;
///
/// let options = PageOptions::new()
///     .application("Acme")
///     .back("Back to Acme", "/")
///     .accent("#1a7f5a")?
///     .api_url("https://api.acme.example/v1/servers")
///     .preset("Read only", ["servers:read", "sites:read"])?
///     .descriptions(true);
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[must_use]
pub struct PageOptions {
    pub(super) application: Option<String>,
    pub(super) back: Option<(String, String)>,
    pub(super) logo: Option<String>,
    pub(super) documentation: Option<String>,
    pub(super) api_url: Option<String>,
    pub(super) snippets: Vec<Snippet>,
    pub(super) presets: Vec<Preset>,
    pub(super) describe: Option<Describe>,
    pub(super) languages: Languages,
    pub(super) descriptions: bool,
    pub(super) limits: bool,
    pub(super) allows_no_abilities: bool,
    pub(super) secret_in_layout: bool,
    accent: Option<String>,
    scheme: ColorScheme,
    pub(super) assets: Assets,
}

impl PageOptions {
    /// The page without a name, with no further fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the application, for titles and for the head of the page. Default: none.
    pub fn application(self, name: impl Into<String>) -> Self {
        Self { application: Some(name.into()), ..self }
    }

    /// Adds a link back into the application to the head of the page. Default: none.
    pub fn back(self, label: impl Into<String>, url: impl Into<String>) -> Self {
        Self { back: Some((label.into(), url.into())), ..self }
    }

    /// Sets the URL of a logo for the head of the page, on the same origin. Default: none.
    pub fn logo(self, url: impl Into<String>) -> Self {
        Self { logo: Some(url.into()), ..self }
    }

    /// Sets the colour of links and main buttons. Choose one on which white text is readable: a contrast of at least 4.5 : 1.
    /// In the dark scheme a lighter shade of it is used for links. Default: a blue.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not written as `#rgb` or `#rrggbb`.
    pub fn accent(mut self, color: &str) -> Result<Self, InvalidValue> {
        let digits = color.strip_prefix('#').filter(|it| matches!(it.len(), 3 | 6));
        let is_color = digits.is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !is_color {
            return Err(Rule::other("must be a color such as #1a7f5a").broken_by("accent"));
        }
        self.accent = Some(color.to_owned());
        Ok(self.with_assets())
    }

    /// Sets whether the page is light or dark. Default: as the person's system has it.
    pub fn color_scheme(self, scheme: ColorScheme) -> Self {
        let mut options = self;
        options.scheme = scheme;
        options.with_assets()
    }

    /// Sets the URL of the documentation of the application's API, for a link. Default: none.
    pub fn documentation(self, url: impl Into<String>) -> Self {
        Self { documentation: Some(url.into()), ..self }
    }

    /// Sets a URL of the application's API. Then a `curl` line shows how a new token is used. Default: no such line.
    pub fn api_url(self, url: impl Into<String>) -> Self {
        Self { api_url: Some(url.into()), ..self }
    }

    /// Adds a line that shows how a new token is used, such as that of a command line tool. `{variable}` in the text becomes
    /// the name of an environment variable, such as `ACME_TOKEN`. The line never has the secret itself. Default: none.
    pub fn snippet(mut self, label: impl Into<String>, text: impl Into<String>) -> Self {
        let snippet = Snippet { label: label.into(), text: text.into() };
        self.snippets.push(snippet);
        self
    }

    /// Adds a button that fills in abilities, such as "Read only". It is shown to accounts that may grant all of them.
    /// Default: none.
    ///
    /// # Errors
    /// [`InvalidValue`] if a text is not an ability.
    pub fn preset<T: AsRef<str>>(
        mut self,
        label: impl Into<String>,
        abilities: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidValue> {
        let abilities = abilities.into_iter().map(|it| Ok(Ability::new(it)?.to_string()));
        let abilities = abilities.collect::<Result<_, InvalidValue>>()?;
        let preset = Preset { label: label.into(), abilities };
        self.presets.push(preset);
        Ok(self)
    }

    /// Sets the texts of abilities and of their groups: a function of the language's tag and of a name, such as
    /// `servers:read` or the group `servers`. If it returns `None`, an ability is described as
    /// [declared](crate::abilities), and a group is called by its name.
    ///
    /// ```
    /// use keyfob::web::manage::page::PageOptions;
    ///
    /// let options = PageOptions::new().describe(|language, name| match (language, name) {
    ///     ("de", "servers") => Some("Server".into()),
    ///     ("de", "servers:read") => Some("Server auflisten und zeigen".into()),
    ///     (_, "servers") => Some("Servers".into()),
    ///     _ => None,
    /// });
    /// ```
    pub fn describe(
        self,
        texts: impl Fn(&str, &str) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        Self { describe: Some(Describe(Arc::new(texts))), ..self }
    }

    /// Adds a language, or replaces the texts of one. Default: English and German.
    pub fn texts(mut self, texts: Texts) -> Self {
        self.languages.set(texts);
        self
    }

    /// Sets whether tokens have a description: one line, kept as `description` in their
    /// [metadata](crate::TokenRecord::metadata). Default: `false`.
    pub fn descriptions(self, shown: bool) -> Self {
        Self { descriptions: shown, ..self }
    }

    /// Sets whether a person can limit a token to addresses, to a time without use, and to a first day. Default: `false`.
    pub fn limits(self, shown: bool) -> Self {
        Self { limits: shown, ..self }
    }

    /// Sets whether a token can be created without any ability. It permits nothing. Default: `false`.
    pub fn allow_no_abilities(self, allowed: bool) -> Self {
        Self { allows_no_abilities: allowed, ..self }
    }

    /// Sets whether the document that shows a secret stands in the application's [layout](super::Visitor::layout) too. Scripts of
    /// that layout can read the secret. Default: `false`.
    pub fn secret_in_layout(self, allowed: bool) -> Self {
        Self { secret_in_layout: allowed, ..self }
    }

    fn with_assets(self) -> Self {
        let assets = Assets::new(self.accent.as_deref(), self.scheme);
        Self { assets, ..self }
    }

    /// The application's text for an ability, or for a group such as `servers`.
    pub(super) fn description_of(&self, language: &str, name: &str) -> Option<Cow<'static, str>> {
        self.describe.as_ref().and_then(|Describe(texts)| texts(language, name))
    }
}
