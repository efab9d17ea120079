//! The abilities of a form: in groups, with what the application says about them.

use std::collections::BTreeSet;

use crate::{
    api_tokens::ApiTokens,
    token::{Abilities, Ability, AbilityTemplate},
};

use super::{super::tokens::may_be_granted, options::PageOptions, texts::Texts, visitor::Choice};

/// The abilities of a token, as they are shown.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub(super) is_everything: bool,
    pub(super) shown: Vec<Held>,
    pub(super) more: Vec<Held>,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) name: String,
    /// The application no longer declares it.
    pub(super) is_gone: bool,
}

impl Access {
    /// Shows at most so many abilities at once.
    pub(super) fn of(abilities: &Abilities, tokens: &ApiTokens, at_once: usize) -> Self {
        let Some(set) = abilities.as_set() else {
            return Self { is_everything: true, ..Self::default() };
        };
        let held = |it: &Ability| Held {
            name: it.to_string(),
            is_gone: !tokens.policy().declares(|declared| declared.is_within(it)),
        };
        let mut shown: Vec<_> = set.iter().map(held).collect();
        let more = shown.split_off(at_once.min(shown.len()));
        Self { is_everything: false, shown, more }
    }
}

/// Abilities with the same first segment.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: String,
    segment: String,
    pub(super) choices: Vec<Offered>,
    pub(super) wildcard: Option<Offered>,
}

/// An ability to choose.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) ability: String,
    pub(super) description: Option<String>,
    pub(super) is_checked: bool,
    pub(super) is_gone: bool,
}

/// A list of more choices has a field that filters it.
const MANY: usize = 20;

impl Group {
    pub(super) fn needs_search(&self) -> bool {
        self.choices.len() > MANY
    }
}

/// The abilities that a person can choose.
pub(super) struct Offer<'o> {
    pub(super) tokens: &'o ApiTokens,
    pub(super) options: &'o PageOptions,
    pub(super) t: &'o Texts,
    pub(super) choices: &'o [Choice],
    pub(super) grantable: &'o [Abilities],
}

impl Offer<'_> {
    /// Returns `true` if the application neither declares abilities nor gives choices: then they are typed.
    pub(super) fn is_free_text(&self) -> bool {
        self.tokens.policy().declared.is_none() && self.choices.is_empty()
    }

    /// Returns `true` if all abilities can be granted.
    pub(super) fn is_everything_allowed(&self) -> bool {
        self.grantable.iter().all(Abilities::is_all) && self.tokens.policy().allows_all_abilities()
    }

    /// Returns `true` if the application no longer declares an ability.
    pub(super) fn is_gone(&self, ability: &Ability) -> bool {
        !self.tokens.policy().declares(|it| it.is_within(ability))
    }

    fn covers(&self, ability: &str) -> bool {
        let set = Abilities::set([ability]);
        set.is_ok_and(|set| self.grantable.iter().all(|it| it.cover(&set)))
    }

    /// The groups, with those ticked that are chosen. What a token holds already can be kept, unless it is gone.
    pub(super) fn groups(&self, chosen: &BTreeSet<String>, held: Option<&Abilities>) -> Vec<Group> {
        if self.is_free_text() {
            return Vec::new();
        }
        let mut groups = Groups { offer: self, chosen, all: Vec::new() };
        let declared = self.tokens.policy().declared.unwrap_or_default();
        for ability in declared {
            let is_template = AbilityTemplate::new(ability.name).has_parameters();
            if !is_template && self.grantable.iter().all(|it| may_be_granted(ability, it)) {
                let text = self.options.description_of(&self.t.language, ability.name);
                let text = text.unwrap_or(ability.description.into()).into_owned();
                groups.add(ability.name, Some(text), false);
            }
        }
        for Choice { ability, label } in self.choices {
            if self.covers(ability) {
                groups.add(ability, Some(label.clone()), false);
            }
        }
        let held = held.and_then(Abilities::as_set).unwrap_or_default();
        for ability in held {
            groups.add(ability.as_str(), None, self.is_gone(ability));
        }
        // Those without a group come last.
        groups.all.sort_by_key(|it| it.segment.is_empty());
        groups.all
    }

    /// The branch of all abilities of a group. Choices are those of one owner: a branch of them would reach further.
    fn wildcard(&self, segment: &str, chosen: &BTreeSet<String>) -> Option<Offered> {
        let ability = format!("{segment}:*");
        let is_in = |name: &str| name.split_once(':').is_some_and(|(first, _)| first == segment);
        let declared = self.tokens.policy().declared.unwrap_or_default();
        let mut group = declared.iter().filter(|it| is_in(it.name)).peekable();
        let is_declared = group.peek().is_some();
        let is_whole = group.all(|it| !AbilityTemplate::new(it.name).has_parameters());
        (is_declared && is_whole && self.covers(&ability)).then(|| Offered {
            is_checked: chosen.contains(&ability),
            ability,
            description: None,
            is_gone: false,
        })
    }
}

struct Groups<'g> {
    offer: &'g Offer<'g>,
    chosen: &'g BTreeSet<String>,
    all: Vec<Group>,
}

impl Groups<'_> {
    fn add(&mut self, ability: &str, description: Option<String>, is_gone: bool) {
        let segment = ability.split_once(':').map_or("", |(segment, _)| segment);
        let place = self.all.iter().position(|it| it.segment == segment);
        let place = place.unwrap_or_else(|| {
            self.all.push(self.group(segment));
            self.all.len() - 1
        });
        let group = &mut self.all[place];
        let is_there = |it: &Offered| it.ability == ability;
        if group.choices.iter().chain(&group.wildcard).any(is_there) {
            return;
        }
        group.choices.push(Offered {
            ability: ability.to_owned(),
            description,
            is_checked: self.chosen.contains(ability),
            is_gone,
        });
    }

    fn group(&self, segment: &str) -> Group {
        let Offer { options, t, .. } = self.offer;
        let title = match segment {
            "" => t.other_abilities.to_string(),
            segment => match options.description_of(&t.language, segment) {
                Some(title) => title.into_owned(),
                None => segment.to_owned(),
            },
        };
        let wildcard =
            (!segment.is_empty()).then(|| self.offer.wildcard(segment, self.chosen)).flatten();
        Group { title, segment: segment.to_owned(), choices: Vec::new(), wildcard }
    }
}
