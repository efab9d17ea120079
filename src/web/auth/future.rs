use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::OnResponse;

pin_project! {
    /// The answer of a service that something stands before. Only where the store has to be asked, a future is boxed.
    #[project = Projection]
    pub struct ResponseFuture<F: Future, T, L> {
        #[pin]
        kind: Kind<F, T, L>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F: Future, T, L> {
        Refused { answer: Option<T> },
        Passed { #[pin] inner: F, on_response: OnResponse, finish: fn(&OnResponse, F::Output) -> T },
        Later { #[pin] answer: L },
    }
}

impl<F: Future, T, L> ResponseFuture<F, T, L> {
    pub(crate) fn refused(answer: T) -> Self {
        Self { kind: Kind::Refused { answer: Some(answer) } }
    }

    /// The inner service answers, and something is left to do then.
    pub(crate) fn passed(
        inner: F,
        on_response: OnResponse,
        finish: fn(&OnResponse, F::Output) -> T,
    ) -> Self {
        Self { kind: Kind::Passed { inner, on_response, finish } }
    }

    pub(crate) fn later(answer: L) -> Self {
        Self { kind: Kind::Later { answer } }
    }
}

impl<F: Future, T, L: Future<Output = T>> Future for ResponseFuture<F, T, L> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match self.project().kind.project() {
            // Nobody polls a future again that was ready.
            KindProjection::Refused { answer } => answer.take().map_or(Poll::Pending, Poll::Ready),
            KindProjection::Passed { inner, on_response, finish } => {
                let answer = ready!(inner.poll(context));
                Poll::Ready(finish(on_response, answer))
            }
            KindProjection::Later { answer } => answer.poll(context),
        }
    }
}

impl<F: Future, T, L> fmt::Debug for ResponseFuture<F, T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
