//! A store that is wrong in one behaviour, which its fault names.
//!
//! Without a fault it keeps the whole contract. A step yields before it begins, so that steps overlap, and is then done
//! under one lock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use keyfob::{
    Owner, Timestamp, TokenId, TokenRecord,
    store::{
        KeyCount, StoreError, TokenStore,
        contract::{
            Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, Page, Patch, Peek,
            Query, Revoked, Selection, SharedRecord, Siblings, UpdateOutcome, Use,
        },
    },
    testing::rare_of,
    token::{KeyId, Revocation},
};
use tokio::{
    sync::{Mutex as Lock, MutexGuard},
    task::yield_now,
};

type Tokens = BTreeMap<TokenId, SharedRecord>;

#[derive(Debug, Default)]
pub struct Wrong {
    pub(super) fault: &'static str,
    pub(super) tokens: Lock<Tokens>,
    seen: Mutex<Tokens>,
    fingerprints: Mutex<HashMap<KeyId, [u8; 32]>>,
}

impl Wrong {
    pub fn new(fault: &'static str) -> Self {
        Self { fault, ..Self::default() }
    }

    pub(super) fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    pub(super) async fn tokens(&self) -> MutexGuard<'_, Tokens> {
        yield_now().await;
        self.tokens.lock().await
    }
}

pub(super) fn put(tokens: &mut Tokens, record: TokenRecord) -> SharedRecord {
    let record = SharedRecord::from(record);
    tokens.insert(record.id, record.clone());
    record
}

pub(super) fn all(tokens: &Tokens) -> Vec<SharedRecord> {
    tokens.values().cloned().collect()
}

#[async_trait]
impl TokenStore for Wrong {
    fn peek(&self, id: TokenId) -> Peek {
        match self.seen.lock().unwrap().get(&id) {
            Some(record) => Peek::Found(record.clone()),
            None => Peek::Miss,
        }
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
        let tokens = self.tokens().await;
        let asked: BTreeSet<_> = ids.iter().collect();
        let mut records: Vec<_> = asked.iter().filter_map(|id| tokens.get(*id)).cloned().collect();
        if self.is("finds no token that is revoked") {
            records.retain(|it| it.revocation.is_none());
        }
        if self.is("finds a token as often as it is asked for") {
            records = ids.iter().filter_map(|id| tokens.get(id)).cloned().collect();
        }
        if self.is("finds all but the last of many") && records.len() > 1 {
            records.pop();
        }
        if self.is("finds tokens that were not asked for") && ids.len() > 1 {
            records = all(&tokens);
        }
        if self.is("peeks at what it has found before") {
            self.seen.lock().unwrap().extend(records.iter().map(|it| (it.id, it.clone())));
        }
        Ok(Page { records, ..Page::default() })
    }

    async fn insert(
        &self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        let mut rules = *rules;
        let mut tokens = self.tokens().await;
        let is_there = tokens.get(&record.id).is_some_and(|it| {
            !self.is("takes the id of another owner's token") || it.owner == record.owner
        });
        if is_there && !self.is("upserts") {
            return Ok(InsertOutcome::IdTaken);
        }
        let mut others = all(&tokens);
        match self.fault {
            "counts expired tokens" => rules.at = Timestamp::MIN,
            "ignores unique names" => rules.unique_name = false,
            "ignores the limit" => rules.limit_per_owner = None,
            "passes the limit by one" => {
                rules.limit_per_owner = rules.limit_per_owner.map(|it| it + 1);
            }
            "frees the name of a suspended token" => {
                others.retain(|it| it.suspension.as_ref().is_none_or(|it| it.until.is_some()));
            }
            "forgets the idempotency keys of revoked tokens" => {
                others.retain(|it| it.revocation.is_none());
            }
            "asks for idempotency keys after the rules" => {
                let mut without = record.clone();
                rare_of(&mut without).idempotency_key = None;
                let outcome = rules.decide(&without, others.clone());
                if outcome != InsertOutcome::Inserted {
                    return Ok(outcome);
                }
            }
            "shares idempotency keys between owners" => {
                let key = record.idempotency_key();
                let same = others.iter().find(|it| key.is_some() && it.idempotency_key() == key);
                if let Some(same) = same {
                    return Ok(InsertOutcome::AlreadyIssued(same.id));
                }
            }
            _ => {}
        }
        if self.is("decides an insert outside the lock") {
            drop(tokens);
            let outcome = rules.decide(record, others);
            tokens = self.tokens().await;
            if outcome == InsertOutcome::Inserted {
                put(&mut tokens, record.clone());
            }
            return Ok(outcome);
        }
        let outcome = rules.decide(record, others);
        if outcome == InsertOutcome::Inserted || self.is("keeps what it refuses") {
            let mut record = record.clone();
            match self.fault {
                "loses the address of the last use" => record.last_used_from = None,
                "cuts names to 50 characters" => {
                    let name: String = record.name.as_str().chars().take(50).collect();
                    record.name = name.parse().unwrap();
                }
                "folds owners to lower case" => {
                    record.owner = Owner::new(record.owner.as_str().to_lowercase()).unwrap();
                }
                _ => {}
            }
            put(&mut tokens, record);
        }
        Ok(outcome)
    }

    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
        let mut tokens = self.tokens().await;
        let Some(before) = tokens.get(&id).cloned() else {
            return Ok(UpdateOutcome::NotFound);
        };
        let mut siblings = patch.siblings(&before, all(&tokens));
        let (mut patch, has_rules) = (patch.clone(), patch.rules().is_some());
        match (self.fault, &mut patch) {
            ("counts no siblings", _) => siblings = Siblings::default(),
            ("decides no later expiry", Patch::Change { change, .. }) if change.name.is_none() => {
                siblings = Siblings::default();
            }
            ("lets a rotation extend a token under no rules", Patch::Rotate { .. }) => {
                siblings = Siblings::default();
            }
            ("counts the token itself", _) if has_rules => siblings.living += 1,
            ("ignores the expected expiry", Patch::Change { expected_expiry, .. }) => {
                *expected_expiry = before.expires_at;
            }
            ("ignores the expected secret", Patch::Rotate { expected, .. }) => {
                expected.digest = before.digest.clone();
            }
            ("marks the first use of any secret", Patch::FirstUse { expected, .. }) => {
                *expected = before.digest.clone();
            }
            ("changes expired tokens", Patch::Change { rules, .. }) => rules.at = Timestamp::MIN,
            ("suspends expired tokens", Patch::Suspend(suspension)) => {
                suspension.since = Timestamp::MIN;
            }
            _ => {}
        }
        if self.is("applies outside the lock") {
            drop(tokens);
            yield_now().await;
            tokens = self.tokens().await;
        }
        let mut after = TokenRecord::clone(&before);
        if self.is("patches revoked tokens") {
            after.revocation = None;
        }
        if let Err(refused) = patch.apply(&mut after, &siblings) {
            return Ok(UpdateOutcome::Refused(refused));
        }
        after.revocation.clone_from(&before.revocation);
        match (self.fault, &patch) {
            ("forgets to write a patch", _) => return Ok(UpdateOutcome::Updated(Arc::new(after))),
            ("forgets the notices at each patch", _) => {
                rare_of(&mut after).notices.clear();
            }
            ("keeps the notices of an old expiry", Patch::Change { .. } | Patch::Rotate { .. }) => {
                rare_of(&mut after).notices = before.notices().collect();
            }
            ("touches the last use", _) => after.last_used_at = None,
            _ => {}
        }
        let after = put(&mut tokens, after);
        let is_told_late = self.is("answers the token as it was");
        let told = if is_told_late { before } else { after };
        Ok(UpdateOutcome::Updated(Arc::new(told.into_record())))
    }

    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        Ok(self.end(selection, revocation, limit).await)
    }

    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let mut tokens = self.tokens().await;
        let mut met = BTreeSet::new();
        for (number, it) in uses.iter().enumerate() {
            if number == 1 && self.is("writes uses one after the other") {
                drop(tokens);
                tokens = self.tokens().await;
            }
            let Some(record) = tokens.get(&it.id) else { continue };
            let (before, mut record) = (record.clone(), TokenRecord::clone(record));
            if !met.insert(it.id) && self.is("writes the first use of a batch") {
                continue;
            }
            let _ = it.apply(&mut record);
            match self.fault {
                "moves the last use backwards" => {
                    (record.last_used_at, record.last_used_from) = (Some(it.at), it.from);
                }
                "revives on use" => record.revocation = None,
                "keeps the address of the use before" => {
                    record.last_used_from = record.last_used_from.or(before.last_used_from);
                }
                "replaces the abilities that were used" if !it.abilities.is_empty() => {
                    rare_of(&mut record).used_abilities.clone_from(&it.abilities);
                }
                "keeps all abilities" => {
                    rare_of(&mut record).used_abilities.extend(it.abilities.iter().cloned());
                }
                "writes no abilities" => {
                    rare_of(&mut record).used_abilities =
                        before.used_abilities().cloned().collect();
                }
                _ => {}
            }
            put(&mut tokens, record);
        }
        Ok(())
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        Ok(self.page(query).await)
    }

    async fn count(&self, filter: &Filter) -> Result<Counts, StoreError> {
        let mut filter = filter.clone();
        match self.fault {
            "counts the tokens of all owners" => filter.owner = None,
            "counts what the filter does not match" => {
                filter = Filter::new(filter.owner, filter.at);
            }
            _ => {}
        }
        Ok(filter.count(all(&*self.tokens().await)))
    }

    async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError> {
        let mut counts = KeyCount::of(all(&*self.tokens().await));
        match self.fault {
            "lists keys in any order" => counts.reverse(),
            "counts no previous digests" => counts.iter_mut().for_each(|it| it.previous = 0),
            _ => {}
        }
        Ok(counts)
    }

    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
        Ok(self.remove(deletion, limit).await)
    }

    async fn key_fingerprint(&self, key: &KeyId, value: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        yield_now().await;
        let mut kept = self.fingerprints.lock().unwrap();
        let key = if self.is("folds keys to lower case") {
            KeyId::new(key.as_str().to_lowercase()).unwrap()
        } else {
            key.clone()
        };
        if self.is("replaces a fingerprint") {
            kept.insert(key.clone(), *value);
        }
        Ok(*kept.entry(key).or_insert(*value))
    }
}
