use axum::extract::{FromRef, FromRequest, FromRequestParts};
use futures_util::TryStreamExt;
use http::{HeaderValue, request::Parts};

use crate::web::{
    Problem,
    auth::{
        AbilitySet, Allowed, AllowedAll, AllowedAny, Authenticated, HandlerArgument, MaybeAllowed,
        PathAbilities, RequestInfo, TokenAllowed, TokenAuthenticated, with_context,
    },
    body::{self, Declared, JsonBody, Taken},
};

use super::{
    TokenLayer, hide,
    unread::{can_be_passed_over, is_lent, pass_over},
};

macro_rules! handler_arguments {
    ($($argument:ident $(<$set:ident>)?),+) => {$(
        impl<$($set: AbilitySet,)? S: Sync> FromRequestParts<S> for $argument$(<$set>)? {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                let path = PathAbilities::of::<Self>(|name| parts.parameter(name));
                with_context(parts, |auth| Self::from_auth(auth, parts, path))
            }
        }
    )+};
}

handler_arguments! {
    Allowed<A>, AllowedAny<T>, AllowedAll<T>, MaybeAllowed<A>, Authenticated, TokenAllowed<A>, TokenAuthenticated
}

/// A handler argument around another, for routes without a layer: it authenticates by itself, with the [`TokenLayer`]
/// in the application's state. It is a little faster. Answers of the handler don't tell of the rate limit, what no
/// argument asks for is open, and a client that is still sending a long body may see a broken pipe in place of a refusal.
///
/// ```
/// use axum::{Router, extract::FromRef, routing::get};
/// use keyfob::{testing, web::{Authenticated, Authenticator, Realm, axum::{Verified, TokenLayer}}};
///
/// #[derive(Clone)]
/// struct App {
///     tokens: TokenLayer,
/// }
///
/// impl FromRef<App> for TokenLayer {
///     fn from_ref(app: &App) -> Self {
///         app.tokens.clone()
///     }
/// }
///
/// async fn who_am_i(Verified(token): Verified<Authenticated>) -> String {
///     token.owner().to_string()
/// }
///
/// let (tokens, _) = testing::in_memory("acme");
/// let tokens = TokenLayer::new(Authenticator::require(tokens, Realm::new("Acme")?));
/// let router: Router = Router::new().route("/me", get(who_am_i)).with_state(App { tokens });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verified<T>(pub T);

impl<T: HandlerArgument, S: Sync> FromRequestParts<S> for Verified<T>
where
    TokenLayer: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let TokenLayer(layer) = TokenLayer::from_ref(state);
        hide(&mut parts.headers, layer.further_header());
        let step = layer.step(parts);
        layer.argument(step.verdict().await, parts).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let value = |name| parts.headers.get(name).map(HeaderValue::as_bytes);
        let declared = Declared::of(value);
        let mut chunks = body.into_data_stream().map_err(axum::Error::into_inner);
        let read = body::read(&mut chunks, &declared, Taken::JSON).await.map(Self::from);
        if read.is_err() && !is_lent(&parts) && can_be_passed_over(&parts) {
            pass_over(chunks).await;
        }
        read
    }
}
