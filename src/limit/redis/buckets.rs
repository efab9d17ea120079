use std::time::SystemTime;

use redis::{RedisError, RedisResult, Script};

use crate::{
    limit::{
        Charge, Payer,
        gcra::{self, Charged, SECOND},
        nanoseconds,
    },
    redis::SharedConnection,
};

/// For how long a bucket is kept that is full again, which is as good as none: Redis counts whole milliseconds, and
/// from when a script began.
const SPARE_MILLISECONDS: u64 = 1_000;
/// The same where the server's clock, by which buckets expire, is not the one that they are charged by.
const SPARE_MILLISECONDS_BY_ANOTHER_CLOCK: u64 = 3_600_000;

/// Buckets that a server keeps.
pub(super) struct Buckets {
    connection: SharedConnection,
    script: Script,
    prefix: String,
    by_given_instants: bool,
}

/// Why a bucket was not charged, as far as is known.
pub(super) enum Failure {
    /// There was no answer, or none that is about this bucket.
    Away(RedisError),
    /// What is kept under the bucket's key is none.
    Corrupt(RedisError),
}

impl Buckets {
    pub(super) fn new(
        connection: SharedConnection,
        prefix: String,
        by_given_instants: bool,
    ) -> Self {
        let script = Script::new(include_str!("charge.lua"));
        Self { connection, script, prefix, by_given_instants }
    }

    pub(super) async fn charge(
        &self,
        payer: Payer,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Charged, Failure> {
        let (limit, requests) = (charge.limit(), charge.requests());
        let price = parts(gcra::price(limit, requests));
        // One that was cut off in another way may have charged.
        let repeats = RedisError::is_connection_dropped;
        let used = self.used(payer, charge, price, now, repeats).await?;
        // The script has decided the same.
        Ok(gcra::charge(used, 0, limit, requests))
    }

    pub(super) async fn refund(
        &self,
        payer: Payer,
        charge: &Charge,
        amount: u64,
        now: SystemTime,
    ) -> Result<Charged, Failure> {
        let (seconds, nanoseconds) = parts(amount);
        // To give back twice would be to give away.
        let price = (-seconds, -nanoseconds);
        let used = self.used(payer, charge, price, now, |_| false).await?;
        Ok(gcra::refund(used, 0, charge.limit(), amount))
    }

    /// Adds a price to a bucket, if there is room for it, and returns how much was used before, in nanoseconds.
    async fn used(
        &self,
        payer: Payer,
        charge: &Charge,
        price: (i64, i64),
        now: SystemTime,
        repeats: fn(&RedisError) -> bool,
    ) -> Result<u64, Failure> {
        let mut script = self.script.key(self.key(payer, charge));
        script.arg(price).arg(parts(gcra::all(charge.limit())));
        if self.by_given_instants {
            script.arg(SPARE_MILLISECONDS_BY_ANOTHER_CLOCK).arg(parts(nanoseconds(now)));
        } else {
            script.arg(SPARE_MILLISECONDS);
        }
        let script = &script;
        let used: RedisResult<(u64, u64)> = self
            .connection
            .ask(repeats, async |mut connection| script.invoke_async(&mut connection).await)
            .await;
        match used {
            Ok((seconds, nanoseconds)) => {
                Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
            }
            Err(error) if matches!(error.code(), Some("CORRUPT" | "WRONGTYPE")) => {
                Err(Failure::Corrupt(error))
            }
            Err(error) => Err(Failure::Away(error)),
        }
    }

    /// Limits that share a name and differ must not touch each other's buckets.
    fn key(&self, payer: Payer, charge: &Charge) -> String {
        let (prefix, name, limit) = (&self.prefix, charge.name(), charge.limit());
        format!("{prefix}:limit:{payer}:{name}:{}/{}", limit.requests(), limit.seconds())
    }
}

/// As the script takes an instant or a span.
fn parts(nanoseconds: u64) -> (i64, i64) {
    let part = |number| i64::try_from(number).unwrap_or(i64::MAX);
    (part(nanoseconds / SECOND), part(nanoseconds % SECOND))
}
