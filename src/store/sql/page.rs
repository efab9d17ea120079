use std::sync::Arc;

use crate::{
    store::{CorruptRecord, Page, Position},
    token::TokenRecord,
};

/// The page that rows make, of which one more was asked for than the page holds, to see whether there are more.
pub(crate) fn page<R>(
    mut rows: Vec<R>,
    limit: usize,
    position: impl FnOnce(&R) -> Option<Position>,
    record: impl Fn(&R) -> Result<TokenRecord, CorruptRecord>,
) -> Page {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let end = rows.last().filter(|_| more).and_then(position);
    let mut page = Page { end, ..Page::default() };
    for row in &rows {
        match record(row) {
            Ok(record) => page.records.push(Arc::new(record)),
            Err(corrupt) => page.corrupt.push(corrupt),
        }
    }
    page
}
