use std::{borrow::Borrow, future::Future};

use crate::web::{
    Problem,
    auth::{Account, AuthLayer, RequestInfo},
    body::Taken,
};

use super::{
    Answer, Management, Target,
    page::{SettingsPage, Visitor},
};

/// One of the things that an adapter mounts.
pub(crate) enum Mounted<Q: RequestInfo, F, G> {
    Routes(Management<Q, F>),
    Page(SettingsPage<Q, G>),
}

impl<Q, R, V, F, G> Mounted<Q, F, G>
where
    Q: RequestInfo + Clone,
    V: Borrow<Account>,
    F: Future<Output = Result<V, R>>,
    G: Future<Output = Result<Visitor, R>>,
{
    pub(crate) fn layer(&self) -> &AuthLayer<Q> {
        match self {
            Self::Routes(routes) => routes.layer(),
            Self::Page(page) => page.layer(),
        }
    }

    /// Answers a request. `body` reads a body, once the caller may send one. An error is the application's own response.
    pub(crate) async fn answer<B: Future<Output = Result<Vec<u8>, Problem>>>(
        &self,
        request: &Q,
        target: Option<Target>,
        parameters: Vec<(String, String)>,
        body: impl FnOnce(Taken) -> B,
    ) -> Result<Answer, R> {
        match self {
            Self::Routes(routes) => routes.answer(request, target, parameters, body).await,
            Self::Page(page) => page.answer(request, target, parameters, body).await,
        }
    }
}
