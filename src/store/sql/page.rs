use std::sync::Arc;

use crate::{
    store::{CorruptRecord, Page, Position, Sort},
    token::TokenRecord,
};

/// What a page is sorted by before the id.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Id,
    Name,
    Instant(&'static str),
}

impl From<Sort> for Key {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Newest | Sort::Oldest => Self::Id,
            Sort::Name => Self::Name,
            Sort::LeastRecentlyUsed => Self::Instant("last_used_at"),
        }
    }
}

/// Begins the key of a name that is no UTF-8, which then follows in hex. No name has it.
pub(crate) const NOT_UTF_8: char = '\0';

/// What a page that ends with this name is sorted by.
pub(crate) fn name_key(name: Vec<u8>) -> String {
    String::from_utf8(name)
        .unwrap_or_else(|error| format!("{NOT_UTF_8}{}", hex::encode(error.as_bytes())))
}

/// The name that a key was made of.
pub(crate) fn name_of(key: &str) -> std::borrow::Cow<'_, [u8]> {
    let Some(hex) = key.strip_prefix(NOT_UTF_8) else {
        return key.as_bytes().into();
    };
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
    let byte = |pair: &[u8; 2]| (digit(pair[0]) << 4 | digit(pair[1])).to_be_bytes()[3];
    hex.as_bytes().as_chunks().0.iter().map(byte).collect()
}

/// The page that rows make, of which one more was asked for than the page holds, to see whether there are more.
pub(crate) fn page<R>(
    mut rows: Vec<R>,
    limit: u32,
    position: impl FnOnce(&R) -> Option<Position>,
    record: impl Fn(&R) -> Result<TokenRecord, CorruptRecord>,
) -> Page {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_key_whatever_its_bytes() {
        for name in [b"token 1".as_slice(), "\u{1F511}".as_bytes(), b"\xFF\x00\x1f", b""] {
            assert_eq!(&*name_of(&name_key(name.to_vec())), name);
        }
    }
}
