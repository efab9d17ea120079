//! How what runs in the background is ended, and waited for.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Shared by a handle and the futures that run for it, which hold no handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closing(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    running: usize,
    wakers: Vec<Waker>,
}

/// A future that runs counts as long as this lives.
pub(crate) struct Running(Closing);

impl Closing {
    /// Tells all that run to end.
    pub(crate) fn close(&self) {
        self.alter(|state| state.is_closed = true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    pub(crate) fn run(&self) -> Running {
        self.alter(|state| state.running += 1);
        Running(self.clone())
    }

    /// Ready once they are to end.
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |state| state.is_closed)
    }

    /// Ready once none runs.
    pub(crate) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |state| state.running == 0)
    }

    fn poll(&self, context: &mut Context<'_>, is_so: impl FnOnce(&State) -> bool) -> Poll<()> {
        let mut state = self.lock();
        if is_so(&state) {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|it| it.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn alter(&self, alter: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        alter(&mut state);
        let wakers = mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.alter(|state| state.running -= 1);
    }
}
