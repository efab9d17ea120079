/// One of the abilities that an application has declared, with what its users are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredAbility {
    /// The ability, such as `servers:read`, or a template such as `projects:{project}:write`.
    pub name: &'static str,
    /// What it lets a token do, for people.
    pub description: &'static str,
}

/// A type that stands for one ability, so that a handler's signature can ask for it.
///
/// [`abilities!`](crate::abilities) makes them. The enum itself stands for none, so this does not compile:
///
/// ```compile_fail,E0277
/// keyfob::abilities! {
///     pub enum PanelAbility {
///         ServersRead = "servers:read", "List and show servers";
///     }
/// }
///
/// fn list_servers(_: keyfob::web::Allowed<PanelAbility>) {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the marker type of an ability",
    label = "not a marker type that `abilities!` has made",
    note = "`abilities!` makes a marker type for each ability: write `Allowed<ServersRead>`, and neither the name of the enum nor `Ability`"
)]
pub trait AbilityMarker: Send + Sync + 'static {
    /// The ability, such as `servers:read`, or a template such as `projects:{project}:write`, whose parameters are those
    /// of the route.
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
///
/// An ability of one resource has a parameter of the route in place of a segment. Tokens are issued with
/// `projects:7:write`, `projects:7:*` or `projects:*`, and `Allowed<ProjectWrite>` in a handler of
/// `/projects/{project}/builds` asks for the ability of the project in the path:
///
/// ```
/// # futures_executor::block_on(async {
/// use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
///
/// keyfob::abilities! {
///     pub enum CiAbility {
///         ProjectWrite = "projects:{project}:write", "Change a project";
///     }
/// }
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").declare(CiAbility::ALL).build()?;
/// let new = |ability| NewToken::new(Owner::new("user:42").unwrap(), "ci").abilities([ability]);
/// assert!(tokens.issue(new("projects:7:write")).await.is_ok());
/// assert!(tokens.issue(new("projects:7:wrte")).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
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
                $crate::token::is_ability_template($name),
                "{}",
                ::core::concat!($name, " is not an ability"),
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
