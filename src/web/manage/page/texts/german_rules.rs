use time::Duration;

use crate::token::Rule;

/// The message for a rule in German. A rule that no form of the page can break stays English.
pub(super) fn in_german(rule: &Rule) -> String {
    match rule {
        Rule::Missing => "muss angegeben werden".into(),
        Rule::Empty => "darf nicht leer sein".into(),
        Rule::TooManyBytes { len, max } => {
            format!("darf höchstens {max} Bytes lang sein, nicht {len}")
        }
        Rule::TooManyCharacters { max } => format!("darf höchstens {max} Zeichen lang sein"),
        Rule::ControlCharacter => "darf keine Steuerzeichen enthalten".into(),
        Rule::NothingVisible => "muss mindestens ein sichtbares Zeichen enthalten".into(),
        Rule::ContainsToken => "darf kein Token enthalten".into(),
        Rule::OuterWhiteSpace => "darf nicht mit Leerzeichen beginnen oder enden".into(),
        Rule::ForbiddenCharacter => {
            "darf keine Steuerzeichen und keine Zeichen für die Schreibrichtung enthalten".into()
        }
        Rule::NotStrict => "darf nur Buchstaben von a bis z und A bis Z, Ziffern, Bindestriche \
             und Unterstriche enthalten"
            .into(),
        Rule::AbilityTooLong { max } => format!("jede darf höchstens {max} Zeichen lang sein"),
        Rule::EmptySegment => "kein Abschnitt einer Berechtigung darf leer sein".into(),
        Rule::AbilityCharacter => {
            "jede darf nur Buchstaben, Ziffern, „_“, „.“, „-“ und „:“ enthalten".into()
        }
        Rule::BareWildcard | Rule::AllAbilities => "Alles kann hier nicht erlaubt werden".into(),
        Rule::MisplacedWildcard => "* darf nur allein als letzter Abschnitt stehen".into(),
        Rule::TooManyAbilities { max } => format!("höchstens {max} Berechtigungen sind erlaubt"),
        Rule::UndeclaredAbility => "eine dieser Berechtigungen gibt es nicht".into(),
        Rule::BeyondAccount | Rule::BeyondParent => "das dürfen Sie nicht erlauben".into(),
        Rule::MetadataTooLong { max } => format!("höchstens {max} Bytes"),
        Rule::NoNetwork => "mindestens ein Netz".into(),
        Rule::TooManyNetworks { max } => format!("höchstens {max} Netze"),
        Rule::NotANetwork => "nur Adressen oder Netze wie 192.0.2.0/24 sind erlaubt".into(),
        Rule::NotInFuture => "muss in der Zukunft liegen".into(),
        Rule::OutOfRange => "darf nicht nach dem Jahr 9999 liegen".into(),
        Rule::LifetimeTooLong { max } => {
            format!("darf höchstens {} nach dem Erstellen liegen", length(*max))
        }
        Rule::LifetimeTooShort { min } => {
            format!("muss mindestens {} nach dem Erstellen liegen", length(*min))
        }
        Rule::ExpiryByClient => "wird von der Anwendung festgelegt".into(),
        Rule::ExpiresBeforeStart => "das Token muss beginnen, bevor es abläuft".into(),
        Rule::LaterExpiry => "darf nicht später sein als zuvor".into(),
        Rule::Seconds { min, max } => format!("muss zwischen {min} und {max} liegen"),
        Rule::IdlePeriod => "muss mindestens eine Sekunde und höchstens 4294967295 sein".into(),
        rule => rule.to_string(),
    }
}

fn length(duration: Duration) -> String {
    match (duration.whole_days(), duration.whole_seconds()) {
        (1, _) => "1 Tag".into(),
        (days, _) if duration == Duration::days(days) && days > 0 => format!("{days} Tage"),
        (_, seconds) => format!("{seconds} Sekunden"),
    }
}
