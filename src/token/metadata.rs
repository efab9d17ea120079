use serde_json::{Map, Value};

use super::TokenFormat;

const MAX_BYTES: usize = 4096;
/// `serde_json` reads no more than 127 levels, so deeper metadata could be kept and never be read again.
const MAX_DEPTH: usize = 100;

/// What an application keeps beside a token: a JSON object of at most 4 KiB.
///
/// ```
/// use keyfob::token::Metadata;
/// use serde_json::json;
///
/// let metadata = Metadata::new(json!({ "environment": "production" }))?;
/// assert_eq!(metadata.get("environment"), Some(&json!("production")));
/// assert!(Metadata::new(json!([1, 2])).is_err());
/// # Ok::<(), keyfob::token::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(Map<String, Value>);

/// Which rule a token's metadata breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// It is JSON, but no object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// Written as compact JSON it is longer than it may be.
    #[error("must be at most {MAX_BYTES} bytes as JSON")]
    TooLong,
    /// Its arrays and objects lie deeper in each other than they may.
    #[error("must not be nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A token stands in it, in a key or a value.
    #[error("must not contain a token")]
    ContainsToken,
    /// It is no JSON.
    #[error("must be JSON")]
    NotJson(#[source] serde_json::Error),
}

impl Metadata {
    /// Takes a JSON object.
    ///
    /// # Errors
    /// [`MetadataError`] where it is no object, longer than 4,096 bytes as compact JSON, or nested more than 100
    /// levels deep.
    pub fn new(value: Value) -> Result<Self, MetadataError> {
        if is_deeper_than(MAX_DEPTH, &value) {
            return Err(MetadataError::TooDeep);
        }
        let Value::Object(object) = value else {
            return Err(MetadataError::NotAnObject);
        };
        let metadata = Self(object);
        if metadata.to_json().len() > MAX_BYTES {
            return Err(MetadataError::TooLong);
        }
        Ok(metadata)
    }

    /// Takes a JSON object that a client sent.
    pub(crate) fn without_tokens(
        value: Value,
        format: &TokenFormat,
    ) -> Result<Self, MetadataError> {
        let metadata = Self::new(value)?;
        // JSON escapes no character of a token.
        if format.contains_token(&metadata.to_json()) {
            return Err(MetadataError::ContainsToken);
        }
        Ok(metadata)
    }

    /// Reads the text that a store kept.
    ///
    /// # Errors
    /// [`MetadataError`] where it is no JSON, or as for [`new`](Self::new).
    pub fn from_json(text: &str) -> Result<Self, MetadataError> {
        Self::new(serde_json::from_str(text).map_err(MetadataError::NotJson)?)
    }

    /// Compact JSON, the text that a store keeps.
    #[must_use]
    pub fn to_json(&self) -> String {
        // The map's own Display needs no fallible serializer.
        Value::Object(self.0.clone()).to_string()
    }

    /// The value of one key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Tells whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_deeper_than(levels: usize, value: &Value) -> bool {
    let goes_on = |inner| is_deeper_than(levels - 1, inner);
    match value {
        Value::Array(list) => levels == 0 || list.iter().any(goes_on),
        Value::Object(object) => levels == 0 || object.values().any(goes_on),
        _ => false,
    }
}

impl serde::Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_in_bytes_of_compact_json() {
        let with = |length: usize| Metadata::new(serde_json::json!({ "k": "x".repeat(length) }));
        assert!(with(MAX_BYTES - 8).is_ok());
        assert!(matches!(with(MAX_BYTES - 7), Err(MetadataError::TooLong)));
    }

    #[test]
    fn what_is_nested_as_deep_as_it_may_be_reads_back() {
        let nested = |levels| {
            (1..levels).fold(serde_json::json!({}), |it, _| serde_json::json!({ "a": it }))
        };
        let deepest = Metadata::new(nested(MAX_DEPTH)).unwrap();
        assert_eq!(Metadata::from_json(&deepest.to_json()).ok(), Some(deepest));
        assert!(matches!(Metadata::new(nested(MAX_DEPTH + 1)), Err(MetadataError::TooDeep)));
    }

    #[test]
    fn what_is_kept_reads_back() {
        let text = r#"{"__proto__":{"a":[1,null,"\u0000 é"]}}"#;
        let metadata = Metadata::from_json(text).map(|metadata| metadata.to_json());
        assert_eq!(metadata.ok().as_deref(), Some(text));
        assert!(matches!(Metadata::from_json("{"), Err(MetadataError::NotJson(_))));
    }
}
