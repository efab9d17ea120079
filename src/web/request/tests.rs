use super::*;

fn refused(body: &str) -> Vec<&'static str> {
    let owner = Owner::new("user:42").unwrap();
    match new_token(owner, body.as_bytes()) {
        Err(RequestError::Invalid(invalid)) => {
            invalid.errors.iter().map(|error| error.name).collect()
        }
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let body = r#"{"name":7,"abilities":"all","expires_at":"soon"}"#;
    assert_eq!(refused(body), ["name", "abilities", "expires_at"]);
    assert_eq!(refused("[]"), ["body"]);
    assert_eq!(refused("{}"), ["name"]);
    assert_eq!(refused(r#"{"name":null}"#), ["name"]);
}

type Reader = fn(&[u8]) -> Result<(), RequestError>;

/// Each function that reads a body, with one that it takes.
const READERS: [(&str, Reader); 5] = [
    (r#"{"name":"a""#, |body| new_token(Owner::new("user:42").unwrap(), body).map(drop)),
    (r#"{"name":"a""#, |body| token_change(body).map(drop)),
    (r#"{"generation":1"#, |body| rotation(body).map(drop)),
    (r#"{"reason":"a""#, |body| suspension(body).map(drop)),
    (r#"{"all":true"#, |body| revoke(body).map(drop)),
];

#[test]
fn what_is_not_known_repeated_or_inexact_is_refused_by_every_function() {
    let long = "x".repeat(80);
    for (body, read) in READERS {
        read(format!("{body}}}").as_bytes()).unwrap();
        for (more, message) in [
            (r#""ability":["a:b"]"#.to_owned(), r#"must not have the member "ability""#),
            (format!(r#""{long}":1"#), r#"must not have the member "…""#),
            (r#""x":1,"x":1"#.to_owned(), "must have each member once"),
            (
                r#""x":18446744073709551616"#.to_owned(),
                "must have only numbers that can be kept as they are",
            ),
        ] {
            let Err(RequestError::Invalid(invalid)) = read(format!("{body},{more}}}").as_bytes())
            else {
                panic!("{body},{more}");
            };
            let [error] = &invalid.errors[..] else { panic!("{invalid}") };
            assert_eq!(
                (error.name, error.rule.to_string()),
                ("body", message.to_owned()),
                "{body}"
            );
        }
    }
}

#[test]
fn null_is_none_for_every_member_that_need_not_be_there() {
    let nulls = r#"{"name":"a","expires_at":null,"not_before":null,"idle_seconds":null,
        "allowed_addresses":null,"metadata":null}"#;
    let owner = Owner::new("user:42").unwrap();
    let new = new_token(owner, nulls.as_bytes()).unwrap();
    assert_eq!(new.settings.metadata, Some(serde_json::json!({})));
    drop(token_change(nulls.as_bytes()).unwrap());
    suspension(br#"{"until":null,"reason":null}"#).unwrap();
}

#[test]
fn an_expiry_is_given_in_one_way() {
    let both = r#"{"name":"a","expires_in_days":1,"expires_at":null}"#;
    assert_eq!(refused(both), ["expires_in_days"]);
    for days in ["0", "-1", "1.5", "null", "\"1\"", "4294967296", "1e300"] {
        let body = format!(r#"{{"name":"a","expires_in_days":{days}}}"#);
        assert_eq!(refused(&body), ["expires_in_days"], "{days}");
    }
}

#[test]
fn what_is_no_json_is_told_from_what_is_wrong() {
    let owner = Owner::new("user:42").unwrap();
    assert!(matches!(new_token(owner, b"{"), Err(RequestError::NotJson(_))));
    assert!(matches!(token_change(b""), Err(RequestError::NotJson(_))));
}

#[test]
fn only_json_is_taken_for_json() {
    for good in
        ["application/json", "Application/JSON ;charset=utf-8", "application/merge-patch+json"]
    {
        assert!(check_media_type(Some(good.as_bytes())).is_ok(), "{good}");
    }
    for bad in [
        "",
        "json",
        "text/json",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "\u{e9}",
    ] {
        assert!(check_media_type(Some(bad.as_bytes())).is_err(), "{bad}");
    }
}

#[test]
fn a_listing_is_asked_for_by_its_parameters_alone() {
    for good in [
        "",
        "per_page=1&cursor=x&state=any",
        "owner=eve&state=revoked",
        "&&",
        "state=active&state=not_yet_valid&sort=-last_used&q=caf%C3%A9+%26&ability=servers%3Aread",
        "unused_days=0&expiring_days=36500",
    ] {
        assert!(list(good).is_ok(), "{good}");
    }
    for (bad, parameter) in [
        ("state", "state"),
        ("state=", "state"),
        ("state=Active", "state"),
        ("state=any&state=broken", "state"),
        ("sort=", "sort"),
        ("sort=id", "sort"),
        ("sort=--created", "sort"),
        ("sort=+created", "sort"),
        ("unused_days=-1", "unused_days"),
        ("unused_days=36501", "unused_days"),
        ("expiring_days=1.5", "expiring_days"),
        ("expiring_days", "expiring_days"),
    ] {
        let Err(RequestError::Invalid(invalid)) = list(bad) else { panic!("{bad}") };
        let fields: Vec<_> = invalid.errors.iter().map(|it| it.name).collect();
        assert_eq!(fields, [parameter], "{bad}");
    }
}

#[test]
fn ids_or_all_are_revoked_and_never_both() {
    let id = TokenId::from_u128(7);
    let ids = revoke(format!(r#"{{"ids":["{id}"]}}"#).as_bytes());
    assert_eq!(ids.unwrap(), Revoke::Ids(vec![id]));
    assert_eq!(revoke(br#"{"all":true}"#).unwrap(), Revoke::All);
    for body in ["{}", r#"{"all":false}"#, r#"{"ids":[],"all":true}"#, r#"{"ids":["x"]}"#] {
        assert!(revoke(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
    for good in ["60", "60.0", "6e1", "0.0"] {
        assert!(rotation(format!(r#"{{"grace_seconds":{good}}}"#).as_bytes()).is_ok(), "{good}");
    }
    for bad in ["60.5", "1e300", "-1e300", "true", "\"60\""] {
        assert!(rotation(format!(r#"{{"grace_seconds":{bad}}}"#).as_bytes()).is_err(), "{bad}");
    }
    let owner = Owner::new("user:42").unwrap();
    assert!(new_token(owner, br#"{"name":"a","expires_in_days":30.0}"#).is_ok());
}
