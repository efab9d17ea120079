//! Routes that manage tokens, for pages and programs of the application, mounted in one line. Beside them, a
//! [settings page](page).
//!
//! `web::axum::management` and `web::actix::management` mount them. The application says which account makes a request, by
//! an async function that returns the [`Account`](crate::web::auth::Account) or refuses with a response of its own.
//!
//! | request | does |
//! |---|---|
//! | `GET` on the mount path itself | lists the tokens of the account |
//! | `POST` on the mount path itself | creates a token, and shows it once |
//! | `GET /abilities` | lists the abilities that the account may grant |
//! | `POST /revoke` | revokes several tokens, or all |
//! | `GET /{id}` | shows a token |
//! | `PATCH /{id}` | changes it |
//! | `DELETE /{id}` | revokes it |
//! | `POST /{id}/rotate`, `/suspend`, `/resume` | rotates, suspends or resumes it |
//! | `GET /current` | shows the token that the request presents |
//! | `POST /current/rotate` | rotates it |
//! | `DELETE /current` | revokes it, whatever its state |
//! | `GET /openapi.json` | shows the OpenAPI document, if [switched on](Management::openapi) |
//! | `POST /revoke-presented` | revokes leaked tokens, if [switched on](Management::revoke_presented) |
//!
//! Bodies are those of [`web::request`](crate::web::request), and tokens are [`TokenResource`](crate::web::TokenResource)s.
//! Answers with a body are JSON with `Cache-Control: no-store`. Each refusal is a [`Problem`](crate::web::Problem), unless
//! the application refuses. A request of another site that a session would make is refused as
//! [elsewhere](crate::web::auth#requests-from-other-sites).
//!
//! # The account
//! The application's function is called once for each request that lists, shows, creates or changes tokens. If it does not
//! answer within the [deadline](crate::ApiTokensBuilder::deadline), the answer is 503. It is not called for `/current`,
//! `/openapi.json` and `/revoke-presented`. If a request has a token of ours, its session does not count.
//!
//! | the account | it can |
//! |---|---|
//! | each | list and show the tokens of its owner; the token of another owner is 404 |
//! | [`may_create`](crate::web::auth::Account::may_create) | create tokens with abilities that it may grant |
//! | [`may_change`](crate::web::auth::Account::may_change) | revoke and suspend any token of its owner; rename it, and take abilities away |
//! | [`may_change`](crate::web::auth::Account::may_change) | rotate, resume and extend tokens whose abilities it may all grant (otherwise 403 `beyond_account`) |
//!
//! It may grant all abilities, unless it is [restricted](crate::web::auth::Account::restricted_to). A step that it may not
//! take is answered with 403 `step_not_allowed`, and an account without any ability with 403 `insufficient_scope`.
//!
//! The application learns from [`Asked::shows_secret`] that a request creates or rotates a token, and can ask for the
//! password again. The password is confirmed on a route of the application, which notes that in the session.
//!
//! If a token is revoked, the tokens that it has issued stay valid. No route ends these. The application can call
//! [`revoke_with_descendants`](crate::OwnerTokens::revoke_with_descendants).
//!
//! # Tokens that manage tokens
//! A token manages no tokens, unless [`tokens_may_manage`](Management::tokens_may_manage) names the ability for it. If the
//! application [declares](crate::ApiTokensBuilder::declare) abilities, that one must be declared too. The application is
//! asked about such a token as about a session: see [`Asked::token`]. The token can do no more than its account and
//! [`ApiTokens::managed_by`](crate::ApiTokens::managed_by) allow.
//!
//! An account that may grant this ability can create a token that creates others, without a password. Restrict accounts
//! that must not do this to other abilities.
//!
//! # Where to mount them
//! Beside the application's own layer, and not inside of it: the layer would refuse a suspended token that wants to end
//! itself by `DELETE /current`. The routes authenticate by themselves.
//!
//! # Two people, one token
//! The resource has a `version`. `PATCH` and rotate accept it in `If-Match: "3"`. If the token was changed meanwhile, the
//! answer is 412 `version_mismatch`. A create with `Idempotency-Key` is done once: a repetition is answered with 409
//! `already_issued` and the `id` of the token.

mod accounts;
mod answer;
mod asked;
mod bearer;
mod document;
mod headers;
mod leaked;
mod management;
mod mounted;
pub mod page;
mod routes;
mod target;
mod tokens;

pub(crate) use answer::Answer;
pub use asked::{Asked, Step};
pub use management::Management;
pub(crate) use mounted::Mounted;
pub(crate) use target::Target;
#[cfg(feature = "actix")]
pub(crate) use target::decoded;

/// The names of the parameters that the patterns of the routers have.
pub(crate) const PARAMETERS: [&str; 2] = ["token_id", "action"];
