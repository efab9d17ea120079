//! The steps that write.

use std::sync::Arc;

use crate::{
    store::{
        AbilityUse, Change, ChangeOutcome, CorruptRecord, Expected, MOST_USED_ABILITIES,
        RotateOutcome, Rotation, StoreError, StoredRow, Use,
    },
    token::{KeyId, Suspension, Timestamp, TokenDigest, TokenId, TokenRecord},
};

use super::{
    by_token, columns,
    engine::{Engine, Value},
    latest,
    read::{id, text},
    session::{Lease, Steps},
};

fn key_of(digest: &TokenDigest) -> Value<'_> {
    digest.key().map(KeyId::as_str).into()
}

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn change(
        self,
        id: TokenId,
        expected_expiry: Option<Timestamp>,
        change: &Change,
    ) -> Result<ChangeOutcome, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.change_on(&mut step, id, expected_expiry, change).await;
        step.end(outcome).await
    }

    async fn change_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        id: TokenId,
        expected_expiry: Option<Timestamp>,
        change: &Change,
    ) -> Result<ChangeOutcome, StoreError> {
        let mut name_taken = false;
        if let Some(name) = change.unique_name() {
            let rows = step.fetch(&self.statements().owner_of, &[id.into()]).await?;
            let Some(row) = rows.first() else { return Ok(ChangeOutcome::NotFound) };
            // Before the token is locked, as everyone does.
            let owner = E::bytes(row, 0).map_err(E::failed)?;
            let owner = || Value::Text(owner.as_deref());
            step.execute(&self.statements().lock_owner, &[owner()]).await?;
            let namesake = [owner(), name.as_str().into(), id.into()];
            name_taken = !step.fetch(&self.statements().namesake, &namesake).await?.is_empty();
        }
        let change = |record: &mut TokenRecord| {
            change.apply_unless(record, expected_expiry, |_, _| name_taken)
        };
        self.alter_on(step, id, change).await
    }

    pub(crate) async fn rotate(
        self,
        id: TokenId,
        expected: &Expected,
        rotation: &Rotation,
    ) -> Result<RotateOutcome, StoreError> {
        let rotated = self.alter(id, |record| rotation.apply(record, expected)).await?;
        Ok(rotated.into())
    }

    pub(crate) async fn suspend(
        self,
        id: TokenId,
        suspension: &Suspension,
    ) -> Result<ChangeOutcome, StoreError> {
        let suspend = |record: &mut TokenRecord| {
            record.suspend(suspension);
            Ok(())
        };
        self.alter(id, suspend).await
    }

    pub(crate) async fn resume(
        self,
        id: TokenId,
        at: Timestamp,
    ) -> Result<ChangeOutcome, StoreError> {
        let resume = |record: &mut TokenRecord| {
            record.resume(at);
            Ok(())
        };
        self.alter(id, resume).await
    }

    async fn alter(
        &self,
        id: TokenId,
        change: impl FnOnce(&mut TokenRecord) -> Result<(), ChangeOutcome> + Send,
    ) -> Result<ChangeOutcome, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.alter_on(&mut step, id, change).await;
        step.end(outcome).await
    }

    /// Changes a token that is not revoked by `change`, which may refuse.
    async fn alter_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        id: TokenId,
        change: impl FnOnce(&mut TokenRecord) -> Result<(), ChangeOutcome> + Send,
    ) -> Result<ChangeOutcome, StoreError> {
        let rows = step.fetch(&self.statements().lock, &[id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(ChangeOutcome::NotFound) };
        let mut record = E::record(row)?;
        if record.revocation.is_some() {
            return Ok(ChangeOutcome::Revoked);
        }
        if let Err(refused) = change(&mut record) {
            return Ok(refused);
        }
        let row = StoredRow::from(&record);
        let mut values = columns::values(&record, &row);
        // The statement takes the id at its end.
        values.rotate_left(1);
        step.execute(&self.statements().write, &values).await?;
        self.tell(step, &[id]).await?;
        Ok(ChangeOutcome::Changed(Arc::new(record)))
    }

    pub(crate) async fn mark_first_use(
        self,
        id: TokenId,
        expected: &TokenDigest,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mark =
            [at.unix_seconds().into(), id.into(), expected.as_bytes().into(), key_of(expected)];
        let mut step = self.begin().await?;
        let outcome = self.mark_on(&mut step, id, &mark).await;
        step.end(outcome).await
    }

    /// Where the previous secret ends by this, other nodes have to know.
    async fn mark_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        id: TokenId,
        mark: &[Value<'_>],
    ) -> Result<bool, StoreError> {
        let is_first = step.execute(&self.statements().mark_first_use, mark).await?;
        if is_first {
            self.tell(step, &[id]).await?;
        }
        Ok(is_first)
    }

    pub(crate) async fn rekey(
        self,
        id: TokenId,
        expected: &TokenDigest,
        digest: &TokenDigest,
    ) -> Result<bool, StoreError> {
        let rekey = [
            digest.as_bytes().into(),
            key_of(digest),
            id.into(),
            expected.as_bytes().into(),
            key_of(expected),
        ];
        // A digest becomes the previous one and never the current one, so that it can't be missed in between.
        Ok(self.write(&self.statements().rekey, &rekey).await?
            || self.write(&self.statements().rekey_previous, &rekey).await?)
    }

    pub(crate) async fn claim_notice(
        self,
        id: TokenId,
        expected_expiry: Timestamp,
        days: u16,
    ) -> Result<bool, StoreError> {
        let days = days.to_string();
        let days = || Value::from(days.as_str());
        let claim = [days(), id.into(), expected_expiry.unix_seconds().into(), days()];
        self.write(&self.statements().claim_notice, &claim).await
    }

    pub(crate) async fn record_uses(self, uses: &[Use]) -> Result<(), StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.record_uses_on(&mut step, uses).await;
        step.end(outcome).await
    }

    async fn record_uses_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        uses: &[Use],
    ) -> Result<(), StoreError> {
        // In the order of their ids.
        let uses: Vec<_> = latest(uses).into_values().collect();
        for uses in uses.chunks(E::LONGEST_LIST) {
            let statement = self.statements().record_uses.of(uses.len());
            step.execute(statement, &[Value::Uses(uses)]).await?;
        }
        Ok(())
    }

    pub(crate) async fn record_ability_uses(self, uses: &[AbilityUse]) -> Result<(), StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.record_ability_uses_on(&mut step, uses).await;
        step.end(outcome).await
    }

    async fn record_ability_uses_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        uses: &[AbilityUse],
    ) -> Result<(), StoreError> {
        let uses = by_token(uses);
        let ids: Vec<_> = uses.keys().copied().collect();
        for ids in ids.chunks(E::LONGEST_LIST) {
            let statement = self.statements().lock_used_abilities.of(ids.len());
            let mut grown = Vec::new();
            for row in step.fetch(statement, &[ids.into()]).await? {
                let id = id::<E>(&row)?;
                let known = text::<E>(&row, 1)?.unwrap_or_default();
                let mut all: Vec<_> = known.split_whitespace().collect();
                let known = all.len();
                let new = uses.get(&id).into_iter().flatten().map(|it| it.as_str());
                let new: Vec<_> = new.filter(|it| !all.contains(it)).collect();
                all.extend(new);
                all.truncate(MOST_USED_ABILITIES as usize);
                if all.len() > known {
                    grown.push((id, all.join(" ")));
                }
            }
            if !grown.is_empty() {
                let statement = self.statements().record_ability_uses.of(grown.len());
                step.execute(statement, &[Value::Used(&grown)]).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn canary(
        self,
        key: &KeyId,
        canary: &[u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let statements = self.statements();
        let key = || Value::from(key.as_str());
        let mut kept = self.read(&statements.canary, &[key()]).await?;
        if kept.is_empty() {
            self.write(&statements.keep_canary, &[key(), canary.into()]).await?;
            kept = self.read(&statements.canary, &[key()]).await?;
        }
        let bytes = kept.first().and_then(|row| E::bytes(row, 0).ok()?);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(CorruptRecord::new(None, "canary").into())
    }
}
