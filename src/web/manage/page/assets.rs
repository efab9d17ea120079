//! The stylesheet and the script, under names that follow from their content.

use sha2::{Digest, Sha256};

use super::{super::answer::Done, options::ColorScheme};

const STYLES: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

#[derive(Clone, Debug)]
pub(super) struct Assets {
    css: Asset,
    js: Asset,
}

#[derive(Clone, Debug)]
struct Asset {
    /// Such as `1f0c….css`.
    name: String,
    text: String,
}

impl Asset {
    fn new(text: String, ending: &str) -> Self {
        let digest = hex::encode(Sha256::digest(&text));
        Self { name: format!("{}.{ending}", &digest[..20]), text }
    }
}

impl Default for Assets {
    fn default() -> Self {
        Self::new(None, ColorScheme::System)
    }
}

impl Assets {
    pub(super) fn new(accent: Option<&str>, scheme: ColorScheme) -> Self {
        let scheme = match scheme {
            ColorScheme::System => None,
            ColorScheme::Light => Some("light"),
            ColorScheme::Dark => Some("dark"),
        };
        let own = [("color-scheme", scheme), ("--kf-accent", accent)];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let own = own.map(|(name, value)| {
            format!("@layer keyfob {{ .kf-body, .kf-page {{ {name}: {value}; }} }}\n")
        });
        let css = STYLES.to_owned() + &own.collect::<String>();
        Self { css: Asset::new(css, "css"), js: Asset::new(SCRIPT.to_owned(), "js") }
    }

    /// HTML for the head of a document.
    pub(super) fn head(&self, mount: &str) -> String {
        let mount = super::markup::Escaped(mount);
        let (css, js) = (&self.css.name, &self.js.name);
        format!(
            "<link rel=\"stylesheet\" href=\"{mount}/assets/{css}\">\n<script type=\"module\" src=\"{mount}/assets/{js}\"></script>"
        )
    }

    /// The file of a name.
    pub(super) fn find(&self, name: &str) -> Option<Done> {
        let (asset, media_type) = if name == self.css.name {
            (&self.css, "text/css; charset=utf-8")
        } else if name == self.js.name {
            (&self.js, "text/javascript; charset=utf-8")
        } else {
            return None;
        };
        let done = Done::text(200, media_type, asset.text.clone());
        let done = done.header("x-content-type-options", "nosniff");
        Some(done.header("cache-control", "public, max-age=31536000, immutable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_small() {
        assert!(STYLES.len() <= 12 * 1024, "{}", STYLES.len());
        assert!(SCRIPT.len() <= 6 * 1024, "{}", SCRIPT.len());
    }

    #[test]
    fn the_name_follows_from_the_content() {
        let (plain, dark) = (Assets::default(), Assets::new(None, ColorScheme::Dark));
        assert_ne!(plain.css.name, dark.css.name);
        assert_eq!(plain.js.name, dark.js.name);
        assert!(plain.find(&plain.css.name).is_some() && plain.find(&dark.css.name).is_none());
    }
}
