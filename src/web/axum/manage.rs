use std::{future::Future, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, OriginalUri, RawPathParams, Request},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::{FutureExt, TryStreamExt, future::BoxFuture};
use http::{HeaderValue, StatusCode, request::Parts};

use crate::web::{
    auth::Account,
    body::{self, Declared},
    manage::{
        self, Answer, Asked, PARAMETERS, Target,
        page::{self, Visitor},
    },
};

use super::{TokenLayer, hide, unread::lend};

/// Settings of [`management`].
pub type Management = manage::Management<Parts, BoxFuture<'static, Result<Account, Response>>>;

/// Settings of [`token_page`].
pub type SettingsPage = page::SettingsPage<Parts, BoxFuture<'static, Result<Visitor, Response>>>;

type Mounted = manage::Mounted<
    Parts,
    BoxFuture<'static, Result<Account, Response>>,
    BoxFuture<'static, Result<Visitor, Response>>,
>;

#[allow(clippy::result_large_err, reason = "it is the application's own response, and moved once")]
impl Management {
    /// Takes the tokens, and the function that says which account makes a request.
    ///
    /// `layer` is a [`TokenLayer`], an [`Authenticator`](crate::web::Authenticator), or the
    /// [`ApiTokens`](crate::ApiTokens). Pass a clone of the application's layer, so that both have the same realm, origins,
    /// limits and client addresses. Its [`or_session`](TokenLayer::or_session) is not asked.
    ///
    /// `account` gets the head of the request and [the step](Asked). [The module](crate::web::manage#the-account) says when it
    /// is called. An error is the response of the application's own, such as
    /// [`Problem::new(401, "login_required")`](crate::web::Problem::new).
    pub fn new<F, E>(
        layer: impl Into<TokenLayer>,
        account: impl Fn(Parts, Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Account, E>> + Send + 'static,
        E: IntoResponse,
    {
        Self::of(layer.into().0, move |parts, asked| {
            account(parts, asked).map(|it| it.map_err(E::into_response)).boxed()
        })
    }
}

#[allow(clippy::result_large_err, reason = "it is the application's own response, and moved once")]
impl SettingsPage {
    /// Takes the tokens, and the function that says which person makes a request, as [`Management::new`] does.
    ///
    /// The function returns an [`Account`], or a [`Visitor`] with a language, a layout and choices. An error is the
    /// response of the application's own, as a rule a redirect to its login.
    pub fn new<F, V, E>(
        layer: impl Into<TokenLayer>,
        visitor: impl Fn(Parts, Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Visitor>,
        E: IntoResponse,
    {
        Self::of(layer.into().0, move |parts, asked| {
            let visitor = visitor(parts, asked);
            visitor.map(|it| it.map(V::into).map_err(E::into_response)).boxed()
        })
    }
}

/// Returns the [settings page](crate::web::manage::page), to nest at a path.
///
/// ```
/// use axum::{Router, http::request::Parts, response::Redirect};
/// use keyfob::{Owner, testing, web::{auth::Account, axum::{SettingsPage, token_page}, manage::Asked}};
///
/// /// Left in the request by the application's own login, further out.
/// #[derive(Clone)]
/// struct Session { owner: Owner }
///
/// async fn account(parts: Parts, _: Asked) -> Result<Account, Redirect> {
///     let session = parts.extensions.get::<Session>().ok_or(Redirect::to("/login"))?;
///     Ok(Account::new(&session.owner))
/// }
///
/// # let (tokens, _) = testing::in_memory("acme");
/// let page = SettingsPage::new(tokens, account);
/// let router: Router = Router::new().nest("/settings/tokens", token_page(page));
/// ```
pub fn token_page<S: Clone + Send + Sync + 'static>(page: SettingsPage) -> Router<S> {
    mount(Mounted::Page(page))
}

/// Returns the [routes that manage tokens](crate::web::manage), to nest at a path.
///
/// ```
/// use axum::{Router, http::request::Parts};
/// use keyfob::{Owner, testing, web::{Problem, auth::Account, axum::{Management, management}, manage::Asked}};
///
/// /// Left in the request by the application's own login, further out.
/// #[derive(Clone)]
/// struct Session { id: u64 }
///
/// async fn account(parts: Parts, _: Asked) -> Result<Account, Problem> {
///     let session = parts.extensions.get::<Session>().ok_or(Problem::new(401, "login_required"))?;
///     Ok(Account::new(Owner::new(format!("user:{}", session.id))?))
/// }
///
/// # let (tokens, _) = testing::in_memory("acme");
/// let router: Router = Router::new()
///     .nest("/account/tokens", management(Management::new(tokens, account)));
/// ```
///
/// The path can have parameters, but none named `token_id` or `action`. This application keeps the tokens of projects, of
/// which some members may only see them:
/// ```
/// use axum::{Router, http::request::Parts};
/// use keyfob::{Actor, Owner, testing};
/// use keyfob::web::{Authenticator, Problem, Realm, auth::Account, axum::{Management, TokenLayer, management}, manage::Asked};
///
/// # #[derive(Clone)]
/// # struct Session { id: u64 }
/// /// Asks the application's database for a person's place in a project.
/// async fn role(project: &str, person: u64) -> Option<&'static str> {
///     # Some("viewer")
///     # /*
///     …
///     # */
/// }
///
/// async fn account(parts: Parts, asked: Asked) -> Result<Account, Problem> {
///     let session = parts.extensions.get::<Session>().ok_or(Problem::new(401, "login_required"))?;
///     let project = asked.parameter("project").ok_or(Problem::not_found())?;
///     let role = role(project, session.id).await.ok_or(Problem::not_found())?;
///     let member = Account::new(Owner::new(format!("project:{project}"))?)
///         .by(Actor::new(format!("user:{}", session.id))?);
///     Ok(if role == "viewer" { member.may_create(false).may_change(false) } else { member })
/// }
///
/// # let (tokens, _) = testing::in_memory("acme");
/// let layer = TokenLayer::new(Authenticator::require(tokens, Realm::new("Acme API")?).origin("https://acme.example")?);
/// let router: Router = Router::new()
///     .nest("/projects/{project}/tokens", management(Management::new(layer, account)));
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
pub fn management<S: Clone + Send + Sync + 'static>(management: Management) -> Router<S> {
    mount(Mounted::Routes(management))
}

fn mount<S: Clone + Send + Sync + 'static>(mounted: Mounted) -> Router<S> {
    let mounted = Arc::new(mounted);
    let below = |depth| {
        let mounted = mounted.clone();
        any(move |request| answer(mounted.clone(), depth, request))
    };
    // The table of routes decides. These patterns only name what was matched, for logs and metrics.
    let [id, action] = PARAMETERS;
    Router::new()
        .route("/", below(0))
        .route(&format!("/{{{id}}}"), below(1))
        .route(&format!("/{{{id}}}/{{{action}}}"), below(2))
}

async fn answer(mounted: Arc<Mounted>, depth: usize, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    hide(&mut parts.headers, mounted.layer().further_header());
    let (body, loan) = lend(&mut parts, body);
    let target = match parts.extensions.get::<OriginalUri>() {
        Some(OriginalUri(uri)) => Target::new(uri.path(), depth, uri.query()),
        None => Target::new(parts.uri.path(), depth, parts.uri.query()),
    };
    let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
    let parameters = parameters.iter().flatten();
    let parameters = parameters
        .filter(|(name, _)| !PARAMETERS.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let headers = &parts.headers;
    let read = async |taken| {
        let declared = Declared::of(|name| headers.get(name).map(HeaderValue::as_bytes));
        let mut chunks = body.into_data_stream().map_err(axum::Error::into_inner);
        body::read(&mut chunks, &declared, taken).await
    };
    let answer = mounted.answer(&parts, target, parameters, read).await;
    let response = match answer {
        Ok(Answer::Done(done)) => {
            let mut response = Response::new(Body::from(done.body));
            let status = StatusCode::from_u16(done.status);
            *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in done.headers {
                if let Ok(value) = HeaderValue::try_from(value) {
                    response.headers_mut().append(name, value);
                }
            }
            return response;
        }
        Ok(Answer::Problem(problem)) => problem.into_response(),
        Err(own) => own,
    };
    if let Some(loan) = loan {
        loan.pass_over().await;
    }
    response
}
