use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::HeaderValue, web::Data,
};
use futures_util::{
    FutureExt,
    future::{Either, LocalBoxFuture, Shared, WeakShared},
};

use crate::web::{
    Problem,
    auth::{
        AbilitySet, Allowed, AllowedAll, AllowedAny, AuthContext, AuthLayer, Authenticated,
        HandlerArgument, MaybeAllowed, PathAbilities, RequestInfo, Step, TokenAllowed,
        TokenAuthenticated, Verdict, with_context,
    },
    body::{self, Declared, JsonBody, Taken},
};

use super::TokenMiddleware;

macro_rules! handler_arguments {
    ($($argument:ident $(<$set:ident>)?),+) => {$(
        impl$(<$set: AbilitySet>)? FromRequest for $argument$(<$set>)? {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(with_context(request, |it| Self::from_auth(it, request, path_of::<Self>(request))))
            }
        }
    )+};
}

handler_arguments! {
    Allowed<A>, AllowedAny<T>, AllowedAll<T>, MaybeAllowed<A>, Authenticated, TokenAllowed<A>, TokenAuthenticated
}

/// A handler argument around another, for routes without a middleware: it authenticates by itself, with the
/// [`TokenMiddleware`] in the application's data. It is a little faster. Answers of the handler don't tell of the rate
/// limit, the header is not marked as sensitive, and what no argument asks for is open.
///
/// ```
/// use actix_web::{App, web};
/// use keyfob::{testing, web::{Authenticated, Authenticator, Realm, actix::{Verified, TokenMiddleware}}};
///
/// async fn who_am_i(Verified(token): Verified<Authenticated>) -> String {
///     token.owner().to_string()
/// }
///
/// let (tokens, _) = testing::in_memory("acme");
/// let tokens = TokenMiddleware::new(Authenticator::require(tokens, Realm::new("Acme")?));
/// let app = App::new().app_data(web::Data::new(tokens)).route("/me", web::get().to(who_am_i));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verified<T>(pub T);

impl<T: HandlerArgument + 'static> FromRequest for Verified<T> {
    type Error = Problem;
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(middleware) = request.app_data::<Data<TokenMiddleware>>() else {
            let left =
                |it: &AuthContext| T::from_auth(it, request, path_of::<T>(request)).map(Self);
            return Either::Left(ready(with_context(request, left)));
        };
        let layer = &middleware.0;
        let earlier = request.extensions().get::<Pending>().and_then(|it| it.by(layer));
        let verdict = match earlier {
            Some(verdict) => verdict,
            None => match layer.step(request) {
                Step::Now(verdict) => {
                    let argument = layer.argument(verdict, &mut request.clone());
                    return Either::Left(ready(argument.map(Self)));
                }
                Step::Later(verdict) => verdict.shared(),
            },
        };
        if let Some(verdict) = verdict.downgrade() {
            request.extensions_mut().insert(Pending { by: layer.clone(), verdict });
        }
        let (layer, mut request) = (layer.clone(), request.clone());
        Either::Right(
            async move { layer.argument(verdict.await, &mut request).map(Self) }.boxed_local(),
        )
    }
}

fn path_of<T: HandlerArgument>(request: &HttpRequest) -> PathAbilities {
    PathAbilities::of::<T>(|name| request.clone().parameter(name))
}

/// actix starts all arguments of a handler before the first is there; they wait for one verdict. The request only knows
/// of it: if it owned what waits, which can hold a clone of the request, neither would ever be dropped.
struct Pending {
    by: AuthLayer<HttpRequest>,
    verdict: WeakShared<LocalBoxFuture<'static, Verdict>>,
}

impl Pending {
    fn by(
        &self,
        layer: &AuthLayer<HttpRequest>,
    ) -> Option<Shared<LocalBoxFuture<'static, Verdict>>> {
        self.verdict.upgrade().filter(|_| self.by.is(layer))
    }
}

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut chunks) = (request.clone(), payload.take());
        async move {
            let value = |name| request.headers().get(name).map(HeaderValue::as_bytes);
            let declared = Declared::of(value);
            body::read(&mut chunks, &declared, Taken::JSON).await.map(Self::from)
        }
        .boxed_local()
    }
}
