//! The steps that write.

use std::sync::Arc;

use crate::{
    store::{
        CorruptRecord, StoreError,
        contract::{InsertRules, MOST_USED_ABILITIES, Patch, Siblings, UpdateOutcome, Use},
    },
    token::{Ability, KeyId, TokenId, TokenName},
};

use super::{
    by_token,
    columns::Written,
    engine::{Engine, Value},
    insert::{sibling_values, siblings},
    read::{id, text},
    session::{StepConnection, Steps},
};

/// The siblings of a token, and the name that they were counted for, if it is the one that the token has.
#[derive(Default)]
struct Counted {
    siblings: Siblings,
    kept_name: Option<Vec<u8>>,
}

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn update(
        self,
        id: TokenId,
        patch: &Patch,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.update_on(&mut step, id, patch).await;
        match outcome {
            // Nothing was written but the row of an owner, who may be gone by now.
            Ok(UpdateOutcome::NotFound | UpdateOutcome::Refused(_)) => {
                step.take_back().await;
                outcome
            }
            outcome => step.end(outcome).await,
        }
    }

    async fn update_on(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        id: TokenId,
        patch: &Patch,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut counted = Counted::default();
        if let Some(rules) = patch.rules() {
            match self.lock_siblings(step, id, patch.name(), rules).await? {
                Some(found) => counted = found,
                None => return Ok(UpdateOutcome::NotFound),
            }
        }
        let rows = step.fetch(&self.statements().lock, &[id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(UpdateOutcome::NotFound) };
        let mut record = E::record(row)?;
        if counted.kept_name.is_some_and(|name| name != record.name.as_str().as_bytes()) {
            return Err(StoreError::Busy("the token was renamed meanwhile".into()));
        }
        if let Err(refused) = patch.apply(&mut record, &counted.siblings) {
            return Ok(UpdateOutcome::Refused(refused));
        }
        let row = Written::from(&record);
        let mut values = row.values();
        // The statement takes the id at its end.
        values.rotate_left(1);
        step.execute(&self.statements().write, &values).await?;
        if patch.publishes() {
            self.tell(step, &[id], None).await?;
        }
        Ok(UpdateOutcome::Updated(Arc::new(record)))
    }

    /// Locks the row of a token's owner and counts the token's siblings, both before the token is locked. `None`: there is
    /// no token.
    async fn lock_siblings(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        id: TokenId,
        name: Option<&TokenName>,
        rules: &InsertRules,
    ) -> Result<Option<Counted>, StoreError> {
        let rows = step.fetch(&self.statements().owner_and_name, &[id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let [owner, kept] = [0, 1].map(|column| E::bytes(row, column).map_err(E::failed));
        let (owner, kept) = (owner?, kept?);
        let owner = Value::Text(owner.as_deref());
        if let Some(lock) = &self.statements().lock_owner {
            step.execute(lock, &[owner]).await?;
        }
        let kept_name = kept.filter(|_| name.is_none());
        let name = name.map(|name| name.as_str().as_bytes()).or(kept_name.as_deref());
        let values = sibling_values(id, owner, Value::Text(name), rules);
        let rows = step.fetch(&self.statements().siblings, &values).await?;
        let row = rows.first().ok_or_else(|| E::failed(sqlx::Error::RowNotFound))?;
        Ok(Some(Counted { siblings: siblings::<E>(row)?, kept_name }))
    }

    pub(crate) async fn record_uses(self, uses: &[Use]) -> Result<(), StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.record_uses_on(&mut step, uses).await;
        step.end(outcome).await
    }

    async fn record_uses_on(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        uses: &[Use],
    ) -> Result<(), StoreError> {
        // In the order of their ids.
        for uses in by_token(uses).chunks(E::LONGEST_LIST) {
            let grown = self.lock_grown(step, uses).await?;
            let statement = self.statements().record_uses.of(uses.len());
            step.execute(statement, &[Value::Uses(uses)]).await?;
            if !grown.is_empty() {
                let statement = self.statements().record_used_abilities.of(grown.len());
                step.execute(statement, &[Value::Texts(&grown)]).await?;
            }
        }
        Ok(())
    }

    /// The texts of used abilities that grow by these uses. All tokens of the batch are locked for them, in the order of
    /// their ids; where no ability was used, none is.
    async fn lock_grown(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        uses: &[Use],
    ) -> Result<Vec<(TokenId, String)>, StoreError> {
        let mut grown = Vec::new();
        if uses.iter().all(|it| it.abilities.is_empty()) {
            return Ok(grown);
        }
        let ids: Vec<_> = uses.iter().map(|it| it.id).collect();
        let statement = self.statements().lock_used_abilities.of(ids.len());
        for row in step.fetch(statement, &[ids.as_slice().into()]).await? {
            let id = id::<E>(&row)?;
            let is_revoked = E::integer(&row, 2).map_err(E::failed)?.is_some();
            let Ok(place) = uses.binary_search_by_key(&id, |it| it.id) else { continue };
            // A token that is damaged holds up no others.
            let Ok(known) = text::<E>(&row, 1) else { continue };
            let known = known.unwrap_or_default();
            let mut all: Vec<_> = known.split_whitespace().collect();
            let count = all.len();
            let new = uses[place].abilities.iter().map(Ability::as_str);
            let new: Vec<_> = new.filter(|it| !all.contains(it)).collect();
            all.extend(new);
            all.truncate(MOST_USED_ABILITIES as usize);
            if all.len() > count && !is_revoked {
                grown.push((id, all.join(" ")));
            }
        }
        Ok(grown)
    }

    pub(crate) async fn key_fingerprint(
        self,
        key: &KeyId,
        value: &[u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let statements = self.statements();
        let key = || Value::from(key.as_str());
        let mut kept = self.read(&statements.fingerprint, &[key()]).await?;
        if kept.is_empty() {
            self.write(&statements.keep_fingerprint, &[key(), value.into()]).await?;
            kept = self.read(&statements.fingerprint, &[key()]).await?;
        }
        let bytes = kept.first().and_then(|row| E::bytes(row, 0).ok()?);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(CorruptRecord::new(None, "key_fingerprint").into())
    }
}
