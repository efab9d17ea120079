//! JSON as it is read here: strictly, so that no member is passed over and no value becomes another one.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Why JSON was not taken.
#[derive(Debug)]
pub(super) enum NotStrict {
    NotJson(serde_json::Error),
    /// An object has a member twice: readers differ in which of them they take.
    Repeated,
    /// A number has more digits than can be kept, and would come back as another one.
    Inexact,
}

pub(super) fn read(body: &[u8]) -> Result<Value, NotStrict> {
    let value = serde_json::from_slice(body).map_err(NotStrict::NotJson)?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let is_repeated = Repeated.deserialize(&mut reader).map_err(NotStrict::NotJson)?;
    if is_repeated {
        return Err(NotStrict::Repeated);
    }
    if numbers(body).all(reads_back) { Ok(value) } else { Err(NotStrict::Inexact) }
}

/// Looks for a member that stands twice in an object, anywhere in a value. It keeps no values: an application may have
/// switched on a feature of `serde_json` that gives numbers as objects.
#[derive(Clone, Copy)]
struct Repeated;

impl<'de> DeserializeSeed<'de> for Repeated {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! no_objects {
    ($($visit:ident($type:ty))+) => {
        $(fn $visit<E>(self, _: $type) -> Result<bool, E> {
            Ok(false)
        })+
    };
}

impl<'de> Visitor<'de> for Repeated {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    no_objects! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut is_repeated = false;
        while let Some(is_inside) = list.next_element_seed(self)? {
            is_repeated |= is_inside;
        }
        Ok(is_repeated)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let (mut members, mut is_repeated) = (HashSet::new(), false);
        while let Some(member) = object.next_key::<String>()? {
            is_repeated |= !members.insert(member);
            is_repeated |= object.next_value_seed(self)?;
        }
        Ok(is_repeated)
    }
}

/// The numbers of a text that is JSON, as they are written.
fn numbers(json: &[u8]) -> impl Iterator<Item = &str> {
    let (mut in_text, mut is_escaped) = (false, false);
    let pieces = json.split(move |byte| {
        let was_escaped = is_escaped;
        is_escaped = in_text && !was_escaped && *byte == b'\\';
        in_text ^= *byte == b'"' && !was_escaped;
        in_text || !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    });
    let pieces = pieces.filter_map(|piece| std::str::from_utf8(piece).ok());
    pieces.filter(|piece| piece.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
}

/// Returns `true` if a number is the same once it was read and written.
fn reads_back(number: &str) -> bool {
    let written = serde_json::from_str::<Value>(number).map(|number| number.to_string());
    written.is_ok_and(|written| Decimal::of(&written) == Decimal::of(number))
}

/// A number by its digits, of which neither the first nor the last is 0, and the power of ten that they are times.
#[derive(PartialEq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    power: i64,
}

impl Decimal {
    /// Of a number as JSON writes it; `None` where its power of ten has too many digits.
    fn of(number: &str) -> Option<Self> {
        let (is_negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (number, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = [whole, fraction].concat();
        let significant = digits.trim_end_matches('0');
        let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
        let digits = significant.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative, digits, power: 0 });
        }
        let fraction = i64::try_from(fraction.len()).ok()?;
        let power = power.parse::<i64>().ok()?.checked_sub(fraction)?.checked_add(zeros)?;
        Some(Self { is_negative, digits, power })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_back_the_same_or_is_refused() {
        for good in [
            "0",
            "0e9223372036854775807",
            "0e99999999999999999999",
            "-0.0e-9223372036854775808",
            "-0",
            "7",
            "-7",
            "1.5",
            "1.50",
            "0.1",
            "1e2",
            "1E+2",
            "1.0e-7",
            "1e300",
            "18446744073709551615",
            "-9223372036854775808",
            "123456789012345680000",
            "0.30000000000000004",
        ] {
            assert!(read(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "18446744073709551616",
            "-9223372036854775809",
            "12345678901234567890123",
            "0.1234567890123456789",
            "1.00000000000000000001",
            "1e-400",
            "1.0e-9223372036854775808",
            "10e-99999999999999999999",
        ] {
            for json in [
                bad.to_owned(),
                format!("{{\"a\":[{{\"b\":{bad}}}]}}"),
                format!("[\"\\\"1,\",{bad}]"),
            ] {
                assert!(matches!(read(json.as_bytes()), Err(NotStrict::Inexact)), "{json}");
            }
            assert!(
                read(format!("[\"{bad}\",\"\\\"{bad}\\\\\"]").as_bytes()).is_ok(),
                "a text may say it"
            );
        }
    }

    #[test]
    fn a_member_stands_once_in_its_object() {
        assert!(read(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
        for bad in [r#"{"a":1,"a":1}"#, r#"[{"a":{"b":1,"\u0062":2}}]"#] {
            assert!(matches!(read(bad.as_bytes()), Err(NotStrict::Repeated)), "{bad}");
        }
        for bad in ["", "{", "{}{}", "1 2", "nul", "[1,]", "01", "1e400"] {
            assert!(matches!(read(bad.as_bytes()), Err(NotStrict::NotJson(_))), "{bad}");
        }
    }
}
