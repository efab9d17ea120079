//! Bodies of requests that are refused.
//!
//! A server that answers while the client still sends, and then closes, takes the answer back: the client sees a broken
//! pipe. So the layer lends the body to the service inside. Whoever drops it before its end, a guard or a handler
//! argument that refuses, gives it back, and the layer reads on before it answers.

use std::{
    mem::take,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
};
use futures_util::{Stream, StreamExt};
use http::{Version, header, request::Parts};
use http_body::{Frame, SizeHint};

use crate::time::timer::in_time;

/// How much of a refused body is read and passed over, in bytes, and for how long.
const MOST: usize = 16 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(2);

/// For so many requests at a time, a body is read on.
static PLACES: Places = Places(AtomicUsize::new(64));

/// Where a body comes back to.
#[derive(Clone)]
pub(super) struct Loan(Arc<Mutex<Option<Body>>>);

/// Left in a request whose body is lent.
#[derive(Clone)]
struct IsLent;

struct Lent {
    body: Body,
    /// It must not be asked again.
    is_over: bool,
    loan: Loan,
}

/// Returns `true` if a body can be read on after a refusal: a client of HTTP/1 that waits for `100 Continue` would be
/// invited to send it, and a stream of HTTP/2 can be ended by itself.
pub(super) fn can_be_passed_over(parts: &Parts) -> bool {
    parts.version <= Version::HTTP_11 && !parts.headers.contains_key(header::EXPECT)
}

/// Returns `true` if a layer further out reads on.
pub(super) fn is_lent(parts: &Parts) -> bool {
    parts.extensions.get::<IsLent>().is_some()
}

/// Lends a body that the client may still be sending.
pub(super) fn lend(parts: &mut Parts, body: Body) -> (Body, Option<Loan>) {
    if body.is_end_stream() || is_lent(parts) || !can_be_passed_over(parts) {
        return (body, None);
    }
    parts.extensions.insert(IsLent);
    let loan = Loan(Arc::default());
    (Body::new(Lent { body, is_over: false, loan: loan.clone() }), Some(loan))
}

impl Loan {
    /// Reads on, if the body came back.
    pub(super) async fn pass_over(self) {
        let returned = self.lock().take();
        if let Some(body) = returned {
            pass_over(body.into_data_stream()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_over && !self.body.is_end_stream() {
            *self.loan.lock() = Some(take(&mut self.body));
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.is_over = matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads on and passes over what a client still sends, so that it is there for the answer.
pub(super) async fn pass_over<C: AsRef<[u8]>, E>(
    mut chunks: impl Stream<Item = Result<C, E>> + Unpin,
) {
    let Some(_place) = PLACES.take() else { return };
    let read = async {
        let mut length = 0;
        while length < MOST
            && let Some(Ok(chunk)) = chunks.next().await
        {
            length += chunk.as_ref().len();
        }
    };
    in_time(Instant::now() + LONGEST, read).await;
}

/// How many more may come.
struct Places(AtomicUsize);

/// One of them.
struct Place<'a>(&'a Places);

impl Places {
    fn take(&self) -> Option<Place<'_>> {
        let left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        left.ok().map(|_| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let places = Places(AtomicUsize::new(2));
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some() && places.take().is_none());
        drop(one);
        assert!(places.take().is_some(), "and free again");
        assert_eq!(PLACES.0.load(SeqCst), 64);
    }
}
