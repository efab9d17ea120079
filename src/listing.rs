//! Which tokens to list, and a page of them. A page ends in a cursor: an opaque text that fits one owner, one order and
//! one filter.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    policy::{Fields, InvalidFields},
    store::{CorruptRecord, Page, PageQuery, Position, Show, Sort},
    token::{Owner, Timestamp, TokenRecord},
};

/// Which tokens to list. Those that are not revoked, the newest first, 50 a page, unless said otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct ListTokens {
    per_page: u32,
    cursor: Option<String>,
    sort: Sort,
    show: Show,
    unused_since: Option<Timestamp>,
}

/// A page of an owner's tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenPage {
    /// The tokens, with every use that is known, written or not.
    pub tokens: Vec<TokenRecord>,
    /// What [`ListTokens::cursor`] takes to go on; `None` on the last page.
    pub next_cursor: Option<String>,
    /// Tokens that belong on this page and can't be read. They have been reported as
    /// [`Event::Corrupt`](crate::Event::Corrupt).
    pub unreadable: Vec<CorruptRecord>,
}

impl ListTokens {
    /// The newest 50 that are not revoked.
    pub fn new() -> Self {
        Self {
            per_page: 50,
            cursor: None,
            sort: Sort::Newest,
            show: Show::NotRevoked,
            unused_since: None,
        }
    }

    /// How many at most: 1 to 200.
    pub fn per_page(mut self, tokens: u32) -> Self {
        self.per_page = tokens;
        self
    }

    /// Goes on where a page ended: its [`TokenPage::next_cursor`], and otherwise the same listing.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// In another order.
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort = sort;
        self
    }

    /// Revoked ones instead, or as well.
    pub fn show(mut self, show: Show) -> Self {
        self.show = show;
        self
    }

    /// Only those that have not been used since an instant, or ever; judged by the uses that are written.
    pub fn unused_since(mut self, instant: impl Into<Timestamp>) -> Self {
        self.unused_since = Some(instant.into());
        self
    }

    pub(crate) fn query(self, owner: &Owner) -> Result<PageQuery, InvalidFields> {
        let mut fields = Fields::default();
        let mut query = PageQuery {
            owner: owner.clone(),
            sort: self.sort,
            show: self.show,
            unused_since: self.unused_since,
            after: None,
            limit: self.per_page,
        };
        let size = (1..=200).contains(&self.per_page).then_some(());
        let size = fields.check("per_page", size.ok_or("must be from 1 to 200"));
        let after = self.cursor.map(|text| decode(&text, &query)).transpose();
        let (Some(()), Some(after)) = (size, fields.check("cursor", after)) else {
            return Err(fields.into_error());
        };
        query.after = after;
        Ok(query)
    }
}

impl Default for ListTokens {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenPage {
    pub(crate) fn new(page: Page, query: &PageQuery) -> Self {
        Self {
            tokens: page.records.into_iter().map(Arc::unwrap_or_clone).collect(),
            next_cursor: page.end.map(|end| encode(query, end)),
            unreadable: page.corrupt,
        }
    }
}

/// A text that is no cursor, or one of another listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_cursor of the same listing")]
struct CursorError;

/// One that was given out is shorter: its key is an id, an instant, or a name of at most 400 bytes.
const LONGEST_CURSOR: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct Cursor {
    after: Position,
    listing: u64,
}

fn encode(query: &PageQuery, after: Position) -> String {
    let cursor = Cursor { after, listing: listing(query) };
    // Texts and numbers can always be written as JSON.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

fn decode(text: &str, query: &PageQuery) -> Result<Position, CursorError> {
    if text.len() > LONGEST_CURSOR {
        return Err(CursorError);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
    let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| CursorError)?;
    let fits = cursor.listing == listing(query) && query.sort.has_key(&cursor.after.key);
    fits.then_some(cursor.after).ok_or(CursorError)
}

/// Names the listing. It need not be secret: a forged cursor moves within the owner's own tokens.
fn listing(query: &PageQuery) -> u64 {
    let PageQuery { owner, sort, show, unused_since, .. } = query;
    // Names and instants can always be written as JSON.
    let text = serde_json::to_string(&(sort, show, unused_since, owner)).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
