use crate::token::{Abilities, Actor, Owner};

/// The account of a session: the owner it acts for, the actor, and the abilities it may use.
///
/// An application makes one from its own login, for [`or_session`](super#session-or-token) and for the routes that manage
/// tokens. Never take the owner from the request itself: take it from what the login has proven.
///
/// ```
/// use keyfob::{Abilities, Owner, token::Actor, web::auth::Account};
///
/// // A person with all abilities, who acts for themselves.
/// let ada = Account::new(Owner::new("user:42")?);
/// assert_eq!(ada.actor().as_str(), "user:42");
/// assert!(ada.can("servers:delete"));
///
/// // A member of a project whose session has one ability, and who may see tokens and not manage them.
/// let member = Account::new(Owner::new("project:7")?)
///     .by(Actor::new("user:42")?)
///     .restricted_to(Abilities::set(["servers:read"])?)
///     .may_create(false)
///     .may_change(false);
/// assert!(!member.can("servers:delete"));
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    owner: Owner,
    actor: Actor,
    abilities: Abilities,
    steps: Steps,
}

/// The steps that the person may take with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    create: bool,
    change: bool,
}

impl Account {
    /// Returns the account of an owner who acts for themselves, with all abilities.
    #[must_use]
    pub fn new(owner: impl Into<Owner>) -> Self {
        let owner = owner.into();
        let steps = Steps { create: true, change: true };
        Self { actor: Actor::from(&owner), owner, abilities: Abilities::all(), steps }
    }

    /// Sets the actor. Default: an actor with the text of the owner.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// Restricts the session to abilities. With the mounted routes it also grants no others. A session without any ability is
    /// refused with 403, as such a token is. Default: all abilities.
    #[must_use]
    pub fn restricted_to(self, abilities: Abilities) -> Self {
        Self { abilities, ..self }
    }

    /// Sets whether the person may create tokens with the mounted routes. Default: `true`.
    #[must_use]
    pub fn may_create(mut self, allowed: bool) -> Self {
        self.steps.create = allowed;
        self
    }

    /// Sets whether the person may change, rotate, suspend, resume and revoke tokens with the mounted routes. Default:
    /// `true`.
    #[must_use]
    pub fn may_change(mut self, allowed: bool) -> Self {
        self.steps.change = allowed;
        self
    }

    /// Returns `true` if the person may create tokens.
    #[must_use]
    pub fn creates(&self) -> bool {
        self.steps.create
    }

    /// Returns `true` if the person may change tokens.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.steps.change
    }

    /// The owner on whose behalf the session acts.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The actor, as a rule the person who is logged in.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The abilities of the session.
    #[must_use]
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Returns `true` if the session has an ability. Pass one ability, never a pattern.
    #[must_use]
    pub fn can(&self, ability: &str) -> bool {
        self.abilities.permit(ability)
    }
}
