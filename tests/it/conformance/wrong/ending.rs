//! How the store with a fault ends tokens.

use std::collections::BTreeSet;

use keyfob::{
    TokenRecord,
    store::contract::{Deleted, Deletion, Revoked, Selection, SharedRecord},
    token::Revocation,
};

use super::store::{Wrong, all, put};

impl Wrong {
    pub(super) async fn end(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        mut limit: u32,
    ) -> Revoked {
        let mut selection = selection.clone();
        let tokens = self.tokens().await;
        if let ("revokes other owners' tokens", Selection::Tokens { owner, .. }) =
            (self.fault, &mut selection)
        {
            *owner = None;
        }
        let mut given = all(&tokens);
        if self.is("looks for children among living tokens") {
            given.retain(|it| it.revocation.is_none());
        }
        if self.is("revokes beyond the limit") {
            limit = u32::MAX;
        }
        if self.is("revokes again") {
            let living = |it: &SharedRecord| {
                let mut record = TokenRecord::clone(it);
                record.revocation = None;
                record.into()
            };
            given = given.iter().map(living).collect();
        }
        match (self.fault, &selection) {
            ("revokes one parent's children only", Selection::ChildrenOf { parents, .. }) => {
                given.retain(|it| it.parent().as_ref() == parents.first());
            }
            ("begins with the first child again", Selection::ChildrenOf { parents, .. }) => {
                selection = Selection::ChildrenOf { parents: parents.clone(), after: None };
            }
            ("spares suspended tokens", Selection::AllOf(_)) => {
                given.retain(|it| it.suspension.is_none());
            }
            _ => {}
        }
        let mut revoked = selection.decide(given.clone(), limit);
        drop(tokens);
        let by_changed = self.is("says by what it changed that there are more");
        let mut tokens = if by_changed { self.tokens().await } else { self.tokens.lock().await };
        let mut changed = Vec::new();
        for (number, id) in revoked.changed.iter().enumerate() {
            if number == 1 && self.is("revokes one after the other") {
                drop(tokens);
                tokens = self.tokens().await;
            }
            let Some(record) = tokens.get(id).cloned() else { continue };
            if record.revocation.is_some() && !self.is("revokes again") {
                continue;
            }
            let mut record = TokenRecord::clone(&record);
            let mut revocation = revocation.clone();
            if self.is("forgets the reason") {
                revocation.reason = None;
            }
            record.revocation = Some(Box::new(revocation));
            changed.push(put(&mut tokens, record).id);
        }
        if let ("tells all that were asked for", Selection::Tokens { ids, .. }) =
            (self.fault, &selection)
        {
            changed.clone_from(ids);
        }
        if self.is("finds living tokens only") {
            revoked.found.clone_from(&changed);
        }
        revoked.more &= !self.is("says that all are revoked");
        revoked.more &= !by_changed || changed.len() >= limit as usize;
        Revoked { changed, ..revoked }
    }

    pub(super) async fn remove(&self, deletion: &Deletion, limit: u32) -> Deleted {
        let mut tokens = self.tokens().await;
        let mut parents: BTreeSet<_> = tokens.values().filter_map(|it| it.parent()).collect();
        if self.is("prunes parents") {
            parents.clear();
        }
        let is_found = |it: &&SharedRecord| deletion.matches(it, parents.contains(&it.id));
        let mut found: Vec<_> = tokens.values().filter(is_found).cloned().collect();
        match (self.fault, deletion) {
            ("spares revoked tokens", Deletion::AllOf(_)) => {
                found.retain(|it| it.revocation.is_none());
            }
            ("prunes what ends at that very second", Deletion::EndedBefore(instant)) => {
                let ends = |it: &&SharedRecord| it.ends_at().is_some_and(|end| end <= *instant);
                found = tokens.values().filter(ends).cloned().collect();
            }
            _ => {}
        }
        if !self.is("deletes beyond the limit") {
            found.truncate(limit as usize);
        }
        let was_child = found.iter().any(|it| it.parent().is_some());
        let mut ids = Vec::new();
        for record in found {
            if !ids.is_empty() && self.is("deletes one after the other") {
                drop(tokens);
                tokens = self.tokens().await;
            }
            tokens.remove(&record.id);
            ids.push(record.id);
        }
        let is_prune = matches!(deletion, Deletion::EndedBefore(_));
        let more = (ids.len() >= limit as usize || is_prune && was_child)
            && !self.is("says that there are no more");
        if self.is("does not tell what it deleted") {
            ids.clear();
        }
        Deleted { ids, more }
    }
}
