/// One of the abilities that an application has declared, with what its users are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredAbility {
    /// The ability, such as `servers:read`.
    pub name: &'static str,
    /// What it lets a token do, for people.
    pub description: &'static str,
}

/// A type that stands for one ability, so that a handler's signature can ask for it.
///
/// [`abilities!`](crate::abilities) makes them.
pub trait AbilityMarker: Send + Sync + 'static {
    /// The ability, such as `servers:read`.
    const NAME: &'static str;

    /// Whether a token without it is refused. See [`ReportOnly`].
    const ENFORCED: bool = true;
}

/// An ability that is required in report-only mode: a token without it passes, and an
/// [event](crate::Event::AbilityMissing) tells who would have been refused. So a new ability can be required on a route
/// that is in use: report first, enforce when nobody is reported any more.
///
/// ```
/// use keyfob::token::{AbilityMarker, ReportOnly};
///
/// keyfob::abilities! {
///     pub enum PanelAbility {
///         ServersDelete = "servers:delete", "Delete servers";
///     }
/// }
///
/// // A handler argument would be `Allowed<ReportOnly<ServersDelete>>`.
/// assert_eq!(<ReportOnly<ServersDelete> as AbilityMarker>::NAME, "servers:delete");
/// assert!(!<ReportOnly<ServersDelete> as AbilityMarker>::ENFORCED);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ReportOnly<A>(std::marker::PhantomData<A>);

impl<A: AbilityMarker> AbilityMarker for ReportOnly<A> {
    const NAME: &'static str = A::NAME;
    const ENFORCED: bool = false;
}

/// Declares an application's abilities once: an enum, their texts and descriptions, and a marker type for each.
///
/// `ALL` goes to [`ApiTokensBuilder::declare`](crate::ApiTokensBuilder::declare), after which no token is issued with
/// an ability that does not exist; the marker types go into handlers. A text that is no ability does not compile.
///
/// ```
/// keyfob::abilities! {
///     /// What a token may do in this panel.
///     pub enum PanelAbility {
///         ServersRead = "servers:read", "List and show servers";
///         ServersCreate = "servers:create", "Create servers";
///     }
/// }
///
/// use keyfob::token::AbilityMarker;
///
/// assert_eq!(PanelAbility::ServersRead.as_str(), "servers:read");
/// assert_eq!(PanelAbility::ALL[1].description, "Create servers");
/// assert_eq!(<ServersRead as AbilityMarker>::NAME, "servers:read");
/// ```
#[macro_export]
macro_rules! abilities {
    ($(#[$meta:meta])* $vis:vis enum $enum:ident {
        $($variant:ident = $name:literal, $description:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $enum {
            $(
                #[doc = concat!("`", $name, "`: ", $description)]
                $variant,
            )+
        }

        impl $enum {
            /// Every ability, in the order of declaration.
            $vis const ALL: &'static [$crate::token::DeclaredAbility] = &[
                $($crate::token::DeclaredAbility { name: $name, description: $description },)+
            ];

            /// The ability as text.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                Self::ALL[self as usize].name
            }

            /// What the ability lets a token do, for people.
            #[must_use]
            $vis const fn description(self) -> &'static str {
                Self::ALL[self as usize].description
            }
        }

        impl ::core::convert::AsRef<str> for $enum {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        $(
            const _: () = ::core::assert!(
                $crate::token::is_ability($name),
                concat!($name, " is not an ability"),
            );

            #[doc = concat!("Stands for `", $name, "`: ", $description)]
            #[derive(Clone, Copy, Debug)]
            $vis struct $variant;

            impl $crate::token::AbilityMarker for $variant {
                const NAME: &'static str = $name;
            }
        )+
    };
}
