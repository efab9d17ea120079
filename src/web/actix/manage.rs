use std::{future::Future, sync::Arc};

use actix_web::{
    Error, HttpRequest, HttpResponse, ResponseError, Scope,
    dev::Service,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
    web,
};
use futures_util::{FutureExt, future::LocalBoxFuture};

use crate::web::{
    auth::Account,
    body::{self, Declared},
    manage::{
        self, Answer, Asked, PARAMETERS, Target, decoded,
        page::{self, Visitor},
    },
};

use super::{TokenMiddleware, hide};

/// Settings of [`management`].
pub type Management =
    manage::Management<HttpRequest, LocalBoxFuture<'static, Result<Account, Error>>>;

/// Settings of [`token_page`].
pub type SettingsPage =
    page::SettingsPage<HttpRequest, LocalBoxFuture<'static, Result<Visitor, Error>>>;

type Mounted = manage::Mounted<
    HttpRequest,
    LocalBoxFuture<'static, Result<Account, Error>>,
    LocalBoxFuture<'static, Result<Visitor, Error>>,
>;

impl Management {
    /// Takes the tokens, and the function that says which account makes a request.
    ///
    /// `middleware` is a [`TokenMiddleware`], an [`Authenticator`](crate::web::Authenticator), or the
    /// [`ApiTokens`](crate::ApiTokens). Pass a clone of the application's middleware, so that both have the same realm,
    /// origins, limits and client addresses. Its [`or_session`](TokenMiddleware::or_session) is not asked.
    ///
    /// `account` gets the request and [the step](Asked). [The module](crate::web::manage#the-account) says when it is called.
    /// Its future need not be `Send`. An error is the response of the application's own, such as
    /// [`Problem::new(401, "login_required")`](crate::web::Problem::new).
    pub fn new<F, E>(
        middleware: impl Into<TokenMiddleware>,
        account: impl Fn(HttpRequest, Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Account, E>> + 'static,
        E: Into<Error>,
    {
        Self::of(middleware.into().0, move |request, asked| {
            account(request, asked).map(|it| it.map_err(E::into)).boxed_local()
        })
    }
}

impl SettingsPage {
    /// Takes the tokens, and the function that says which person makes a request, as [`Management::new`] does.
    ///
    /// The function returns an [`Account`], or a [`Visitor`] with a language, a layout and choices. An error is the
    /// response of the application's own, as a rule a redirect to its login.
    pub fn new<F, V, E>(
        middleware: impl Into<TokenMiddleware>,
        visitor: impl Fn(HttpRequest, Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<V, E>> + 'static,
        V: Into<Visitor>,
        E: Into<Error>,
    {
        Self::of(middleware.into().0, move |request, asked| {
            let visitor = visitor(request, asked);
            visitor.map(|it| it.map(V::into).map_err(E::into)).boxed_local()
        })
    }
}

/// Returns the [settings page](crate::web::manage::page) at a path, which can have parameters, but none named `token_id` or
/// `action`. Make the [`SettingsPage`] outside of the closure that makes the app, and clone it inside.
///
/// ```
/// use actix_web::{App, HttpMessage, HttpRequest};
/// use keyfob::{Owner, testing, web::{Problem, auth::Account, actix::{SettingsPage, token_page}, manage::Asked}};
///
/// /// Left in the request by the application's own login, further out.
/// #[derive(Clone)]
/// struct Session { owner: Owner }
///
/// async fn account(request: HttpRequest, _: Asked) -> Result<Account, Problem> {
///     let session = request.extensions().get::<Session>().cloned();
///     Ok(Account::new(session.ok_or(Problem::new(401, "login_required"))?.owner))
/// }
///
/// # let (tokens, _) = testing::in_memory("acme");
/// let page = SettingsPage::new(tokens, account);
/// let app = App::new().service(token_page("/settings/tokens", page.clone()));
/// ```
#[must_use]
pub fn token_page(path: &str, page: SettingsPage) -> Scope {
    mount(path, Mounted::Page(page))
}

/// Returns the [routes that manage tokens](crate::web::manage) at a path, which can have parameters, but none named `token_id`
/// or `action`. Make the [`Management`] outside of the closure that makes the app, and clone it inside.
///
/// ```
/// use actix_web::{App, HttpMessage, HttpRequest};
/// use keyfob::{Owner, testing, web::{Problem, auth::Account, actix::{Management, management}, manage::Asked}};
///
/// /// Left in the request by the application's own login, further out.
/// #[derive(Clone)]
/// struct Session { id: u64 }
///
/// async fn account(request: HttpRequest, _: Asked) -> Result<Account, Problem> {
///     let session = request.extensions().get::<Session>().cloned();
///     let session = session.ok_or(Problem::new(401, "login_required"))?;
///     Ok(Account::new(Owner::new(format!("user:{}", session.id))?))
/// }
///
/// # let (tokens, _) = testing::in_memory("acme");
/// let routes = Management::new(tokens, account);
/// let app = App::new().service(management("/account/tokens", routes.clone()));
/// ```
#[must_use]
pub fn management(path: &str, management: Management) -> Scope {
    mount(path, Mounted::Routes(management))
}

fn mount(path: &str, mounted: Mounted) -> Scope {
    let mounted = Arc::new(mounted);
    let below = |pattern: &str, depth| {
        let (outer, mounted) = (mounted.clone(), mounted.clone());
        web::resource(pattern)
            .route(
                web::route()
                    .to(move |request, payload| answer(mounted.clone(), depth, request, payload)),
            )
            .wrap_fn(move |mut request, service| {
                hide(request.headers_mut(), outer.layer().further_header());
                service.call(request)
            })
    };
    // The table of routes decides. These patterns only name what was matched, for logs and metrics.
    let [id, action] = PARAMETERS;
    web::scope(path)
        .service(below("", 0))
        .service(below(&format!("/{{{id}}}"), 1))
        .service(below(&format!("/{{{id}}}/{{{action}}}"), 2))
}

async fn answer(
    mounted: Arc<Mounted>,
    depth: usize,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let target = Target::new(request.uri().path(), depth, request.uri().query());
    let parameters = request.match_info().iter();
    let parameters = parameters
        .filter(|(name, _)| !PARAMETERS.contains(name))
        // actix leaves `%2F`, `%2B` and `%25` as they are, and has decoded all else.
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let read = async |taken| {
        let headers = request.headers();
        let declared = Declared::of(|name| headers.get(name).map(HeaderValue::as_bytes));
        body::read(&mut payload, &declared, taken).await
    };
    Ok(match mounted.answer(&request, target, parameters, read).await? {
        Answer::Problem(problem) => problem.error_response(),
        Answer::Done(done) => {
            let status = StatusCode::from_u16(done.status);
            let mut response =
                HttpResponse::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            for (name, value) in done.headers {
                if let Ok(value) = HeaderValue::try_from(value) {
                    response.headers_mut().append(HeaderName::from_static(name), value);
                }
            }
            response.set_body(done.body).map_into_boxed_body()
        }
    })
}
