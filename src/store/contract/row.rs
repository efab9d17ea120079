use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize};

use crate::token::{
    Abilities, AllowedAddresses, KeyId, Metadata, PreviousSecret, RareFields, RateLimit, Reason,
    Revocation, Suspension, Timestamp, TokenDigest, TokenId, TokenName, TokenRecord,
};

use crate::store::CorruptRecord;

/// A [`TokenRecord`] as a row of plain columns: bytes, texts, 64-bit integers.
///
/// SQL stores bind and read these columns one by one, a key-value store serializes the whole. Texts are as people
/// read them: abilities separated by spaces with `*` for all, instants in seconds since 1970; serialized, bytes are in
/// hex. Reading a row back checks every column again.
///
/// It holds the digest: keep it in the store, and send clients something else.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, NewToken, Owner, store::{MemoryStore, contract::StoredRow}};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// # let issued = tokens.issue(NewToken::new(Owner::new("user:42").unwrap(), "ci")).await.unwrap();
/// let bytes = serde_json::to_vec(&StoredRow::from(&issued.record)).unwrap();
/// let row: StoredRow = serde_json::from_slice(&bytes).unwrap();
/// assert_eq!(row.into_record().unwrap(), issued.record);
/// # });
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the columns are the fields of the record")]
#[non_exhaustive]
pub struct StoredRow {
    #[serde(with = "hex::serde")]
    pub id: Vec<u8>,
    pub prefix: String,
    pub owner: String,
    #[serde(deserialize_with = "present")]
    pub created_by: Option<String>,
    pub name: String,
    #[serde(with = "hex::serde")]
    pub digest: Vec<u8>,
    #[serde(deserialize_with = "present")]
    pub digest_key: Option<String>,
    pub generation: i64,
    #[serde(deserialize_with = "present")]
    pub rotated_at: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub first_used_at: Option<i64>,
    #[serde(with = "optional_hex")]
    pub previous_digest: Option<Vec<u8>>,
    #[serde(deserialize_with = "present")]
    pub previous_digest_key: Option<String>,
    #[serde(deserialize_with = "present")]
    pub previous_ends_at: Option<i64>,
    pub previous_ends_on_first_use: bool,
    pub previous_may_ask_again: bool,
    pub abilities: String,
    pub created_at: i64,
    #[serde(deserialize_with = "present")]
    pub expires_at: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub not_before: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub idle_seconds: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub last_used_at: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub last_used_from: Option<String>,
    #[serde(deserialize_with = "present")]
    pub suspended_since: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub suspended_until: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub suspended_reason: Option<String>,
    #[serde(deserialize_with = "present")]
    pub revoked_at: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub revoked_by: Option<String>,
    #[serde(deserialize_with = "present")]
    pub revoked_reason: Option<String>,
    #[serde(with = "optional_hex")]
    pub parent: Option<Vec<u8>>,
    #[serde(deserialize_with = "present")]
    pub allowed_addresses: Option<String>,
    #[serde(deserialize_with = "present")]
    pub rate_limit_requests: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub rate_limit_seconds: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub metadata: Option<String>,
    pub notices: String,
    pub used_abilities: String,
    #[serde(deserialize_with = "present")]
    pub idempotency_key: Option<String>,
    /// Rows of the version before have none.
    #[serde(default)]
    pub version: Option<i64>,
}

/// A column that is lost is damage, not `None`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    column: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(column)
}

/// `hex::serde`, for a column that may be empty.
mod optional_hex {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    struct Hex(#[serde(with = "hex::serde")] Vec<u8>);

    #[allow(clippy::ref_option, reason = "serde gives it so")]
    pub(super) fn serialize<S: Serializer>(
        column: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        column.as_ref().map(hex::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        column: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::deserialize(column)?.map(|Hex(bytes)| bytes))
    }
}

impl From<&TokenRecord> for StoredRow {
    fn from(record: &TokenRecord) -> Self {
        let previous = record.previous.as_deref();
        let suspension = record.suspension.as_deref();
        let revocation = record.revocation.as_deref();
        let rare = record.rare.as_deref();
        let limit = record.rate_limit();
        Self {
            id: record.id.to_bytes().into(),
            prefix: record.prefix.to_string(),
            owner: record.owner.to_string(),
            created_by: rare.and_then(|it| text(it.created_by.as_ref())),
            name: record.name.to_string(),
            digest: record.digest.as_bytes().into(),
            digest_key: text(record.digest.key()),
            generation: record.generation.into(),
            rotated_at: seconds(record.rotated_at),
            first_used_at: seconds(record.first_used_at),
            previous_digest: previous.map(|it| it.digest.as_bytes().into()),
            previous_digest_key: previous.and_then(|it| text(it.digest.key())),
            previous_ends_at: previous.and_then(|it| seconds(it.ends_at)),
            previous_ends_on_first_use: previous.is_some_and(|it| it.ends_on_first_use),
            previous_may_ask_again: previous.is_some_and(|it| it.may_ask_again),
            abilities: abilities_text(&record.abilities),
            created_at: record.created_at.unix_seconds(),
            expires_at: seconds(record.expires_at),
            not_before: seconds(record.not_before),
            idle_seconds: record.idle_seconds.map(|it| it.get().into()),
            last_used_at: seconds(record.last_used_at),
            last_used_from: text(record.last_used_from),
            suspended_since: suspension.map(|it| it.since.unix_seconds()),
            suspended_until: suspension.and_then(|it| seconds(it.until)),
            suspended_reason: suspension.and_then(|it| text(it.reason.as_ref())),
            revoked_at: revocation.map(|it| it.at.unix_seconds()),
            revoked_by: revocation.and_then(|it| text(it.by.as_ref())),
            revoked_reason: revocation.and_then(|it| text(it.reason.as_ref())),
            parent: rare.and_then(|it| it.parent).map(|id| id.to_bytes().into()),
            allowed_addresses: record.allowed_addresses().map(addresses_text),
            rate_limit_requests: limit.map(|it| it.requests().into()),
            rate_limit_seconds: limit.map(|it| it.seconds().into()),
            metadata: record.metadata().filter(|it| !it.is_empty()).map(Metadata::to_json),
            notices: rare.map_or_else(String::new, |it| joined(&it.notices)),
            used_abilities: rare.map_or_else(String::new, |it| joined(&it.used_abilities)),
            idempotency_key: rare.and_then(|it| text(it.idempotency_key.as_ref())),
            version: Some(record.version.into()),
        }
    }
}

/// The text of a column with abilities: separated by spaces, `*` for all.
pub(crate) fn abilities_text(abilities: &Abilities) -> String {
    abilities.as_set().map_or_else(|| "*".to_owned(), joined)
}

/// The text of a column with networks: separated by spaces.
pub(crate) fn addresses_text(addresses: &AllowedAddresses) -> String {
    joined(addresses.iter())
}

fn joined(parts: impl IntoIterator<Item: ToString>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(" ")
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

pub(crate) fn seconds(instant: Option<Timestamp>) -> Option<i64> {
    instant.map(Timestamp::unix_seconds)
}

impl StoredRow {
    /// Reads the row, checking every column and that none is there without those that it belongs to.
    ///
    /// # Errors
    /// [`CorruptRecord`] names the first column that is not what keyfob writes.
    pub fn into_record(self) -> Result<TokenRecord, CorruptRecord> {
        let id = id(&self.id).ok_or(CorruptRecord::new(None, "id"))?;
        self.read(id).map_err(|field| CorruptRecord::new(Some(id), field))
    }

    /// A part without the whole is damage: passed over, it could let a token through that was ended.
    fn check_parts(&self) -> Result<(), &'static str> {
        let parts_of_previous = self.previous_digest_key.is_some()
            || self.previous_ends_at.is_some()
            || self.previous_ends_on_first_use
            || self.previous_may_ask_again;
        if parts_of_previous && self.previous_digest.is_none() {
            return Err("previous_digest");
        }
        let parts_of_suspension = self.suspended_until.is_some() || self.suspended_reason.is_some();
        if parts_of_suspension && self.suspended_since.is_none() {
            return Err("suspended_since");
        }
        let parts_of_revocation = self.revoked_by.is_some() || self.revoked_reason.is_some();
        if parts_of_revocation && self.revoked_at.is_none() {
            return Err("revoked_at");
        }
        if self.last_used_from.is_some() && self.last_used_at.is_none() {
            return Err("last_used_from");
        }
        if self.rate_limit_requests.is_some() != self.rate_limit_seconds.is_some() {
            return Err("rate_limit");
        }
        Ok(())
    }

    /// The error is the name of the column.
    fn read(self, id: TokenId) -> Result<TokenRecord, &'static str> {
        self.check_parts()?;
        let digest = digest(&self.digest, self.digest_key).ok_or("digest")?;
        let mut record = TokenRecord::new(
            id,
            parsed(&self.prefix).ok_or("prefix")?,
            parsed(&self.owner).ok_or("owner")?,
            TokenName::stored(&self.name).map_err(|_| "name")?,
            digest,
            Timestamp::from_unix_seconds(self.created_at).map_err(|_| "created_at")?,
        );
        record.version = self.version.unwrap_or_default().try_into().map_err(|_| "version")?;
        record.generation = self.generation.try_into().map_err(|_| "generation")?;
        record.rotated_at = instant(self.rotated_at).ok_or("rotated_at")?;
        record.first_used_at = instant(self.first_used_at).ok_or("first_used_at")?;
        record.abilities = read_abilities(&self.abilities).ok_or("abilities")?;
        record.expires_at = instant(self.expires_at).ok_or("expires_at")?;
        record.not_before = instant(self.not_before).ok_or("not_before")?;
        record.idle_seconds = optional(self.idle_seconds, idle_seconds).ok_or("idle_seconds")?;
        record.last_used_at = instant(self.last_used_at).ok_or("last_used_at")?;
        record.last_used_from = maybe(self.last_used_from).ok_or("last_used_from")?;

        if let Some(bytes) = self.previous_digest {
            record.previous = Some(Box::new(PreviousSecret {
                digest: self::digest(&bytes, self.previous_digest_key).ok_or("previous_digest")?,
                ends_at: instant(self.previous_ends_at).ok_or("previous_ends_at")?,
                ends_on_first_use: self.previous_ends_on_first_use,
                may_ask_again: self.previous_may_ask_again,
            }));
        }
        if let Some(since) = instant(self.suspended_since).ok_or("suspended_since")? {
            record.suspension = Some(Box::new(Suspension {
                since,
                until: instant(self.suspended_until).ok_or("suspended_until")?,
                reason: reason(self.suspended_reason).ok_or("suspended_reason")?,
            }));
        }
        if let Some(at) = instant(self.revoked_at).ok_or("revoked_at")? {
            record.revocation = Some(Box::new(Revocation {
                at,
                by: maybe(self.revoked_by).ok_or("revoked_by")?,
                reason: reason(self.revoked_reason).ok_or("revoked_reason")?,
            }));
        }

        let limit = self.rate_limit_requests.zip(self.rate_limit_seconds);
        let rare = RareFields {
            created_by: maybe(self.created_by).ok_or("created_by")?,
            parent: optional(self.parent, |bytes| self::id(&bytes)).ok_or("parent")?,
            allowed_addresses: optional(self.allowed_addresses, |text| read_addresses(&text))
                .ok_or("allowed_addresses")?,
            rate_limit: optional(limit, rate_limit).ok_or("rate_limit")?,
            metadata: optional(self.metadata, |text| Metadata::from_json(&text).ok())
                .ok_or("metadata")?
                .unwrap_or_default(),
            notices: parsed_all(&self.notices).ok_or("notices")?,
            used_abilities: parsed_all(&self.used_abilities).ok_or("used_abilities")?,
            idempotency_key: maybe(self.idempotency_key).ok_or("idempotency_key")?,
        };
        check_history(&record, &rare)?;
        record.rare = (rare != RareFields::default()).then(|| Box::new(rare));
        Ok(record)
    }
}

/// Refuses what no step writes, though each column can be read. The error is the name of the column that is lost.
fn check_history(record: &TokenRecord, rare: &RareFields) -> Result<(), &'static str> {
    // The generation, its instant and the secret before it come with the first rotation, and none of them ever goes.
    let is_rotated = record.generation > 0;
    if record.rotated_at.is_some() != is_rotated {
        return Err("rotated_at");
    }
    if record.previous.is_some() != is_rotated {
        return Err("previous_digest");
    }
    // A replaced secret without an end would be good for ever.
    if record.previous.as_ref().is_some_and(|it| it.ends_at.is_none() && !it.ends_on_first_use) {
        return Err("previous_ends_at");
    }
    // Only the first use of a secret that a rotation made is recorded.
    if record.first_used_at.is_some() && !is_rotated {
        return Err("first_used_at");
    }
    // A token that never expires has no notices: a new expiry forgets them.
    if record.expires_at.is_none() && !rare.notices.is_empty() {
        return Err("expires_at");
    }
    Ok(())
}

/// An absent column is fine and stays absent; one that is there has to be readable.
#[allow(clippy::option_option, reason = "the outer one says whether it could be read")]
fn optional<T, U>(column: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match column {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

#[allow(clippy::option_option, reason = "the outer one says whether it could be read")]
fn instant(column: Option<i64>) -> Option<Option<Timestamp>> {
    optional(column, |seconds| Timestamp::from_unix_seconds(seconds).ok())
}

#[allow(clippy::option_option, reason = "the outer one says whether it could be read")]
fn maybe<T: std::str::FromStr>(column: Option<String>) -> Option<Option<T>> {
    optional(column, |text| parsed(&text))
}

#[allow(clippy::option_option, reason = "the outer one says whether it could be read")]
fn reason(column: Option<String>) -> Option<Option<Reason>> {
    optional(column, |text| Reason::stored(&text).ok())
}

fn parsed<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parsed_all<T: std::str::FromStr, C: FromIterator<T>>(text: &str) -> Option<C> {
    text.split_ascii_whitespace().map(parsed).collect()
}

fn id(bytes: &[u8]) -> Option<TokenId> {
    bytes.try_into().ok().map(TokenId::from_bytes)
}

fn digest(bytes: &[u8], key: Option<String>) -> Option<TokenDigest> {
    let key: Option<KeyId> = maybe(key)?;
    bytes.try_into().ok().map(|bytes| TokenDigest::from_bytes(bytes, key))
}

fn read_abilities(text: &str) -> Option<Abilities> {
    match text {
        "*" => Some(Abilities::all()),
        list => Abilities::set(list.split_ascii_whitespace()).ok(),
    }
}

fn read_addresses(text: &str) -> Option<AllowedAddresses> {
    AllowedAddresses::new(text.split_ascii_whitespace()).ok()
}

fn idle_seconds(seconds: i64) -> Option<NonZeroU32> {
    u32::try_from(seconds).ok().and_then(NonZeroU32::new)
}

fn rate_limit((requests, seconds): (i64, i64)) -> Option<RateLimit> {
    RateLimit::new(requests.try_into().ok()?, time::Duration::seconds(seconds)).ok()
}

impl std::fmt::Debug for StoredRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredRow").field("id", &id(&self.id)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> StoredRow {
        StoredRow {
            id: vec![7; 16],
            prefix: "acme".to_owned(),
            owner: "user:42".to_owned(),
            name: "ci".to_owned(),
            digest: vec![7; 32],
            ..StoredRow::default()
        }
    }

    #[test]
    fn a_part_without_its_whole_is_damage() {
        type Damage = fn(&mut StoredRow);
        let parts: [(&str, Damage); 11] = [
            ("last_used_from", |row| row.last_used_from = Some("192.0.2.7".to_owned())),
            ("previous_digest", |row| row.previous_digest_key = Some("k".to_owned())),
            ("previous_digest", |row| row.previous_ends_at = Some(1)),
            ("previous_digest", |row| row.previous_ends_on_first_use = true),
            ("previous_digest", |row| row.previous_may_ask_again = true),
            ("suspended_since", |row| row.suspended_until = Some(1)),
            ("suspended_since", |row| row.suspended_reason = Some("r".to_owned())),
            ("revoked_at", |row| row.revoked_by = Some("b".to_owned())),
            ("revoked_at", |row| row.revoked_reason = Some("r".to_owned())),
            ("rate_limit", |row| row.rate_limit_requests = Some(1)),
            ("rate_limit", |row| row.rate_limit_seconds = Some(1)),
        ];
        assert!(row().into_record().is_ok());
        for (field, damage) in parts {
            let mut row = row();
            damage(&mut row);
            assert_eq!(row.into_record().unwrap_err().field, field);
        }
    }

    #[test]
    fn a_column_that_is_lost_or_not_known_is_damage() {
        let json = serde_json::to_value(row()).unwrap();
        assert!(serde_json::from_value::<StoredRow>(json.clone()).is_ok());
        for column in json.as_object().unwrap().keys().filter(|it| *it != "version") {
            let mut lost = json.clone();
            let value = lost.as_object_mut().unwrap().remove(column).unwrap();
            assert!(serde_json::from_value::<StoredRow>(lost.clone()).is_err(), "{column}");
            lost[format!("{column}_")] = value;
            assert!(serde_json::from_value::<StoredRow>(lost).is_err(), "{column}");
        }
    }
}
