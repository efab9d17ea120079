use serde_json::{Map, Value};
use time::Duration;

use crate::token::{
    Expiry, Fields, InvalidFields, RequestedAbilities, RequestedBy, RequestedExpiry, Rule,
    Timestamp, TokenSettings,
};

use super::{
    RequestError,
    json::{self, NotStrict},
};

/// The longest name of a member that is told back, in bytes.
const LONGEST_SHOWN: usize = 40;

/// How many members that are not known are named.
const MOST_NAMED: usize = 25;

/// The members of a body, and what is wrong with them so far.
pub(super) struct Body {
    pub(super) members: Map<String, Value>,
    pub(super) fields: Fields,
}

impl Body {
    pub(super) fn read(body: &[u8]) -> Result<Self, RequestError> {
        let mut fields = Fields::default();
        match json::read(body) {
            Ok(Value::Object(members)) => return Ok(Self { members, fields }),
            Ok(_) => fields.refuse("body", "must be a JSON object"),
            Err(NotStrict::NotJson(error)) => return Err(RequestError::NotJson(error)),
            Err(NotStrict::Repeated) => fields.refuse("body", "must have each member once"),
            Err(NotStrict::Inexact) => {
                fields.refuse("body", "must have only numbers that can be kept as they are");
            }
        }
        Err(fields.into_error().into())
    }

    pub(super) fn read_optional(body: &[u8]) -> Result<Self, RequestError> {
        Self::read(if body.is_empty() { b"{}" } else { body })
    }

    pub(super) fn take(&mut self, member: &str) -> Option<Value> {
        self.members.remove(member)
    }

    pub(super) fn refuse(&mut self, field: &'static str, rule: impl Into<Rule>) {
        self.fields.refuse(field, rule);
    }

    /// Refuses members that nothing has taken: a mistyped one would be passed over.
    pub(super) fn finish(mut self) -> Result<(), InvalidFields> {
        for member in self.members.keys().take(MOST_NAMED) {
            // A longer one may be anything, also a token.
            let shown = if member.len() <= LONGEST_SHOWN { member } else { "…" };
            self.fields.refuse("body", format!("must not have the member {shown:?}"));
        }
        if self.fields.is_empty() { Ok(()) } else { Err(self.fields.into_error()) }
    }

    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        let text = self.take(field)?.as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse(field, "must be a text");
        }
        text
    }

    pub(super) fn number(&mut self, field: &'static str) -> Option<i64> {
        let value = self.take(field)?;
        let number = value.as_i64().or_else(|| whole(value.as_f64()?));
        if number.is_none() {
            self.refuse(field, "must be a whole number");
        }
        number
    }

    pub(super) fn flag(&mut self, field: &'static str) -> bool {
        match self.take(field) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.refuse(field, "must be true or false");
                false
            }
        }
    }

    /// An instant, or `null`.
    #[allow(clippy::option_option, reason = "the outer one says whether it is there")]
    pub(super) fn instant(
        &mut self,
        field: &'static str,
        message: &'static str,
    ) -> Option<Option<Timestamp>> {
        match self.take(field)? {
            Value::Null => Some(None),
            value => {
                let instant = value.as_str().and_then(|text| text.parse().ok());
                if instant.is_none() {
                    self.refuse(field, message);
                }
                instant.map(Some)
            }
        }
    }

    pub(super) fn settings(
        &mut self,
        expiry: fn(&mut Self) -> Option<RequestedExpiry>,
    ) -> TokenSettings {
        TokenSettings {
            abilities: self.abilities(),
            expiry: expiry(self),
            metadata: self.take("metadata").map(|it| match it {
                Value::Null => Map::new().into(),
                other => other,
            }),
            not_before: self
                .instant("not_before", "must be an RFC 3339 date and time, or null for at once"),
            idle_period: self.idle_period(),
            rate_limit: None,
            allowed_addresses: self.allowed_addresses(),
        }
    }

    #[allow(clippy::option_option, reason = "the outer one says whether it is there")]
    fn idle_period(&mut self) -> Option<Option<Duration>> {
        if self.members.get("idle_seconds").is_some_and(Value::is_null) {
            self.take("idle_seconds");
            return Some(None);
        }
        self.number("idle_seconds").map(|seconds| Some(Duration::seconds(seconds)))
    }

    #[allow(clippy::option_option, reason = "the outer one says whether it is there")]
    fn allowed_addresses(&mut self) -> Option<Option<Vec<String>>> {
        match self.take("allowed_addresses")? {
            Value::Null => Some(None),
            value => {
                let texts = value.as_array().and_then(|list| texts(list));
                if texts.is_none() {
                    let message = "must be a list of texts, or null for everywhere";
                    self.refuse("allowed_addresses", message);
                }
                texts.map(Some)
            }
        }
    }

    fn abilities(&mut self) -> Option<RequestedAbilities> {
        match self.take("abilities")? {
            Value::String(all) if all == "*" => Some(RequestedAbilities::All),
            Value::Array(list) => {
                texts(&list).map(RequestedAbilities::Set).or_else(|| self.refuse_abilities())
            }
            _ => self.refuse_abilities(),
        }
    }

    fn refuse_abilities<T>(&mut self) -> Option<T> {
        self.refuse("abilities", "must be a list of texts, or \"*\" for all");
        None
    }

    pub(super) fn expires_at(&mut self) -> Option<RequestedExpiry> {
        let message = "must be an RFC 3339 date and time, or null for never";
        let instant = self.instant("expires_at", message)?;
        Some(Expiry::from(instant).by(RequestedBy::Client))
    }

    pub(super) fn expiry(&mut self) -> Option<RequestedExpiry> {
        let Some(days) = self.take("expires_in_days") else {
            return self.expires_at();
        };
        if self.take("expires_at").is_some() {
            self.refuse("expires_in_days", "must not be given together with expires_at");
        }
        let days = days.as_i64().or_else(|| whole(days.as_f64()?));
        let days = days.and_then(|days| u32::try_from(days).ok());
        if days.is_none_or(|days| days == 0) {
            self.refuse("expires_in_days", "must be a whole number of days, at least 1");
        }
        days.map(|days| Expiry::In(Duration::days(days.into())).by(RequestedBy::Client))
    }
}

/// A number such as `60.0`, which some clients write for 60, if it is exact.
#[allow(clippy::cast_possible_truncation, reason = "it is a whole number of at most 53 bits")]
fn whole(number: f64) -> Option<i64> {
    let is_exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    is_exact.then_some(number as i64)
}

pub(super) fn texts(list: &[Value]) -> Option<Vec<String>> {
    list.iter().map(|it| it.as_str().map(str::to_owned)).collect()
}
