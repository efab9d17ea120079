//! Which tokens to list, and a page of them. A page ends in a cursor: an opaque text that fits one list, one order and
//! one filter.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Duration;

use crate::{
    store::{
        CorruptRecord, Order,
        contract::{Filter, Position, Query, States},
    },
    token::{Ability, Fields, InvalidFields, Owner, Rule, Timestamp, TokenRecord, TokenState},
};

/// The longest part of a name that a list takes: no name has more characters.
const LONGEST_PART: usize = 100;

/// Which tokens to list. Those that are not revoked, the newest first, 50 a page, unless said otherwise.
///
/// ```
/// use keyfob::{ListTokens, TokenState, store::{Order, SortBy}};
///
/// let list = ListTokens::new()
///     .sort(Order::by(SortBy::LastUsed))
///     .states([TokenState::Active, TokenState::Idle])
///     .name_contains("deploy")
///     .per_page(20);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ListTokens {
    per_page: u32,
    cursor: Option<String>,
    order: Order,
    states: States,
    name_part: Option<String>,
    ability: Option<String>,
    unused: Option<Since>,
    expiring_within: Option<Duration>,
}

/// The start of a time in which a token was not used.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// Tokens that are younger are left out.
    Ago(Duration),
    Instant(Timestamp),
}

/// A page of tokens.
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
    pub const fn new() -> Self {
        Self {
            per_page: 50,
            cursor: None,
            order: Order::NEWEST,
            states: States::NOT_REVOKED,
            name_part: None,
            ability: None,
            unused: None,
            expiring_within: None,
        }
    }

    /// How many at most: 1 to 200.
    pub fn per_page(mut self, tokens: u32) -> Self {
        self.per_page = tokens;
        self
    }

    /// Goes on where a page ended: its [`TokenPage::next_cursor`], and otherwise the same list.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// In another order.
    pub fn sort(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Only tokens in these states, judged at the instant of the list by the uses that are written.
    pub fn states(mut self, states: impl IntoIterator<Item = TokenState>) -> Self {
        self.states = states.into_iter().collect();
        self
    }

    /// Tokens in any state, revoked ones as well.
    pub fn any_state(mut self) -> Self {
        self.states = States::ALL;
        self
    }

    /// Only tokens with this in their name, in upper or lower case: at most 100 characters.
    pub fn name_contains(mut self, part: impl Into<String>) -> Self {
        self.name_part = Some(part.into());
        self
    }

    /// Only tokens that permit this ability.
    pub fn ability(mut self, ability: impl Into<String>) -> Self {
        self.ability = Some(ability.into());
        self
    }

    /// Only tokens that have not been used since an instant, or ever; judged by the uses that are written.
    pub fn unused_since(mut self, instant: impl Into<Timestamp>) -> Self {
        self.unused = Some(Since::Instant(instant.into()));
        self
    }

    /// Only tokens that were issued at least this time ago and have not been used since; judged by the uses that are
    /// written.
    pub fn unused_for(mut self, time: Duration) -> Self {
        self.unused = Some(Since::Ago(time));
        self
    }

    /// Only tokens that are not expired and expire within this time.
    pub fn expiring_within(mut self, time: Duration) -> Self {
        self.expiring_within = Some(time);
        self
    }

    /// The query at an instant, for the tokens of an owner or of all.
    pub(crate) fn query(
        self,
        owner: Option<&Owner>,
        now: Timestamp,
    ) -> Result<Query, InvalidFields> {
        let mut fields = Fields::default();
        let listing = self.listing(owner);
        let mut filter = Filter::new(owner.cloned(), now);
        filter.states = self.states;
        match self.unused {
            Some(Since::Instant(instant)) => filter.unused_since = Some(instant),
            Some(Since::Ago(time)) => {
                let instant = now.checked_add(-time).unwrap_or(Timestamp::MIN);
                (filter.created_before, filter.unused_since) = (Some(instant), Some(instant));
            }
            None => {}
        }
        filter.expires = self.expiring_within.map(|time| {
            let until = now.checked_add(time.max(Duration::ZERO)).unwrap_or(Timestamp::MAX);
            (now, until)
        });
        let part_fits = self.name_part.as_ref().is_none_or(|it| it.chars().count() <= LONGEST_PART);
        let part = part_fits.then_some(()).ok_or("must have at most 100 characters");
        fields.check("q", part);
        filter.name_part = self.name_part.filter(|part| !part.is_empty());
        let ability = self.ability.map(Ability::new).transpose();
        let ability = fields.check("ability", ability);
        if ability.iter().flatten().any(|it| it.as_str().ends_with('*')) {
            fields.refuse("ability", "must be one ability, without *");
        }
        filter.ability = ability.flatten();
        let size = (1..=200).contains(&self.per_page).then_some(());
        fields.check("per_page", size.ok_or("must be from 1 to 200"));
        let mut query = Query::new(filter, self.order, self.per_page);
        let after = self.cursor.map(|text| decode(&text, self.order, listing)).transpose();
        query.after = fields.check("cursor", after).flatten();
        if fields.is_empty() { Ok(query) } else { Err(fields.into_error()) }
    }

    /// Names the list. It need not be secret: a forged cursor moves within the tokens that its bearer may list.
    pub(crate) fn listing(&self, owner: Option<&Owner>) -> u64 {
        let Self { order, states, name_part, ability, unused, expiring_within, .. } = self;
        let text = format!(
            "{order} {states:?} {name_part:?} {ability:?} {unused:?} {expiring_within:?} {owner:?}"
        );
        let digest: [u8; 32] = Sha256::digest(text).into();
        digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

impl Default for ListTokens {
    fn default() -> Self {
        Self::new()
    }
}

/// A page of a list, with every use that is known.
pub(crate) struct Listed {
    pub(crate) tokens: Vec<TokenRecord>,
    pub(crate) corrupt: Vec<CorruptRecord>,
    pub(crate) end: Option<Position>,
}

impl TokenPage {
    pub(crate) fn new(page: Listed, listing: u64) -> Self {
        Self {
            tokens: page.tokens,
            next_cursor: page.end.map(|end| encode(listing, end)),
            unreadable: page.corrupt,
        }
    }
}

const CURSOR: Rule = Rule::other("must be the next_cursor of the same listing");

/// One that was given out is shorter: its key is an instant, or a name of at most 400 bytes.
const LONGEST_CURSOR: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct Cursor {
    after: Position,
    listing: u64,
}

fn encode(listing: u64, after: Position) -> String {
    let cursor = Cursor { after, listing };
    // Texts and numbers can always be written as JSON.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

fn decode(text: &str, order: Order, listing: u64) -> Result<Position, Rule> {
    if text.len() > LONGEST_CURSOR {
        return Err(CURSOR);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| CURSOR)?;
    let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| CURSOR)?;
    let fits = cursor.listing == listing && order.has_key(&cursor.after.key);
    fits.then_some(cursor.after).ok_or(CURSOR)
}
