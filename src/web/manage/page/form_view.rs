//! A form as a template shows it.

use time::Duration;

use crate::{
    api_tokens::policy::Instants,
    token::{InvalidFields, Rule, Timestamp},
};

use super::{
    choices::{Group, Offer},
    draft::{Before, Draft, KEEP, USUAL},
    markup::{Markup, Time},
};

/// A form with its fields as they were typed, and what is wrong with them.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is shown in another place")]
pub(super) struct FormView {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) expires: String,
    pub(super) date: String,
    pub(super) begins: String,
    pub(super) addresses: String,
    pub(super) idle_days: String,
    pub(super) is_everything: bool,
    pub(super) offers_everything: bool,
    pub(super) is_free_text: bool,
    pub(super) groups: Vec<Group>,
    pub(super) presets: Vec<PresetView>,
    pub(super) expiries: Vec<ExpiryOption>,
    pub(super) longest_days: Option<u64>,
    pub(super) name_rule: NameRule,
    pub(super) focuses_name: bool,
    pub(super) problems: Vec<FieldProblem>,
    /// HTML: what is wrong with the whole.
    pub(super) alert: Option<Markup>,
    /// The idempotency key of a new token.
    pub(super) key: String,
    pub(super) is_another: bool,
    pub(super) abilities: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct NameRule {
    pub(super) longest: u32,
    pub(super) pattern: Option<&'static str>,
    pub(super) is_unique: bool,
}

#[derive(Debug)]
pub(super) struct PresetView {
    pub(super) label: String,
    pub(super) href: String,
    /// For the script, with spaces between.
    pub(super) abilities: String,
}

#[derive(Debug)]
pub(super) struct ExpiryOption {
    pub(super) value: String,
    pub(super) label: String,
    /// The instant, for the script.
    pub(super) at: Option<String>,
}

/// A message about a field.
#[derive(Debug)]
pub(super) struct FieldProblem {
    /// The name of the field in the form.
    pub(super) field: &'static str,
    pub(super) label: String,
    pub(super) text: String,
}

const LIFETIMES: [i64; 5] = [7, 30, 60, 90, 365];

impl FormView {
    /// The form of a draft, for a new token or for one that is to be changed.
    pub(super) fn new(
        draft: &Draft,
        offer: &Offer<'_>,
        before: Option<&Before<'_>>,
        now: Timestamp,
    ) -> Self {
        let (policy, format, t) = (offer.tokens.policy(), offer.tokens.format(), offer.t);
        // A token that was pasted into the wrong field is not shown again.
        let clean = |text: &str| format.without_tokens(text).into_owned();
        // A token can keep a name from before there was a rule.
        let is_strict = policy.names.is_strict()
            && before.is_none_or(|it| policy.names.check(&it.record.name).is_ok());
        let pattern = is_strict.then_some("[A-Za-z0-9_\\-]{1,50}");
        let mut view = Self {
            name: clean(&draft.name),
            description: clean(&draft.description),
            expires: draft.expires.clone(),
            date: clean(&draft.date),
            begins: clean(&draft.begins),
            addresses: clean(&draft.addresses),
            idle_days: clean(&draft.idle_days),
            is_everything: draft.is_everything,
            offers_everything: offer.is_everything_allowed() || draft.is_everything,
            is_free_text: offer.is_free_text(),
            groups: offer.groups(&draft.abilities, before.map(|it| &it.record.abilities)),
            name_rule: NameRule {
                longest: if pattern.is_some() { 50 } else { 100 },
                pattern,
                is_unique: policy.unique_names,
            },
            longest_days: policy.max_lifetime.and_then(|it| u64::try_from(it.whole_days()).ok()),
            abilities: draft.abilities.iter().map(|it| clean(it)).collect(),
            ..Self::default()
        };
        let mut expiries = Vec::new();
        let mut add = |value: &str, label: String, at: Option<Timestamp>| {
            let at = at.map(|it| it.to_string());
            expiries.push(ExpiryOption { value: value.to_owned(), label, at });
        };
        if policy.lets_client_name_expiry() {
            let usual = policy.usual_lifetime();
            match before.map(|it| it.record.expires_at) {
                Some(Some(at)) => add(KEEP, t.keep_until.at(at).plain(), Some(at)),
                Some(None) => add(KEEP, t.keep_never.to_string(), None),
                None => {}
            }
            let whole = |it: Duration| Duration::days(it.whole_days()) == it && it.is_positive();
            let mut days: Vec<_> = LIFETIMES.into_iter().collect();
            days.extend(usual.filter(|it| whole(*it)).map(Duration::whole_days));
            days.extend(draft.expires.parse::<i64>().ok());
            days.sort_unstable();
            days.dedup();
            for days in days {
                let lifetime = Duration::days(days.clamp(0, 40_000));
                let issued = before.map_or(now, |it| Instants::of(it.record, now).issued);
                if let Ok(at) = now.checked_add(lifetime)
                    && days > 0
                    && policy.allows_lifetime(Some(at.since(issued)))
                {
                    add(&days.to_string(), t.days.n(days).plain(), Some(at));
                }
            }
            if let Some(at) = usual.filter(|it| !whole(*it)).and_then(|it| now.checked_add(it).ok())
                && before.is_none()
            {
                add(USUAL, Time(at).text(), Some(at));
            }
            add("date", t.on_a_date.to_string(), None);
            if policy.allows_lifetime(None) {
                add("never", t.never.to_string(), None);
            }
        }
        if !expiries.iter().any(|it| it.value == view.expires) {
            view.expires = match before {
                Some(_) => KEEP.to_owned(),
                None => Self::usual_expiry(offer),
            };
        }
        view.expiries = expiries;
        view
    }

    /// The expiry that a new token has unless the person chooses another.
    pub(super) fn usual_expiry(offer: &Offer<'_>) -> String {
        let policy = offer.tokens.policy();
        let days = match policy.usual_lifetime() {
            Some(usual) if Duration::days(usual.whole_days()) != usual => return USUAL.to_owned(),
            Some(usual) => usual.whole_days(),
            None => 90,
        };
        days.to_string()
    }

    pub(super) fn abilities_as_lines(&self) -> String {
        self.abilities.join("\n")
    }

    pub(super) fn has_limits(&self) -> bool {
        let texts = [&self.addresses, &self.idle_days, &self.begins];
        texts.into_iter().any(|it| !it.is_empty())
    }

    pub(super) fn problems_of(&self, field: &str) -> Vec<&str> {
        let problems = self.problems.iter().filter(|it| it.field == field);
        problems.map(|it| it.text.as_str()).collect()
    }

    pub(super) fn is_wrong(&self, field: &str) -> bool {
        self.problems.iter().any(|it| it.field == field)
    }

    pub(super) fn refuse(&mut self, field: &'static str, offer: &Offer<'_>, text: &str) {
        let t = offer.t;
        let label = match field {
            "name" => &t.name,
            "description" => &t.description,
            "expires" => &t.expires,
            "access" => &t.access,
            "addresses" => &t.addresses,
            "idle_days" => &t.idle_days,
            "begins" => &t.begins,
            "until" => &t.until_date,
            _ => &t.reason,
        };
        let mut letters = text.chars();
        let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
        let text = format!("{first}{}.", letters.as_str());
        self.problems.push(FieldProblem { field, label: label.to_string(), text });
    }

    pub(super) fn refuse_all(&mut self, invalid: &InvalidFields, offer: &Offer<'_>) {
        for error in &invalid.errors {
            let field = match error.name {
                "name" => "name",
                "metadata" => "description",
                "expires_at" => "expires",
                "allowed_addresses" => "addresses",
                "idle_seconds" => "idle_days",
                "not_before" => "begins",
                "until" => "until",
                "reason" => "reason",
                _ => "access",
            };
            let text = match &error.rule {
                // 86,400 seconds say less than a day.
                Rule::LifetimeTooLong { max } if max.whole_days() > 0 => offer
                    .t
                    .at_most_days
                    .n(max.whole_days())
                    .plain()
                    .trim_end_matches('.')
                    .to_owned(),
                rule => (offer.t.rule)(rule),
            };
            self.refuse(field, offer, &text);
        }
    }

    /// Puts the problems into the order of the fields.
    pub(super) fn sort_problems(&mut self) {
        let fields = ["name", "description", "expires", "access", "addresses", "idle_days"];
        let place = |it: &FieldProblem| fields.iter().position(|field| *field == it.field);
        self.problems.sort_by_key(|it| place(it).unwrap_or(fields.len()));
    }
}
