//! A token as a person describes it in a form: what was typed, and what it asks for.

use std::collections::BTreeSet;

use serde_json::Value;
use time::Duration;

use crate::token::{
    Abilities, Expiry, Fields, Metadata, RequestedAbilities, RequestedBy, Rule, Timestamp,
    TokenRecord, TokenSettings,
};

use super::{choices::Offer, form::Form, options::PageOptions};

/// The member of the metadata that the page shows and changes.
pub(super) const DESCRIPTION: &str = "description";
const LONGEST_DESCRIPTION: usize = 255;
const MOST_DAYS: i64 = 36_500;

/// The fields of a form, as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) description: String,
    /// Days, `date`, `never`, `keep`, or empty for the application's default.
    pub(super) expires: String,
    pub(super) date: String,
    pub(super) begins: String,
    /// The minutes that the browser's clock is behind UTC at the end of that date.
    pub(super) zone: String,
    pub(super) is_everything: bool,
    pub(super) abilities: BTreeSet<String>,
    pub(super) addresses: String,
    pub(super) idle_days: String,
}

/// A token that is to be changed, and its fields as the form shows them.
pub(super) struct Before<'r> {
    pub(super) draft: Draft,
    pub(super) record: &'r TokenRecord,
}

/// `expires` for the expiry that the token has.
pub(super) const KEEP: &str = "keep";
/// `expires` for the application's default, where it is no number of days.
pub(super) const USUAL: &str = "usual";

impl Draft {
    pub(super) fn read(form: &mut Form, options: &PageOptions) -> Self {
        let mut draft = Self {
            // A name with white space around it is refused in words.
            name: form.one("name").unwrap_or_default(),
            expires: form.text("expires"),
            date: form.text("date"),
            zone: form.text("zone"),
            ..Self::default()
        };
        let access = form.one("access");
        draft.is_everything = access.as_deref() == Some("all");
        if !matches!(access.as_deref(), None | Some("some" | "all")) {
            form.refuse();
        }
        // A box holds one ability, and a text area one a line.
        let abilities = form.all("ability");
        let abilities = abilities.iter().flat_map(|it| it.split_whitespace());
        draft.abilities = abilities.map(str::to_owned).collect();
        draft.drop_covered();
        if options.descriptions {
            draft.description = form.text("description");
        }
        if options.limits {
            draft.addresses = form.text("addresses");
            draft.idle_days = form.text("idle_days");
            draft.begins = form.text("begins");
        }
        draft
    }

    /// A branch is what is meant where single abilities of it are there as well.
    fn drop_covered(&mut self) {
        let branches: Vec<_> =
            self.abilities.iter().filter_map(|it| it.strip_suffix(":*")).collect();
        let branches: Vec<_> = branches.into_iter().map(|it| format!("{it}:")).collect();
        let is_covered = |it: &String| {
            let mut branches = branches.iter();
            branches.any(|branch| it.strip_prefix(branch).is_some_and(|rest| rest != "*"))
        };
        self.abilities.retain(|it| !is_covered(it));
    }

    /// The fields of a token with abilities, and nothing else.
    pub(super) fn with(abilities: Option<&Abilities>) -> Self {
        Self {
            is_everything: abilities.is_some_and(Abilities::is_all),
            abilities: abilities.map(texts).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// The fields of a token that is to be changed. Abilities that the application no longer declares are left out: they
    /// can't be given again.
    pub(super) fn of(record: &TokenRecord, offer: &Offer<'_>) -> Self {
        let options = offer.options;
        let declared = record.abilities.as_set().unwrap_or_default().iter();
        let declared = declared.filter(|it| !offer.is_gone(it));
        let mut draft = Self {
            name: record.name.to_string(),
            expires: KEEP.to_owned(),
            is_everything: record.abilities.is_all(),
            abilities: declared.map(ToString::to_string).collect(),
            ..Self::default()
        };
        draft.drop_covered();
        if options.descriptions {
            // As a field of one line sends it again.
            let text = description(record).unwrap_or_default();
            text.replace(['\r', '\n'], "").trim().clone_into(&mut draft.description);
        }
        if options.limits {
            let addresses = record.allowed_addresses();
            let addresses = addresses.map(|it| it.iter().collect::<Vec<_>>().join("\n"));
            draft.addresses = addresses.unwrap_or_default();
            let days = |seconds: u32| (f64::from(seconds) / 86_400.0).to_string();
            draft.idle_days = record.idle_seconds.map(|it| days(it.get())).unwrap_or_default();
            let begins = record.not_before.map(|it| it.to_string());
            draft.begins =
                begins.and_then(|it| Some(it.split_once('T')?.0.to_owned())).unwrap_or_default();
        }
        draft
    }

    /// The fields of a token like another one.
    pub(super) fn like(record: &TokenRecord, offer: &Offer<'_>) -> Self {
        let life =
            record.expires_at.map(|end| end.since(record.rotated_at.unwrap_or(record.created_at)));
        let expires = match life.map(|it| it.whole_days().max(1)) {
            Some(days) => days.to_string(),
            None => "never".to_owned(),
        };
        let draft = Self::of(record, offer);
        // A form takes whole days.
        let idle = record.idle_seconds.filter(|_| !draft.idle_days.is_empty());
        let idle_days = idle.map(|it| it.get().div_ceil(86_400).to_string()).unwrap_or_default();
        Self { expires, idle_days, begins: String::new(), ..draft }
    }

    /// Reads the fields. Those that are as `before` ask for nothing, and so do those that can't be read.
    pub(super) fn settings(
        &self,
        before: Option<&Before<'_>>,
        fields: &mut Fields,
    ) -> TokenSettings {
        let mut settings = TokenSettings::default();
        let is_new = |of: fn(&Self) -> &String| before.is_none_or(|it| of(&it.draft) != of(self));
        let has_other_access = before.is_none_or(|Before { draft, .. }| {
            (draft.is_everything, &draft.abilities) != (self.is_everything, &self.abilities)
        });
        if has_other_access {
            settings.abilities = Some(if self.is_everything {
                RequestedAbilities::All
            } else {
                self.abilities.iter().cloned().collect()
            });
        }
        settings.expiry = fields
            .check("expires_at", self.expiry())
            .flatten()
            .map(|it| it.by(RequestedBy::Client));
        if is_new(|it| &it.description) && (before.is_some() || !self.description.is_empty()) {
            if self.description.chars().nth(LONGEST_DESCRIPTION).is_some() {
                fields.refuse("metadata", Rule::TooManyCharacters { max: LONGEST_DESCRIPTION });
            }
            let record = before.map(|it| it.record);
            let mut members =
                record.and_then(TokenRecord::metadata).map(Metadata::to_object).unwrap_or_default();
            if self.description.is_empty() {
                members.remove(DESCRIPTION);
            } else {
                members.insert(DESCRIPTION.to_owned(), self.description.as_str().into());
            }
            settings.metadata = Some(members.into());
        }
        let is_given = |text: &String| before.is_some() || !text.is_empty();
        if is_new(|it| &it.addresses) && is_given(&self.addresses) {
            let networks: Vec<_> = self.addresses.split_whitespace().map(str::to_owned).collect();
            settings.allowed_addresses = Some((!networks.is_empty()).then_some(networks));
        }
        if is_new(|it| &it.idle_days) && is_given(&self.idle_days) {
            settings.idle_period = fields.check("idle_seconds", days(&self.idle_days));
        }
        if is_new(|it| &it.begins) && is_given(&self.begins) {
            let begins = (!self.begins.is_empty()).then(|| instant(&self.begins, "00:00:00", 0));
            settings.not_before = fields.check("not_before", begins.transpose());
        }
        settings
    }

    fn expiry(&self) -> Result<Option<Expiry>, Rule> {
        Ok(match self.expires.as_str() {
            "" | KEEP | USUAL => None,
            "never" => Some(Expiry::Never),
            "date" => Some(Expiry::At(self.end_of(&self.date)?)),
            days => {
                let days = days.parse().ok().filter(|it| (1..=MOST_DAYS).contains(it));
                Some(Expiry::In(Duration::days(days.ok_or(Rule::OutOfRange)?)))
            }
        })
    }

    /// The end of a day where the browser is. Without a script that is UTC.
    fn end_of(&self, date: &str) -> Result<Timestamp, Rule> {
        // No place is more than 14 hours from UTC.
        let zone = match self.zone.as_str() {
            "" => 0,
            zone => zone.parse().ok().filter(|it| (-840..=840).contains(it)).ok_or(DATE)?,
        };
        instant(date, "23:59:59", zone)
    }

    /// The end of the day until which a token is suspended.
    pub(super) fn end_of_day(&self) -> Result<Option<Timestamp>, Rule> {
        (!self.date.is_empty()).then(|| self.end_of(&self.date)).transpose()
    }

    pub(super) fn read_date(form: &mut Form) -> Self {
        Self { date: form.text("until"), zone: form.text("zone"), ..Self::default() }
    }
}

const DATE: Rule = Rule::other("must be a date such as 2030-12-31");

/// A time of a day at a place that is so many minutes behind UTC.
fn instant(date: &str, time: &str, zone: i64) -> Result<Timestamp, Rule> {
    if date.is_empty() {
        return Err(Rule::Missing);
    }
    let instant: Timestamp = format!("{date}T{time}Z").parse().map_err(|_| DATE)?;
    instant.checked_add(Duration::minutes(zone)).map_err(|_| Rule::OutOfRange)
}

fn days(text: &str) -> Result<Option<Duration>, Rule> {
    if text.is_empty() {
        return Ok(None);
    }
    let days = text.parse().ok().filter(|it| (1..=MOST_DAYS).contains(it));
    days.map(|it| Some(Duration::days(it)))
        .ok_or(Rule::other("must be a whole number of days, 1 to 36500"))
}

fn texts(abilities: &Abilities) -> BTreeSet<String> {
    abilities.as_set().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// The description of a token, if its metadata has one.
pub(super) fn description(record: &TokenRecord) -> Option<String> {
    match record.metadata()?.get(DESCRIPTION)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}
