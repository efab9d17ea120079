use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::token::{Owner, TokenId, TokenRecord};

/// Which tokens to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of these ids that belong to the owner; of any owner where none is given.
    Tokens {
        /// The ids.
        ids: Vec<TokenId>,
        /// Whose they must be.
        owner: Option<Owner>,
    },
    /// Those that were issued on behalf of this token, and of those, and so on, whosever they are; not the token
    /// itself. They are found through revoked tokens as well, but not through ones that are deleted.
    DescendantsOf(TokenId),
    /// All of an owner.
    AllOf(Owner),
}

impl Selection {
    pub(crate) fn one(id: TokenId) -> Self {
        Self::Tokens { ids: vec![id], owner: None }
    }

    /// The tokens to revoke, given all tokens: what [`TokenStore::revoke`](super::TokenStore::revoke) has to find out,
    /// for a store that keeps whole records. Revoked ones are left out, but have to be given, because descendants are
    /// found through them.
    #[must_use]
    pub fn select(
        &self,
        records: impl IntoIterator<Item = Arc<TokenRecord>>,
    ) -> Vec<Arc<TokenRecord>> {
        let mut records: Vec<_> = records.into_iter().collect();
        match self {
            Self::Tokens { ids, owner } => {
                let ids: BTreeSet<_> = ids.iter().collect();
                let is_theirs = |it: &TokenRecord| owner.as_ref().is_none_or(|o| *o == it.owner);
                records.retain(|it| ids.contains(&it.id) && is_theirs(it));
            }
            Self::DescendantsOf(ancestor) => {
                let mut children = BTreeMap::<_, Vec<_>>::new();
                for record in &records {
                    children.entry(record.parent()).or_default().push(record.id);
                }
                let children_of = |id| children.get(&Some(id)).into_iter().flatten().copied();
                let selected = descendants(*ancestor, children_of);
                records.retain(|it| selected.contains(&it.id));
            }
            Self::AllOf(owner) => records.retain(|it| it.owner == *owner),
        }
        records.retain(|it| it.revocation.is_none());
        records
    }
}

/// What descends from a token, without itself; parents may form a circle.
pub(super) fn descendants<C: Iterator<Item = TokenId>>(
    ancestor: TokenId,
    children_of: impl Fn(TokenId) -> C,
) -> BTreeSet<TokenId> {
    let mut found = BTreeSet::from([ancestor]);
    let mut waiting = vec![ancestor];
    while let Some(parent) = waiting.pop() {
        waiting.extend(children_of(parent).filter(|child| found.insert(*child)));
    }
    found.remove(&ancestor);
    found
}
