//! The check as a good engineer writes it for one application: `Authorization` by its bytes, then the fair bound.

use std::sync::Arc;

use crate::bound::{Fair, Record};

const ABILITY: u64 = 1;

/// Who makes the request, for the handler.
#[derive(Clone)]
pub struct User(
    #[expect(dead_code, reason = "the handlers answer the same whoever asks")] Arc<Record>,
);

pub fn check(records: &Fair, authorization: Option<&[u8]>) -> Option<User> {
    let token = std::str::from_utf8(authorization?.strip_prefix(b"Bearer ")?).ok()?;
    records.verify(token, ABILITY).map(User)
}
