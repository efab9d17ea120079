//! The tokens of all owners: for operators and for jobs that run once a day, never for a user.

use std::sync::Arc;

use time::Duration;

use crate::{
    api_tokens::ApiTokens,
    event::Event,
    store::{
        KeyCount, Order, SortBy, StoreError,
        contract::{Filter, Patch, Position, Query, States, UpdateOutcome},
    },
    token::{Actor, Reason, Timestamp, TokenRecord},
};

use super::list_tokens::Listed;

/// How many tokens are read in one step.
const PER_PAGE: u32 = 200;

const EXPIRING: Order = Order::by(SortBy::Expires);

/// What spans the tokens of all owners. Keep it out of the reach of users: nothing here asks whose a token is.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// # let owner = Owner::new("user:42").unwrap();
/// # let new = NewToken::new(owner, "ci").expires_in(time::Duration::days(5));
/// # let _ = tokens.issue(new).await.unwrap();
/// // Once a day, the narrowest first, so that nobody is told twice on one day.
/// for days in [1, 7, 30] {
///     let mut due = tokens.operator().expiring_within(time::Duration::days(days));
///     while let Some(page) = due.next_page().await.unwrap() {
///         for token in page {
///             println!("mail to {}: {} expires within {days} days", token.owner, token.name);
///         }
///     }
/// }
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OperatorTokens {
    pub(crate) tokens: ApiTokens,
    pub(crate) by: Option<Actor>,
    pub(crate) because: Option<Reason>,
}

/// Tokens, page by page.
#[derive(Debug)]
#[must_use]
pub struct TokenPages {
    tokens: ApiTokens,
    target: Target,
    after: Option<Position>,
    is_over: bool,
    /// What was claimed and not handed out, also where somebody stopped waiting for it.
    claimed: Vec<TokenRecord>,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Expiring { until: Timestamp, days: u16 },
    Unused { since: Timestamp },
}

impl ApiTokens {
    /// What spans all owners.
    pub fn operator(&self) -> OperatorTokens {
        OperatorTokens { tokens: self.clone(), by: None, because: None }
    }
}

impl OperatorTokens {
    /// Says who acts: kept with what is revoked, and told to observers.
    pub fn by(mut self, actor: Actor) -> Self {
        self.by = Some(actor.without_tokens(self.tokens.format()));
        self
    }

    /// Says why: kept with what is revoked, and told to observers.
    pub fn because(mut self, reason: Reason) -> Self {
        self.because = Some(reason.without_tokens(self.tokens.format()));
        self
    }

    /// Tokens that expire within a time, in whole days and at least one, of which their owners have not been told:
    /// the notice for so many days is claimed as the page is read, so that of all nodes, and of all runs, one has it.
    /// [`Event::ExpiringSoon`] tells of each.
    ///
    /// A notice for fewer days stands for those for more, so sweep for the fewest days first: an owner whose token was
    /// issued for a day is then told once. A token with a new expiry gets its notices anew. Where the process dies
    /// between a page and what it is for, its notices are lost: each comes at most once.
    pub fn expiring_within(&self, time: Duration) -> TokenPages {
        let days = u16::try_from(time.whole_days().max(1)).unwrap_or(u16::MAX);
        let until =
            self.tokens.now().checked_add(Duration::days(days.into())).unwrap_or(Timestamp::MAX);
        self.pages(Target::Expiring { until, days })
    }

    /// Tokens that are not revoked, were issued before an instant and have not been used since, the oldest first.
    pub fn unused_since(&self, since: impl Into<Timestamp>) -> TokenPages {
        self.pages(Target::Unused { since: since.into() })
    }

    fn pages(&self, target: Target) -> TokenPages {
        TokenPages {
            tokens: self.tokens.clone(),
            target,
            after: None,
            is_over: false,
            claimed: Vec::new(),
        }
    }

    /// How many digests of tokens that are not revoked each pepper key has made, `None` being without a key: what tells
    /// whether a key can go. Of the secrets from before a rotation, those count whose grace is over as well.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
        self.tokens.report_error(self.tokens.store().count_by_key().await)
    }
}

impl TokenPages {
    /// The next tokens, at least one; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`]; the next call goes on where this one failed.
    pub async fn next_page(&mut self) -> Result<Option<Vec<TokenRecord>>, StoreError> {
        while !self.is_over {
            let found = match self.target {
                Target::Expiring { days, .. } => {
                    let page = self.read().await?;
                    self.claim(page, days).await?
                }
                Target::Unused { since } => self.unused(since).await?,
            };
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn read(&self) -> Result<Listed, StoreError> {
        let mut filter = Filter::new(None, self.tokens.now());
        filter.states = States::NOT_REVOKED;
        let order = match self.target {
            // What has expired since the first page expires soon no more.
            Target::Expiring { until, .. } => {
                filter.expires = Some((filter.at, until));
                EXPIRING
            }
            Target::Unused { since } => {
                (filter.created_before, filter.unused_since) = (Some(since), Some(since));
                Order::OLDEST
            }
        };
        let mut query = Query::new(filter, order, PER_PAGE);
        query.after.clone_from(&self.after);
        self.tokens.read_page(&query).await
    }

    /// Leaves out those of which somebody was told. What was claimed before the store failed is handed out.
    async fn claim(&mut self, page: Listed, days: u16) -> Result<Vec<TokenRecord>, StoreError> {
        for record in page.tokens {
            let Some(end) = record.expires_at else { continue };
            let position = EXPIRING.position(&record);
            let told =
                record.rare.as_ref().is_some_and(|it| it.notices.range(..=days).next().is_some());
            if !told {
                let claim = Patch::Notice { expected_expiry: end, days };
                let claim = self.tokens.store().update(record.id, &claim).await;
                match self.tokens.report_error(claim) {
                    Ok(UpdateOutcome::Updated(_)) => {
                        let token = Arc::new(record);
                        self.tokens.report(|| Event::ExpiringSoon { token: token.clone(), days });
                        self.claimed.push(Arc::unwrap_or_clone(token));
                    }
                    Ok(_) => {}
                    Err(_) if !self.claimed.is_empty() => {
                        return Ok(std::mem::take(&mut self.claimed));
                    }
                    Err(error) => return Err(error),
                }
            }
            self.after = Some(position);
        }
        self.go_on(page.end);
        Ok(std::mem::take(&mut self.claimed))
    }

    /// Leaves out those whose use is noted here and not yet written.
    async fn unused(&mut self, since: Timestamp) -> Result<Vec<TokenRecord>, StoreError> {
        let page = self.read().await?;
        let is_unused = |it: &TokenRecord| it.last_used_at.is_none_or(|used| used < since);
        let unused = page.tokens.into_iter().filter(is_unused).collect();
        self.go_on(page.end);
        Ok(unused)
    }

    fn go_on(&mut self, end: Option<Position>) {
        self.is_over = end.is_none();
        self.after = end;
    }
}
