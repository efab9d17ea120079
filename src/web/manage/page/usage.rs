//! Lines that show how a token is used. A variable stands for the secret, so that neither the history of a shell nor a
//! screenshot holds it.

use crate::token::TokenFormat;

use super::options::{PageOptions, Snippet};

/// Such as `ACME_TOKEN`.
pub(super) fn variable(format: &TokenFormat) -> String {
    format!("{}_TOKEN", format.prefix().to_string().to_ascii_uppercase())
}

/// The line that calls the application's API.
pub(super) fn curl(options: &PageOptions, format: &TokenFormat) -> Option<String> {
    let url = options.api_url.as_ref()?;
    Some(format!("curl -H \"Authorization: Bearer ${}\" {url}", variable(format)))
}

/// All lines, with the variable in place of `{variable}`.
pub(super) fn snippets(options: &PageOptions, format: &TokenFormat) -> Vec<Snippet> {
    let curl = curl(options, format).map(|text| Snippet { label: "curl".to_owned(), text });
    let own = options.snippets.iter().map(|it| Snippet {
        label: it.label.clone(),
        text: it.text.replace("{variable}", &variable(format)),
    });
    curl.into_iter().chain(own).collect()
}
