//! A new token.

use std::collections::BTreeSet;

use crate::{
    api_tokens::policy::{Instants, Party},
    issue::{IssueError, NewToken},
    store::StoreError,
    token::{
        Fields, IdempotencyKey, IssuedToken, RequestedAbilities, Rule, TokenId, TokenSettings,
    },
    web::Problem,
};

use super::{
    choices::Access,
    document::Document,
    draft::{Before, Draft},
    form::Form,
    form_view::{FormView, PresetView},
    markup::{AsMarkup, Chosen, Markup, Time},
    usage,
    view::{Create, Issued},
    work::{Replied, Work},
};

/// The abilities that are shown of a token alone.
const ABILITIES: usize = 10;
/// The longest name of a form.
const LONGEST_KEY: usize = 64;

/// A form for a new token, beside its fields.
struct NewForm {
    key: String,
    is_another: bool,
}

/// The abilities that a form offers; `None`: whatever is typed.
struct OfferedSet(Option<BTreeSet<String>>);

impl OfferedSet {
    fn has(&self, ability: &str) -> bool {
        self.0.as_ref().is_none_or(|it| it.contains(ability))
    }
}

impl Work<'_> {
    pub(super) async fn ask_create(&self) -> Replied {
        let (offer, options) = (self.offer(), &self.site.options);
        let is_another = self.parameter("another").is_some();
        let from = self.parameter("from").and_then(|id| id.parse::<TokenId>().ok());
        let mut draft = match from {
            Some(id) => {
                let record = self.own.get(id).await?;
                let draft = Draft::like(&record, &offer);
                // The next one of a row has a name of its own.
                if is_another { Draft { name: String::new(), ..draft } } else { draft }
            }
            None => Draft {
                expires: FormView::usual_expiry(&offer),
                ..Draft::with(self.tokens.policy().default_abilities.as_ref())
            },
        };
        draft.is_everything &= offer.is_everything_allowed();
        let offered = self.offered(None);
        draft.abilities.retain(|it| offered.has(it));
        let preset =
            self.parameter("preset").and_then(|it| options.presets.get(it.parse::<usize>().ok()?));
        if let Some(preset) = preset {
            draft.is_everything = false;
            draft.abilities = preset.abilities.iter().cloned().collect();
        }
        let new = NewForm { key: self.new_key()?, is_another };
        self.create_form(200, &draft, &new, |_| {})
    }

    /// The name of a form, so that it is done once.
    fn new_key(&self) -> Result<String, Problem> {
        let (mut random, mut unused) = ([0; 10], zeroize::Zeroizing::new([0; 32]));
        let drawn = self.tokens.random_id_and_secret(&mut random, &mut unused);
        drawn.map_err(|_| Problem::internal())?;
        Ok(format!("form-{}", hex::encode(random)))
    }

    fn create_form(
        &self,
        status: u16,
        draft: &Draft,
        new: &NewForm,
        add: impl FnOnce(&mut FormView),
    ) -> Replied {
        let offer = self.offer();
        let mut form = self.form(draft, None);
        form.key.clone_from(&new.key);
        form.is_another = new.is_another;
        add(&mut form);
        form.focuses_name = form.problems.is_empty() && form.alert.is_none();
        let document = Create { site: self.site, form };
        Ok(Document::new(status, offer.t.new_token.to_string(), &document)?.into())
    }

    /// The form of a draft, with the presets that can be granted.
    pub(super) fn form(&self, draft: &Draft, before: Option<&Before<'_>>) -> FormView {
        let mut form = FormView::new(draft, &self.offer(), before, self.tokens.now());
        // A page that changes a token has no place for a preset without a script.
        if before.is_some() {
            return form;
        }
        let offered = self.offered(None);
        let presets = self.site.options.presets.iter().enumerate();
        form.presets = presets
            .filter(|(_, preset)| preset.abilities.iter().all(|it| offered.has(it)))
            .map(|(place, preset)| PresetView {
                label: preset.label.clone(),
                href: format!("{}/new?preset={place}", self.site.mount),
                abilities: preset.abilities.join(" "),
            })
            .collect();
        form
    }

    /// The abilities that a form offers.
    fn offered(&self, before: Option<&Before<'_>>) -> OfferedSet {
        let offer = self.offer();
        let groups = offer.groups(&BTreeSet::new(), before.map(|it| &it.record.abilities));
        let offered = groups.into_iter().flat_map(|it| it.choices.into_iter().chain(it.wildcard));
        OfferedSet((!offer.is_free_text()).then(|| offered.map(|it| it.ability).collect()))
    }

    /// Reads a form, and gathers all that is wrong with it. The name is checked where it is given.
    pub(super) fn check(
        &self,
        draft: &Draft,
        name: Option<&str>,
        before: Option<&Before<'_>>,
    ) -> (TokenSettings, FormView) {
        let (offer, policy, format) = (self.offer(), self.tokens.policy(), self.tokens.format());
        let (mut fields, mut form) = (Fields::default(), FormView::default());
        if let Some(name) = name {
            fields.check("name", policy.name(name, format));
        }
        let settings = draft.settings(before, &mut fields);
        let now = self.tokens.now();
        let instants = before.map_or(Instants::new(now), |it| Instants::of(it.record, now));
        let party = Party { owner: self.owner, actor: self.own.actor() };
        policy.check(&settings, party, instants, format, &mut fields);
        form.refuse_all(&fields.into_error(), &offer);
        if let Some(text) = self.access_problem(&settings, before)
            && !form.is_wrong("access")
        {
            form.refuse("access", &offer, &text);
        }
        form.sort_problems();
        (settings, form)
    }

    /// A form must choose something, and nothing that it did not offer.
    fn access_problem(
        &self,
        settings: &TokenSettings,
        before: Option<&Before<'_>>,
    ) -> Option<String> {
        let t = &self.site.t;
        let beyond = || (t.rule)(&Rule::BeyondAccount);
        match settings.abilities.as_ref()? {
            RequestedAbilities::All => (!self.offer().is_everything_allowed()).then(beyond),
            RequestedAbilities::Set(set) if set.is_empty() => {
                (!self.site.options.allows_no_abilities).then(|| t.choose_one.to_string())
            }
            RequestedAbilities::Set(set) => {
                let offered = self.offered(before);
                let is_strange = set.iter().any(|it| !offered.has(it));
                is_strange.then(beyond)
            }
        }
    }

    pub(super) async fn create(&self, mut sent: Form) -> Replied {
        let (offer, t, options) = (self.offer(), &self.site.t, &self.site.options);
        let key = sent.one("key").unwrap_or_default();
        let is_another = sent.flag("another");
        let draft = Draft::read(&mut sent, options);
        // The form has it again, so it must not be a token that was pasted.
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_key = key.len() <= LONGEST_KEY && key.bytes().all(is_ours);
        let idempotency_key = IdempotencyKey::new(&key).ok().filter(|_| is_key);
        let (Ok(()), Some(idempotency_key)) = (sent.finish(), idempotency_key) else {
            return self.bad_form();
        };
        let new = NewForm { key, is_another };

        let (settings, problems) = self.check(&draft, Some(&draft.name), None);
        if !problems.problems.is_empty() {
            return self.create_form(422, &draft, &new, |form| form.problems = problems.problems);
        }
        let mut token = NewToken::named(&draft.name).idempotency_key(idempotency_key);
        token.settings = settings;
        match self.own.issue(token).await {
            Ok(issued) => self.issued(t.created_heading.to_string(), &issued, is_another),
            Err(IssueError::Invalid(invalid)) => {
                self.create_form(422, &draft, &new, |form| form.refuse_all(&invalid, &offer))
            }
            Err(IssueError::NameTaken) => self.create_form(409, &draft, &new, |form| {
                form.refuse("name", &offer, &t.name_taken.to_string());
            }),
            Err(IssueError::LimitReached { limit }) => {
                let text = t.limit_is_reached.n(limit).to_string();
                self.create_form(409, &draft, &new, |form| form.alert = Some(Markup(text)))
            }
            Err(IssueError::AlreadyIssued(id)) => self.created_already(id),
            // The form has the same key: sent again, it makes no second token.
            Err(IssueError::Store(StoreError::Unavailable(_) | StoreError::Busy(_))) => {
                let text = t.not_done.as_markup();
                self.create_form(503, &draft, &new, |form| form.alert = Some(text))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn created_already(&self, id: TokenId) -> Replied {
        let t = &self.site.t;
        let steps = [(&t.rotate, "/rotate"), (&t.revoke, "/revoke")];
        let links = steps.map(|(label, step)| (label.to_string(), self.path(id, step)));
        let links = if self.site.changes { links.to_vec() } else { Vec::new() };
        let hint = self.site.changes.then(|| t.already_created_hint.as_markup());
        self.said(409, t.already_created.to_string(), hint, links)
    }

    /// The one answer with a secret.
    pub(super) fn issued(
        &self,
        heading: String,
        issued: &IssuedToken,
        is_another: bool,
    ) -> Replied {
        let (t, record, format) = (&self.site.t, &issued.record, self.tokens.format());
        let (mount, id) = (&self.site.mount, record.id);
        let done = if is_another {
            format!("{mount}/new?from={id}&another=1")
        } else {
            format!("{}?new={id}", self.site.home())
        };
        let now = self.tokens.now();
        let grace = (record.generation > 0).then(|| {
            let previous = record.previous.as_deref();
            match previous.filter(|it| it.is_good_at(now, record.first_used_at)) {
                None => t.old_ended.as_markup(),
                Some(it) if it.ends_on_first_use => t.mark_old_until_used.as_markup(),
                Some(it) => match it.ends_at {
                    Some(end) => t.mark_old_until.at(end).as_markup(),
                    None => t.mark_old_until_used.as_markup(),
                },
            }
        });
        let document = Issued {
            site: self.site,
            heading: heading.clone(),
            plain: issued.plain.expose_secret(),
            name: Chosen(record.name.as_str()),
            access: Access::of(&record.abilities, self.tokens, ABILITIES),
            expires: record.expires_at.map(Time),
            grace,
            snippets: usage::snippets(&self.site.options, format),
            variable: &usage::variable(format),
            done,
        };
        Ok(Document::with_secret(heading, &document)?.into())
    }
}
