//! The settings page: a table of tokens, with forms that create, change, rotate, suspend and revoke them.
//!
//! `web::axum::token_page` and `web::actix::token_page` mount it in one line, beside the [routes](super) for programs and
//! on the same functions. Every document is made by the server, and works without a script. A script shows local times,
//! copies, and asks before a token is revoked. Nothing is fetched from elsewhere.
//!
//! | path | shows |
//! |---|---|
//! | the mount path | the list: `q`, `state`, `ability`, `unused_days`, `expiring_days`, `sort`, `per_page`, `cursor` |
//! | `/new`, `/new?from={id}` | the form for a new token, and once the token itself |
//! | `/{id}` | one token, and the form that changes it |
//! | `/{id}/rotate`, `/suspend`, `/revoke` | the questions before these steps |
//! | `/revoke?all=1` | the question before all tokens are revoked |
//! | `/assets/{name}` | the stylesheet and the script, without a login |
//!
//! The application's function answers which [account](super#the-account) makes a request, as it does for the routes. It can
//! return a [`Visitor`] in place of an [`Account`](crate::web::auth::Account): with a language, a layout of the application,
//! and abilities of single resources. An account that [may not change](crate::web::auth::Account::may_change) tokens sees
//! the list and the details without forms. A token of ours can't use the page.
//!
//! # The secret
//! The plain text of a token is in one response: the one to the form that creates or rotates it. It is in no URL, no cookie
//! and no storage. A form that is sent again issues no second token, and no second secret. The response has the page's own
//! layout and content policy.
//!
//! # Requests from other sites
//! A form is refused as [elsewhere](crate::web::auth#requests-from-other-sites) if another site sends it. The page can't be
//! framed. Its own documents have a strict content policy. In a [layout](Visitor::layout) the policy is the application's:
//! the page needs `script-src` and `style-src` for its own origin, and nothing inline.
//!
//! # In the application's look
//! [`PageOptions`] sets a name, a logo, an accent colour and a colour scheme. Class names begin with `kf-`, and all styles
//! are in the layer `keyfob`: styles of a layout win. Custom properties on `.kf-page` set colours (`--kf-accent`,
//! `--kf-text`, `--kf-back`, …), `--kf-radius` and `--kf-font`.
//!
//! # Languages
//! English and German are there. [`Texts`] adds others, or replaces single texts.

mod assets;
mod changing;
mod choices;
mod creating;
mod document;
mod draft;
mod ending;
mod filter;
mod form;
mod form_view;
mod list;
mod marks;
mod markup;
mod options;
mod problem;
mod routes;
mod settings;
mod texts;
mod usage;
mod view;
mod visitor;
mod work;

pub use options::{ColorScheme, PageOptions};
pub use settings::SettingsPage;
pub use texts::{Direction, Message, Plural, Texts};
pub use visitor::{Choice, PageParts, Visitor};
