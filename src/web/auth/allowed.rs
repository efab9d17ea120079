use std::{fmt, marker::PhantomData, ops::Deref};

use crate::{token::AbilityMarker, verify::VerifiedToken, web::Problem};

use super::{Caller, context::AuthContext, request_info::RequestInfo};

/// What a handler can ask for, on every framework: [`Allowed`], [`AllowedAny`], [`AllowedAll`], [`MaybeAllowed`] and
/// [`Authenticated`], and for tokens only [`TokenAllowed`] and [`TokenAuthenticated`].
pub trait HandlerArgument: Sized {
    #[doc(hidden)]
    fn from_auth(auth: &AuthContext, request: &impl RequestInfo) -> Result<Self, Problem>;
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
}

impl Required {
    const fn of<A: AbilityMarker>() -> Self {
        Self { name: A::NAME, enforced: A::ENFORCED }
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.enforced { Ok(()) } else { f.write_str(" (report only)") }
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
    fn check<P: Proven>(self, required: &[Required], auth: &AuthContext) -> Result<P, Problem> {
        let proven = P::of(auth)?;
        let caller = auth.required_caller()?;
        let held = |it: &Required| caller.can(it.name);
        let (passes, enforced) = match self {
            Self::All => {
                (required.iter().all(held), required.iter().any(|it| it.enforced && !held(it)))
            }
            Self::Any => (required.iter().any(held), required.iter().any(|it| it.enforced)),
        };
        if !passes {
            let names: Vec<_> = required.iter().map(|it| it.name).collect();
            auth.lacking(caller, &names, enforced)?;
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
        pub struct $name<$set> {
            proven: $proven,
            abilities: PhantomData<fn() -> $set>,
        }

        impl<$set> Deref for $name<$set> {
            type Target = $proven;

            fn deref(&self) -> &$proven {
                &self.proven
            }
        }

        impl<$set> Clone for $name<$set> {
            fn clone(&self) -> Self {
                Self { proven: self.proven.clone(), abilities: PhantomData }
            }
        }

        impl<$set> fmt::Debug for $name<$set> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.proven).finish()
            }
        }

        impl<$set: AbilitySet> HandlerArgument for $name<$set> {
            fn from_auth(auth: &AuthContext, request: &impl RequestInfo) -> Result<Self, Problem> {
                let (need, required) = (Need::$need, $set::REQUIRED);
                auth.asked(request, || need.describe(required));
                let proven = need.check(required, auth)?;
                Ok(Self { proven, abilities: PhantomData })
            }
        }
    )+};
}

proofs! {
    /// A handler argument: a caller that may do `A`. Every other is answered with 403.
    Allowed<A> of Caller needs All;
    /// A handler argument: a caller that may do at least one of a tuple, such as `AllowedAny<(SitesRead, ServersRead)>`.
    /// Every other is answered with 403, which names them all.
    AllowedAny<T> of Caller needs Any;
    /// A handler argument: a caller that may do everything in a tuple. Every other is answered with 403, which names it
    /// all.
    AllowedAll<T> of Caller needs All;
    /// A handler argument: a good token that may do `A`. A session is answered with 401, as a request without
    /// credentials is; a token that may not with 403.
    TokenAllowed<A> of VerifiedToken needs All;
}

/// A handler argument for a route on which no token is fine too, behind a layer that
/// [identifies](super::Authenticator::identify): nobody in particular, or a caller that may do `A`. A caller that may
/// not is answered with 403; a bad token has been refused before.
///
/// It is a type of its own because actix turns every refusal of an `Option` into `None`.
pub struct MaybeAllowed<A>(Option<Allowed<A>>);

impl<A> Clone for MaybeAllowed<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> fmt::Debug for MaybeAllowed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MaybeAllowed").field(&self.0).finish()
    }
}

impl<A> MaybeAllowed<A> {
    /// The caller, if there is one.
    #[must_use]
    pub fn into_inner(self) -> Option<Allowed<A>> {
        self.0
    }
}

impl<A> Deref for MaybeAllowed<A> {
    type Target = Option<Allowed<A>>;

    fn deref(&self) -> &Option<Allowed<A>> {
        &self.0
    }
}

impl<A: AbilitySet> HandlerArgument for MaybeAllowed<A> {
    fn from_auth(auth: &AuthContext, request: &impl RequestInfo) -> Result<Self, Problem> {
        auth.asked(request, || format!("nothing, or {}", Need::All.describe(A::REQUIRED)));
        if auth.caller.is_none() {
            return Ok(Self(None));
        }
        let proven = Need::All.check(A::REQUIRED, auth)?;
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
            fn from_auth(auth: &AuthContext, request: &impl RequestInfo) -> Result<Self, Problem> {
                auth.asked(request, || "any ability".to_owned());
                <$proven>::of(auth).cloned().map(Self)
            }
        }
    )+};
}

any_ability! {
    /// A handler argument: a caller with any ability.
    Authenticated of Caller;
    /// A handler argument: a good token with any ability. A session is answered with 401, as a request without
    /// credentials is.
    TokenAuthenticated of VerifiedToken;
}
