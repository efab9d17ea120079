use std::borrow::Cow;

use crate::token::Rule;

use super::{Direction, Message, Plural, german_rules};

macro_rules! texts {
    ($($name:ident: $kind:ident($english:expr, $german:expr);)+) => {
        /// The texts of the page in one language. [`english`](Self::english) and [`german`](Self::german) are there; each text
        /// can be replaced. For another language begin with the English texts: those that you do not replace stay English.
        ///
        /// ```
        /// use keyfob::web::manage::page::Texts;
        ///
        /// let mut french = Texts::english();
        /// french.language = "fr".into();
        /// french.title = "Jetons d'API".into();
        /// french.days = ("{n} jour", "{n} jours").into();
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Texts {
            /// The language's tag (BCP 47), such as `en` or `pt-BR`.
            pub language: Cow<'static, str>,
            /// The direction of the script.
            pub direction: Direction,
            /// The message for a rule that a field breaks.
            pub rule: fn(&Rule) -> String,
            $(
                #[doc = concat!("English: `", stringify!($english), "`")]
                pub $name: $kind,
            )+
        }

        impl Texts {
            /// The English texts.
            #[must_use]
            pub fn english() -> Self {
                Self {
                    language: "en".into(),
                    direction: Direction::LeftToRight,
                    rule: Rule::to_string,
                    $($name: $english.into(),)+
                }
            }

            /// The German texts.
            #[must_use]
            pub fn german() -> Self {
                Self {
                    language: "de".into(),
                    direction: Direction::LeftToRight,
                    rule: german_rules::in_german,
                    $($name: $german.into(),)+
                }
            }

            /// Each text as it shows for the number 2, by its name.
            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), format!("{:?}", self.$name)),)+]
            }
        }
    };
}

texts! {
    title: Message("API tokens", "API-Token");
    intro: Message("Tokens let programs use the API on your behalf.", "Mit Token nutzen Programme die API in Ihrem Namen.");
    documentation: Message("API documentation", "API-Dokumentation");
    new_token: Message("New token", "Neues Token");
    used_of_limit: Message("{n} of {of} tokens.", "{n} von {of} Token.");
    limit_reached: Message("No more tokens can be created until one is revoked.", "Erst wenn ein Token widerrufen ist, lässt sich ein neues erstellen.");
    show_unused: Message("Show unused tokens", "Unbenutzte Token zeigen");
    empty: Message("You have no tokens yet. A token lets a program, such as a script or a CI job, call the API.", "Sie haben noch keine Token. Mit einem Token ruft ein Programm die API auf, etwa ein Skript oder ein CI-Job.");
    no_token_fits: Message("No token fits the filter.", "Kein Token passt zum Filter.");
    all_revoked: Message("All your tokens are revoked.", "Alle Ihre Token sind widerrufen.");
    expiring_soon: Plural(("{n} token expires within 14 days", "{n} tokens expire within 14 days"), ("{n} Token läuft in den nächsten 14 Tagen ab", "{n} Token laufen in den nächsten 14 Tagen ab"));
    unused_long: Plural(("{n} token has not been used for 90 days", "{n} tokens have not been used for 90 days"), ("{n} Token wurde seit 90 Tagen nicht benutzt", "{n} Token wurden seit 90 Tagen nicht benutzt"));
    filter_expiring: Plural(("Expires within {n} day", "Expires within {n} days"), ("Läuft in {n} Tag ab", "Läuft in {n} Tagen ab"));

    filter_name: Message("Name contains", "Name enthält");
    filter_state: Message("State", "Status");
    filter_ability: Message("Access", "Zugriff");
    any_ability: Message("Any", "Beliebig");
    per_page: Message("Per page", "Pro Seite");
    not_revoked: Message("Not revoked", "Nicht widerrufen");
    any_state: Message("Any", "Alle");
    filter: Message("Filter", "Filtern");
    clear_filter: Message("Clear filter", "Filter aufheben");
    sort_ascending: Message("sort in ascending order", "aufsteigend sortieren");
    sort_descending: Message("sort in descending order", "absteigend sortieren");
    pages: Message("Pages", "Seiten");
    newest: Message("Newest", "Neueste");
    older: Message("Older", "Ältere");
    first_page: Message("First page", "Erste Seite");
    next_page: Message("Next page", "Nächste Seite");
    matching: Plural(("{n} token", "{n} tokens"), ("{n} Token", "{n} Token"));
    unreadable: Plural(("{n} token can't be read.", "{n} tokens can't be read."), ("{n} Token ist nicht lesbar.", "{n} Token sind nicht lesbar."));

    name: Message("Name", "Name");
    access: Message("Access", "Zugriff");
    last_used: Message("Last used", "Zuletzt benutzt");
    created: Message("Created", "Erstellt");
    expires: Message("Expires", "Läuft ab");
    state: Message("State", "Status");
    actions: Message("Actions", "Aktionen");
    never: Message("Never", "Nie");
    nothing: Message("Nothing", "Nichts");
    everything: Message("Everything", "Alles");
    more: Plural(("+ {n} more", "+ {n} more"), ("+ {n} weitere", "+ {n} weitere"));
    no_longer_exists: Message("no longer exists", "gibt es nicht mehr");
    from_address: Message("from {name}", "von {name}");
    by_actor: Message("by {name}", "durch {name}");
    details: Message("Details", "Details");
    details_of: Message("Details of {name}", "Details von {name}");
    rotate: Message("Rotate", "Rotieren");
    rotate_token: Message("Rotate {name}", "{name} rotieren");
    revoke: Message("Revoke", "Widerrufen");
    revoke_token: Message("Revoke {name}", "{name} widerrufen");
    suspend: Message("Suspend", "Sperren");
    suspend_token: Message("Suspend {name}", "{name} sperren");
    resume: Message("Resume", "Entsperren");
    select_token: Message("Select {name}", "{name} auswählen");
    select_page: Message("Select all on this page", "Alle auf dieser Seite auswählen");
    selected: Message("Selected: {n}", "Ausgewählt: {n}");
    revoke_selected: Message("Revoke selected…", "Ausgewählte widerrufen…");
    revoke_all: Plural(("Revoke all {n}", "Revoke all {n}"), ("Alle {n} widerrufen", "Alle {n} widerrufen"));

    state_active: Message("Active", "Aktiv");
    state_expired: Message("Expired", "Abgelaufen");
    state_idle: Message("Idle too long", "Zu lange unbenutzt");
    state_revoked: Message("Revoked", "Widerrufen");
    state_suspended: Message("Suspended", "Gesperrt");
    state_not_yet_valid: Message("Not yet valid", "Noch nicht gültig");
    mark_never_used: Message("Never used", "Nie benutzt");
    mark_unused: Plural(("Not used for {n} day", "Not used for {n} days"), ("Seit {n} Tag nicht benutzt", "Seit {n} Tagen nicht benutzt"));
    mark_expires_in: Plural(("Expires in {n} day", "Expires in {n} days"), ("Läuft in {n} Tag ab", "Läuft in {n} Tagen ab"));
    mark_expires_today: Message("Expires within a day", "Läuft in weniger als einem Tag ab");
    mark_suspended_until: Message("Suspended until {time}", "Gesperrt bis zum {time}");
    mark_suspended: Message("Suspended until resumed", "Bis auf Weiteres gesperrt");
    mark_begins: Message("Valid from {time}", "Gültig ab dem {time}");
    mark_reason: Message("Reason: {name}", "Grund: {name}");
    mark_old_until: Message("Old secret works until {time}", "Altes Geheimnis gilt bis zum {time}");
    mark_old_until_used: Message("Old secret works until the new one is used", "Altes Geheimnis gilt, bis das neue benutzt wird");

    optional: Message("(optional)", "(optional)");
    name_rule: Message("At most {n} characters.", "Höchstens {n} Zeichen.");
    name_rule_strict: Message("At most 50 characters: letters, digits, - and _.", "Höchstens 50 Zeichen: Buchstaben, Ziffern, - und _.");
    name_rule_unique: Message("Unique.", "Eindeutig.");
    description: Message("Description", "Beschreibung");
    days: Plural(("{n} day", "{n} days"), ("{n} Tag", "{n} Tage"));
    on_a_date: Message("On a date…", "An einem Datum…");
    date: Message("Date", "Datum");
    keep_until: Message("Unchanged: {time}", "Unverändert: {time}");
    keep_never: Message("Unchanged: never", "Unverändert: nie");
    until: Message("Until {time}, your time.", "Bis zum {time} (Ihre Ortszeit).");
    never_ends: Message("The token never ends by itself.", "Das Token endet nie von selbst.");
    date_is_utc: Message("A date means the end of that day, 23:59 UTC.", "Ein Datum meint das Ende des Tages, 23:59 UTC.");
    at_most_days: Plural(("At most {n} day here.", "At most {n} days here."), ("Hier höchstens {n} Tag.", "Hier höchstens {n} Tage."));
    only_chosen: Message("Only what I choose", "Nur, was ich auswähle");
    everything_later: Message("Everything, also what comes later", "Alles, auch was später dazukommt");
    everything_warning: Message("Grants more than most programs need", "Erlaubt mehr, als die meisten Programme brauchen");
    presets: Message("Start from:", "Vorlage:");
    abilities_by_line: Message("Abilities, one per line", "Berechtigungen, eine pro Zeile");
    other_abilities: Message("Other", "Weitere");
    all_of_these: Message("All of these", "Alle davon");
    everything_in: Message("Everything in {name}, also what comes later", "Alles in {name}, auch was später dazukommt");
    filter_choices: Message("Search in {name}", "In {name} suchen");
    choose_one: Message("Choose at least one", "Wählen Sie mindestens eine Berechtigung");
    limits: Message("Limits", "Grenzen");
    addresses: Message("IP addresses", "IP-Adressen");
    addresses_rule: Message("One address or network per line, such as 192.0.2.0/24. Leave empty to allow all.", "Eine Adresse oder ein Netz pro Zeile, z. B. 192.0.2.0/24. Leer lassen, um alle zuzulassen.");
    idle_days: Message("Days without use until it is refused", "Tage ohne Benutzung bis zur Ablehnung");
    begins: Message("Valid from", "Gültig ab");
    begins_rule: Message("At 00:00 UTC of that day.", "Um 00:00 UTC dieses Tages.");
    create_another: Message("Create another afterwards", "Danach noch eines erstellen");
    create_token: Message("Create token", "Token erstellen");
    create_like: Message("Duplicate", "Duplizieren");
    cancel: Message("Cancel", "Abbrechen");
    change: Message("Edit token", "Token bearbeiten");
    save: Message("Save", "Speichern");

    created_heading: Message("Token created", "Token erstellt");
    rotated_heading: Message("Token rotated", "Token rotiert");
    copy_now: Message("Copy it now into a safe place.", "Kopieren Sie es jetzt an einen sicheren Ort.");
    not_copied_yet: Message("It is not copied yet.", "Es ist noch nicht kopiert.");
    not_shown_again: Message("It can't be shown again.", "Es kann nicht noch einmal gezeigt werden.");
    token: Message("Token", "Token");
    copy: Message("Copy", "Kopieren");
    copied: Message("Copied", "Kopiert");
    press_ctrl_c: Message("Press {name}", "Drücken Sie {name}");
    copy_snippet: Message("Copy the {name} line", "Die Zeile für {name} kopieren");
    how_to_use: Message("How to use it", "So wird es benutzt");
    variable_hint: Message("Put the token into the environment variable {name}.", "Legen Sie das Token in der Umgebungsvariable {name} ab.");
    saved: Message("Yes, I saved my token", "Ja, ich habe mein Token gespeichert");
    old_secret: Message("Old secret", "Altes Geheimnis");
    old_ended: Message("is refused from now on", "wird ab jetzt abgelehnt");

    revoke_question: Message("Revoke {name}?", "{name} widerrufen?");
    revoke_warning: Message("Every program that uses it is refused from its next request on. This can't be undone.", "Jedes Programm, das es benutzt, wird ab der nächsten Anfrage abgelehnt. Das lässt sich nicht rückgängig machen.");
    revoke_several_question: Plural(("Revoke {n} token?", "Revoke {n} tokens?"), ("{n} Token widerrufen?", "{n} Token widerrufen?"));
    revoke_warning_several: Message("Every program that uses one of them is refused from its next request on. This can't be undone.", "Jedes Programm, das eines davon benutzt, wird ab der nächsten Anfrage abgelehnt. Das lässt sich nicht rückgängig machen.");
    revoke_several: Plural(("Revoke {n} token", "Revoke {n} tokens"), ("{n} Token widerrufen", "{n} Token widerrufen"));
    and_more: Plural(("and {n} more", "and {n} more"), ("und {n} weitere", "und {n} weitere"));
    used_recently: Message("Used within 24 hours", "In den letzten 24 Stunden benutzt");
    type_number: Message("Type {n} to confirm", "Geben Sie zur Bestätigung {n} ein");
    wrong_number: Message("That is not the number asked for. Nothing was revoked.", "Das ist nicht die verlangte Zahl. Nichts wurde widerrufen.");
    nothing_selected: Message("No token is selected.", "Kein Token ist ausgewählt.");

    rotate_question: Message("Rotate {name}?", "{name} rotieren?");
    rotate_works_at_once: Message("The token gets a new secret, which works at once.", "Das Token bekommt ein neues Geheimnis, das sofort gilt.");
    old_goes_on_for: Message("How long does the old secret go on?", "Wie lange gilt das alte Geheimnis noch?");
    grace_hour: Message("1 hour", "1 Stunde");
    grace_until_used: Message("Until the new one is first used", "Bis das neue zum ersten Mal benutzt wird");
    grace_none: Message("Ends now", "Endet jetzt");
    breaks_programs: Message("Breaks running programs", "Laufende Programme werden sofort abgelehnt");
    grace_rule: Message("Never longer than the token itself.", "Nie länger als das Token selbst.");
    running_until: Message("The secret from before the last rotation works until {time}. Rotating again ends it now.", "Das Geheimnis von vor der letzten Rotation gilt bis zum {time}. Eine neue Rotation beendet es jetzt.");
    running_until_used: Message("The secret from before the last rotation still works. Rotating again ends it now.", "Das Geheimnis von vor der letzten Rotation gilt noch. Eine neue Rotation beendet es jetzt.");
    replaces_unused: Message("The current secret was never used. The new one replaces it at once.", "Das jetzige Geheimnis wurde nie benutzt. Das neue ersetzt es sofort.");

    suspend_question: Message("Suspend {name}?", "{name} sperren?");
    suspend_warning: Message("While it is suspended, the token is refused. It is not lost: you can resume it at any time.", "Solange das Token gesperrt ist, wird es abgelehnt. Es geht nicht verloren: Sie können es jederzeit entsperren.");
    until_date: Message("Suspend until the end of", "Sperren bis zum Ende des Tages");
    until_resumed_hint: Message("(empty: until resumed)", "(leer: bis auf Weiteres)");
    reason: Message("Reason", "Grund");

    public_part: Message("Token begins with", "Token beginnt mit");
    rotated: Message("Rotated", "Rotiert");
    allowed_from: Message("Allowed from", "Erlaubt von");
    idle_after: Message("Refused without use after", "Ohne Benutzung abgelehnt nach");
    rate_limit: Message("Rate limit", "Ratenbegrenzung");
    requests_in: Message("{n} requests in {of} seconds", "{n} Anfragen in {of} Sekunden");
    issued_by: Message("Issued by the token", "Ausgestellt durch das Token");
    used_abilities: Message("Abilities used so far", "Bisher benutzte Berechtigungen");
    revoked_at: Message("Revoked", "Widerrufen");

    done_revoked: Plural(("{n} token was revoked.", "{n} tokens were revoked."), ("{n} Token wurde widerrufen.", "{n} Token wurden widerrufen."));
    done_more: Message("There may be more tokens: revoke all again.", "Es kann weitere Token geben: Widerrufen Sie noch einmal alle.");
    done_changed: Message("The token was changed.", "Das Token wurde geändert.");
    done_less: Message("The token was changed. It can do less now, from the next request on.", "Das Token wurde geändert. Ab der nächsten Anfrage darf es weniger.");
    done_suspended: Message("The token was suspended.", "Das Token wurde gesperrt.");
    done_resumed: Message("The token was resumed.", "Das Token wurde entsperrt.");

    error_prefix: Message("Error: {name}", "Fehler: {name}");
    problems: Plural(("{n} field needs another look", "{n} fields need another look"), ("{n} Feld braucht Ihre Aufmerksamkeit", "{n} Felder brauchen Ihre Aufmerksamkeit"));
    name_taken: Message("That name is taken", "Der Name ist vergeben");
    limit_is_reached: Plural(("The limit of {n} token is reached", "The limit of {n} tokens is reached"), ("Die Grenze von {n} Token ist erreicht", "Die Grenze von {n} Token ist erreicht"));
    already_created: Message("This token was created already; its secret can't be shown again", "Dieses Token ist schon erstellt; sein Geheimnis kann nicht noch einmal gezeigt werden");
    already_created_hint: Message("If you did not save it, rotate or revoke the token.", "Wenn Sie es nicht gespeichert haben, rotieren oder widerrufen Sie das Token.");
    changed_meanwhile: Message("The token was changed meanwhile. This is how it is now.", "Das Token wurde inzwischen geändert. So ist es jetzt.");
    rotated_already: Message("It was rotated already on {time}. If you did not save the new secret, rotate again.", "Es wurde schon am {time} rotiert. Wenn Sie das neue Geheimnis nicht gespeichert haben, rotieren Sie noch einmal.");
    was_revoked: Message("It was revoked on {time}.", "Es wurde am {time} widerrufen.");
    has_expired: Message("It expired on {time}.", "Es ist am {time} abgelaufen.");
    is_idle: Message("It was not used for too long. Suspend and resume it, and it works again.", "Es wurde zu lange nicht benutzt. Sperren und entsperren Sie es, dann gilt es wieder.");
    cant_rotate: Message("The token can't be rotated as it is.", "So, wie das Token ist, kann es nicht rotiert werden.");
    not_found: Message("There is no such token here", "Hier gibt es kein solches Token");
    no_such_page: Message("There is no such page here", "Hier gibt es keine solche Seite");
    not_allowed: Message("You may not do this here", "Dazu sind Sie hier nicht berechtigt");
    beyond_account: Message("This token can do more than you may grant", "Dieses Token darf mehr, als Sie erlauben dürfen");
    cross_site: Message("This request came from another site. Nothing was done", "Diese Anfrage kam von einer anderen Website. Es wurde nichts getan");
    bad_form: Message("The form could not be read. Nothing was done", "Das Formular konnte nicht gelesen werden. Es wurde nichts getan");
    bad_filter: Message("This filter is not valid", "Dieser Filter ist ungültig");
    unavailable: Message("Tokens can't be read right now", "Die Token können gerade nicht gelesen werden");
    unavailable_hint: Message("They go on working or not as before.", "Sie gelten weiter oder nicht, wie vorher.");
    not_done: Message("This could not be done right now", "Das konnte gerade nicht ausgeführt werden");
    not_done_hint: Message("Look at the list before you try again: it may have been done.", "Sehen Sie in die Liste, bevor Sie es noch einmal versuchen: Es kann bereits geschehen sein.");
    internal: Message("Something went wrong here", "Hier ist etwas schiefgegangen");
    retry: Message("Try again", "Noch einmal versuchen");
    to_list: Message("All tokens", "Alle Token");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The texts that are the same in both languages.
    const SAME: [&str; 4] = ["details", "name", "optional", "token"];

    /// The values that a text has.
    fn values(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|it| it.split('}').next()).collect()
    }

    #[test]
    fn every_text_is_translated_with_the_same_values() {
        for ((name, english), (_, german)) in
            Texts::english().all().iter().zip(Texts::german().all())
        {
            assert_eq!(values(english), values(&german), "{name}");
            let is_same = SAME.contains(name);
            assert_eq!(*english == german, is_same, "{name}: {english}");
        }
    }
}
