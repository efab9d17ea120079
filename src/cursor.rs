//! Where a listing goes on: an opaque text that fits one owner, one order and one filter.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::{PageQuery, Position};

/// A text that is no cursor, or one of another listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_cursor of the same listing")]
pub(crate) struct CursorError;

#[derive(Serialize, Deserialize)]
struct Cursor {
    after: Position,
    listing: u64,
}

pub(crate) fn encode(query: &PageQuery, after: Position) -> String {
    let cursor = Cursor { after, listing: listing(query) };
    // Texts and numbers can always be written as JSON.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

pub(crate) fn decode(text: &str, query: &PageQuery) -> Result<Position, CursorError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
    let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| CursorError)?;
    let fits = cursor.listing == listing(query) && query.sort.has_key(&cursor.after.key);
    fits.then_some(cursor.after).ok_or(CursorError)
}

/// Names the listing. It need not be secret: a forged cursor moves within the owner's own tokens.
fn listing(query: &PageQuery) -> u64 {
    let PageQuery { owner, sort, show, unused_since, .. } = query;
    let text = format!("{sort:?} {show:?} {unused_since:?} {owner}");
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
