//! Routes that manage tokens, for pages and programs of the application, mounted in one line.
//!
//! `web::axum::management` and `web::actix::management` mount them. The application says who is logged in, by an async
//! function that returns the [`Account`](crate::web::auth::Account) or refuses with a response of its own.
//!
//! | request | does |
//! |---|---|
//! | `GET /` | lists the tokens of the account |
//! | `POST /` | creates a token, and shows it once |
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
//! Bodies are those of [`web::request`](crate::web::request). Every answer is JSON with `Cache-Control: no-store`, and
//! every refusal a [`Problem`](crate::web::Problem).
//!
//! # Who may do what
//! The account says whether it [creates](crate::web::auth::Account::may_create) and
//! [changes](crate::web::auth::Account::may_change) tokens, and which abilities it may
//! [grant](crate::web::auth::Account::restricted_to). It rotates, resumes and extends only tokens that it could create; other such requests are
//! answered with 403 `beyond_account`. It revokes and suspends any token of its owner. The token of another owner is 404.
//!
//! The application learns from [`Asked::shows_secret`] that a request creates or rotates a token, and can ask for the
//! password again.
//!
//! A revocation leaves the tokens that a token has issued. The application ends those too with
//! [`revoke_with_descendants`](crate::OwnerTokens::revoke_with_descendants).
//!
//! A token manages no tokens, unless [`tokens_may_manage`](Management::tokens_may_manage) names the ability for it. Then
//! it can do no more than [`ApiTokens::managed_by`](crate::ApiTokens::managed_by) allows.
//!
//! # Two people, one token
//! The resource has a `version`. `PATCH` and rotate accept it in `If-Match: "3"`. If the token was changed meanwhile, the
//! answer is 412 `version_mismatch`. A create with `Idempotency-Key` is done once: a repetition is answered with 409
//! `already_issued` and the `id` of the token.

mod answer;
mod asked;
mod bearer;
mod document;
mod headers;
mod leaked;
mod management;
mod routes;
mod target;
mod tokens;

pub(crate) use answer::Answer;
pub use asked::{Asked, Step};
pub use management::Management;
pub(crate) use target::Target;
#[cfg(feature = "actix")]
pub(crate) use target::decoded;

/// The names of the parameters that the patterns of the routers have.
pub(crate) const PARAMETERS: [&str; 2] = ["token_id", "action"];
