use std::{fmt, marker::PhantomData, ops::Deref};

use crate::{
    token::{AbilityMarker, AbilityTemplate, Filled},
    verify::VerifiedToken,
    web::Problem,
};

use super::{
    Caller,
    context::AuthContext,
    guard::{ability_of, asked},
    request_info::RequestInfo,
};

/// A proof that a handler can ask for, on every framework: [`Allowed`], [`AllowedAny`], [`AllowedAll`],
/// [`MaybeAllowed`] and [`Authenticated`], and for tokens only [`TokenAllowed`] and [`TokenAuthenticated`].
pub trait HandlerArgument: Sized {
    #[doc(hidden)]
    const REQUIRED: &'static [Required];

    #[doc(hidden)]
    fn from_auth(
        auth: &AuthContext,
        request: &impl RequestInfo,
        path: PathAbilities,
    ) -> Result<Self, Problem>;
}

/// The abilities that are built from the path of a request, in the order in which they are required.
#[doc(hidden)]
#[derive(Debug)]
pub struct PathAbilities(Vec<Filled>);

impl PathAbilities {
    /// Builds those that a handler argument requires, with the parameters of the route.
    #[inline]
    pub(crate) fn of<T: HandlerArgument>(mut value_of: impl FnMut(&str) -> Option<String>) -> Self {
        let templates = T::REQUIRED.iter().filter(|it| it.has_parameters);
        Self(templates.map(|it| AbilityTemplate::new(it.name).fill(&mut value_of)).collect())
    }
}

/// One ability, or a tuple of up to eight.
pub trait AbilitySet: Send + Sync + 'static {
    #[doc(hidden)]
    const REQUIRED: &'static [Required];
}

/// An ability, and whether a token without it is refused.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Required {
    name: &'static str,
    enforced: bool,
    has_parameters: bool,
}

impl Required {
    const fn of<A: AbilityMarker>() -> Self {
        let has_parameters = AbilityTemplate::new(A::NAME).has_parameters();
        Self { name: A::NAME, enforced: A::ENFORCED, has_parameters }
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&asked(self.name, self.enforced))
    }
}

macro_rules! ability_sets {
    ($($marker:ident)+) => {
        impl<$($marker: AbilityMarker),+> AbilitySet for ($($marker,)+) {
            const REQUIRED: &'static [Required] = &[$(Required::of::<$marker>()),+];
        }
    };
}

ability_sets!(A B);
ability_sets!(A B C);
ability_sets!(A B C D);
ability_sets!(A B C D E);
ability_sets!(A B C D E F);
ability_sets!(A B C D E F G);
ability_sets!(A B C D E F G H);

impl<A: AbilityMarker> AbilitySet for A {
    const REQUIRED: &'static [Required] = &[Required::of::<A>()];
}

/// What a proof holds: any caller, or a token only.
trait Proven: Clone {
    fn of(auth: &AuthContext) -> Result<&Self, Problem>;
}

impl Proven for Caller {
    fn of(auth: &AuthContext) -> Result<&Self, Problem> {
        auth.required_caller()
    }
}

impl Proven for VerifiedToken {
    fn of(auth: &AuthContext) -> Result<&Self, Problem> {
        auth.required_token()
    }
}

/// How many of the required abilities a caller must hold.
#[derive(Clone, Copy)]
enum Need {
    All,
    Any,
}

impl Need {
    fn check<P: Proven>(
        self,
        required: &[Required],
        auth: &AuthContext,
        request: &impl RequestInfo,
        path: PathAbilities,
    ) -> Result<P, Problem> {
        let proven = P::of(auth)?;
        let caller = auth.required_caller()?;
        let mut path = path.0.into_iter();
        let (mut held, mut refused, mut nowhere) = (0, 0, false);
        for it in required {
            let holds = match it.has_parameters.then(|| path.next()).flatten() {
                None => caller.can(it.name),
                Some(filled) => {
                    let ability = ability_of(filled, request)?;
                    nowhere |= it.enforced && ability.is_none();
                    ability.is_some_and(|it| caller.can(&it))
                }
            };
            match self {
                Self::Any if holds => return Ok(proven.clone()),
                _ => held += usize::from(holds),
            }
            refused += usize::from(it.enforced && !holds);
        }
        if held < required.len() {
            if nowhere {
                return Err(auth.authenticator.not_found(auth.quota()));
            }
            let names: Vec<_> = required.iter().map(|it| it.name).collect();
            auth.lacking(caller, &names, refused > 0)?;
        }
        Ok(proven.clone())
    }

    fn describe(self, required: &[Required]) -> String {
        let names: Vec<_> = required.iter().map(ToString::to_string).collect();
        names.join(match self {
            Self::All => " and ",
            Self::Any => " or ",
        })
    }
}

macro_rules! proofs {
    ($($(#[$meta:meta])* $name:ident<$set:ident> of $proven:ident needs $need:ident;)+) => {$(
        $(#[$meta])*
        pub struct $name<$set: AbilitySet> {
            proven: $proven,
            abilities: PhantomData<fn() -> $set>,
        }

        impl<$set: AbilitySet> Deref for $name<$set> {
            type Target = $proven;

            fn deref(&self) -> &$proven {
                &self.proven
            }
        }

        impl<$set: AbilitySet> Clone for $name<$set> {
            fn clone(&self) -> Self {
                Self { proven: self.proven.clone(), abilities: PhantomData }
            }
        }

        impl<$set: AbilitySet> fmt::Debug for $name<$set> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.proven).finish()
            }
        }

        impl<$set: AbilitySet> HandlerArgument for $name<$set> {
            const REQUIRED: &'static [Required] = $set::REQUIRED;

            fn from_auth(
                auth: &AuthContext,
                request: &impl RequestInfo,
                path: PathAbilities,
            ) -> Result<Self, Problem> {
                let need = Need::$need;
                auth.asked(request, || need.describe(Self::REQUIRED));
                let proven = need.check(Self::REQUIRED, auth, request, path)?;
                Ok(Self { proven, abilities: PhantomData })
            }
        }
    )+};
}

proofs! {
    /// A handler argument: a caller that has the ability `A`. Every other is answered with 403.
    ///
    /// If `A` is [declared](crate::abilities) with parameters, they are those of the route. If a value is not one segment
    /// of an ability, the answer is 404. If the route has no such parameter, it is 500, and the log names the route.
    Allowed<A> of Caller needs All;
    /// A handler argument: a caller that may do at least one of a tuple, such as `AllowedAny<(SitesRead, ServersRead)>`.
    /// Every other is answered with 403, which names them all.
    AllowedAny<T> of Caller needs Any;
    /// A handler argument: a caller that may do everything in a tuple. Every other is answered with 403, which names it
    /// all.
    AllowedAll<T> of Caller needs All;
    /// A handler argument: a valid token that has the ability `A`. A token without it is answered with 403. A session is
    /// answered with 401.
    TokenAllowed<A> of VerifiedToken needs All;
}

/// A handler argument for a route that also accepts requests without credentials, behind a layer that
/// [identifies](super::Authenticator::identify). It holds the caller, or `None`. A caller without `A` is answered with 403.
/// The layer has already refused a token that is not valid.
///
/// It is a type of its own because actix turns every refusal of an `Option` into `None`. On axum, `Option<Allowed<A>>` is
/// no handler argument.
pub struct MaybeAllowed<A: AbilitySet>(Option<Allowed<A>>);

impl<A: AbilitySet> Clone for MaybeAllowed<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: AbilitySet> fmt::Debug for MaybeAllowed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MaybeAllowed").field(&self.0).finish()
    }
}

impl<A: AbilitySet> MaybeAllowed<A> {
    /// The caller, if there is one.
    #[must_use]
    pub fn into_inner(self) -> Option<Allowed<A>> {
        self.0
    }
}

impl<A: AbilitySet> Deref for MaybeAllowed<A> {
    type Target = Option<Allowed<A>>;

    fn deref(&self) -> &Option<Allowed<A>> {
        &self.0
    }
}

impl<A: AbilitySet> HandlerArgument for MaybeAllowed<A> {
    const REQUIRED: &'static [Required] = A::REQUIRED;

    fn from_auth(
        auth: &AuthContext,
        request: &impl RequestInfo,
        path: PathAbilities,
    ) -> Result<Self, Problem> {
        auth.asked(request, || format!("nothing, or {}", Need::All.describe(A::REQUIRED)));
        if auth.caller.is_none() {
            return Ok(Self(None));
        }
        let proven = Need::All.check(A::REQUIRED, auth, request, path)?;
        Ok(Self(Some(Allowed { proven, abilities: PhantomData })))
    }
}

macro_rules! any_ability {
    ($($(#[$meta:meta])* $name:ident of $proven:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name($proven);

        impl Deref for $name {
            type Target = $proven;

            fn deref(&self) -> &$proven {
                &self.0
            }
        }

        impl HandlerArgument for $name {
            const REQUIRED: &'static [Required] = &[];

            fn from_auth(
                auth: &AuthContext,
                request: &impl RequestInfo,
                _: PathAbilities,
            ) -> Result<Self, Problem> {
                auth.asked(request, || "any ability".to_owned());
                <$proven>::of(auth).cloned().map(Self)
            }
        }
    )+};
}

any_ability! {
    /// A handler argument: a caller with any ability.
    Authenticated of Caller;
    /// A handler argument: a valid token with any ability. A session is answered with 401.
    TokenAuthenticated of VerifiedToken;
}
