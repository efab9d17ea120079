use std::{io, sync::Arc};

use serde_json::{Map, Value};

use super::{InvalidValue, Rule, TokenFormat};

const MAX_BYTES: usize = 4096;
/// `serde_json` reads no more than 127 levels, so deeper metadata could be kept and never be read again.
const MAX_DEPTH: usize = 100;

/// The longest text that is read as metadata: compact JSON is shorter, other JSON may be longer by its white space.
const MAX_TEXT: usize = 4 * MAX_BYTES;

const TOO_LONG: Rule = Rule::MetadataTooLong { max: MAX_BYTES };

/// What an application keeps beside a token: a JSON object of at most 4 KiB.
///
/// It is kept as compact JSON and read when it is asked for. As a tree, 4 KiB can take half a megabyte.
///
/// ```
/// use keyfob::token::Metadata;
/// use serde_json::json;
///
/// let metadata = Metadata::new(&json!({ "environment": "production" }))?;
/// assert_eq!(metadata.get("environment"), Some(json!("production")));
/// assert!(Metadata::new(&json!([1, 2])).is_err());
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<str>>);

impl Metadata {
    /// Takes a JSON object.
    ///
    /// # Errors
    /// [`InvalidValue`] if the value is not an object, longer than 4,096 bytes as compact JSON, or nested more than 100
    /// levels deep.
    pub fn new(value: &Value) -> Result<Self, InvalidValue> {
        Self::read(value).map_err(|rule| rule.broken_by("metadata"))
    }

    fn read(value: &Value) -> Result<Self, Rule> {
        if is_deeper_than(MAX_DEPTH, value) {
            return Err(Rule::MetadataTooDeep { max: MAX_DEPTH });
        }
        let Value::Object(object) = value else {
            return Err(Rule::MetadataNotAnObject);
        };
        if object.is_empty() {
            return Ok(Self::default());
        }
        let mut json = Short(Vec::new());
        serde_json::to_writer(&mut json, object).map_err(|_| TOO_LONG)?;
        let json = String::from_utf8(json.0).map_err(|_| TOO_LONG)?;
        Ok(Self(Some(json.into())))
    }

    /// Takes a JSON object that a client sent.
    pub(crate) fn without_tokens(value: &Value, format: &TokenFormat) -> Result<Self, Rule> {
        let metadata = Self::read(value)?;
        // JSON escapes no character of a token.
        if format.contains_token(metadata.as_json()) {
            return Err(Rule::ContainsToken);
        }
        Ok(metadata)
    }

    /// Reads the text that a store kept.
    ///
    /// # Errors
    /// [`InvalidValue`] if the text is not JSON, or as for [`new`](Self::new).
    pub fn from_json(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > MAX_TEXT {
            return Err(TOO_LONG.broken_by("metadata"));
        }
        let value =
            serde_json::from_str(text).map_err(|_| Rule::MetadataNotJson.broken_by("metadata"))?;
        Self::new(&value)
    }

    /// Compact JSON, the text that a store keeps.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.as_json().to_owned()
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("{}")
    }

    /// All keys and values.
    #[must_use]
    pub fn to_object(&self) -> Map<String, Value> {
        // It was an object when it was written.
        serde_json::from_str(self.as_json()).unwrap_or_default()
    }

    /// The value of one key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.to_object().remove(key)
    }

    /// Tells whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Text that is cut off where it is longer than it may be.
struct Short(Vec<u8>);

impl io::Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        self.to_object().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_in_bytes_of_compact_json() {
        let with = |length: usize| Metadata::new(&serde_json::json!({ "k": "x".repeat(length) }));
        assert!(with(MAX_BYTES - 8).is_ok());
        assert_eq!(with(MAX_BYTES - 7).unwrap_err().rule, TOO_LONG);
        let spaces =
            |length: usize| Metadata::from_json(&format!("{{{}}}", " ".repeat(length - 2)));
        assert!(spaces(MAX_TEXT).is_ok_and(|it| it.is_empty()));
        assert_eq!(spaces(MAX_TEXT + 1).unwrap_err().rule, TOO_LONG);
    }

    #[test]
    fn what_is_nested_as_deep_as_it_may_be_reads_back() {
        let nested = |levels| {
            (1..levels).fold(serde_json::json!({}), |it, _| serde_json::json!({ "a": it }))
        };
        let deepest = Metadata::new(&nested(MAX_DEPTH)).unwrap();
        assert_eq!(Metadata::from_json(&deepest.to_json()).ok(), Some(deepest));
        let deeper = Metadata::new(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(deeper.rule, Rule::MetadataTooDeep { max: MAX_DEPTH });
    }

    #[test]
    fn what_is_kept_reads_back() {
        let text = r#"{"__proto__":{"a":[1,null,"\u0000 é"]}}"#;
        let metadata = Metadata::from_json(text).map(|metadata| metadata.to_json());
        assert_eq!(metadata.ok().as_deref(), Some(text));
        assert_eq!(Metadata::from_json("{").unwrap_err().rule, Rule::MetadataNotJson);
    }
}
