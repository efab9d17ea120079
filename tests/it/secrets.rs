//! The secret is shown once: it is in no log, no event, no `Debug`, no error, no panic, and in no file.

#[cfg(feature = "axum")]
mod web;

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE};
use keyfob::{
    Abilities, ApiTokens, Event, IssuedToken, ListTokens, NewToken, Owner, Policy, TokenChange,
    TokenId, TokenName, VerifyError,
    event::Observer,
    store::{CorruptRecord, StoreError, contract::StoredRow},
    token::{
        Ability, AllowedAddresses, KeyId, Metadata, Prefix, PreviousSecret, Revocation, TokenDigest,
    },
    web::{Problem, Realm, TokenResource, request},
};
use serde_json::json;
use time::Duration;

use crate::support::{Seeded, World, after, checked, on_every_store, secret_of};

on_every_store! {
    a_whole_life_shows_no_secret
    a_copy_of_the_store_never_authenticates
}

const SEED: u64 = 42;

/// What must not be found: secrets and whole tokens, as they are, in hex and in base64.
fn forbidden(issued: &[IssuedToken]) -> Vec<Vec<u8>> {
    let mut forbidden = Vec::new();
    for issued in issued {
        for text in [issued.plain.expose_secret(), secret_of(issued)] {
            let hex = hex::encode(text);
            forbidden.push(text.as_bytes().to_vec());
            forbidden.push(hex.to_uppercase().into_bytes());
            forbidden.push(hex.into_bytes());
            // Within a longer text, base64 begins at one of three places; what is around is cut off.
            for shift in 0..3 {
                let shifted = format!("{}{text}", "x".repeat(shift));
                for engine in [&BASE64_STANDARD, &BASE64_URL_SAFE] {
                    let encoded = engine.encode(&shifted);
                    forbidden.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
                }
            }
        }
    }
    forbidden
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8], forbidden: &[Vec<u8>]) {
    for needle in forbidden {
        let found = bytes.windows(needle.len()).position(|it| it == needle);
        assert!(found.is_none(), "{what} shows {} at {found:?}", String::from_utf8_lossy(needle));
    }
}

/// Writes every event down in each way that there is.
#[derive(Clone, Default)]
struct Scribe(Arc<Mutex<String>>);

impl Observer for Scribe {
    fn observe(&self, event: &Event) {
        let json = serde_json::to_string(event).unwrap();
        write!(self.0.lock().unwrap(), "{event:?}\n{event:#?}\n{json}\n").unwrap();
        #[cfg(feature = "tracing")]
        keyfob::event::TracingObserver.observe(event);
    }
}

fn tell(out: &Scribe, what: &impl std::fmt::Debug) {
    write!(out.0.lock().unwrap(), "{what:?}\n{what:#?}\n").unwrap();
}

/// An error with everything that lies under it.
fn tell_error(out: &Scribe, error: &(dyn std::error::Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        write!(out.0.lock().unwrap(), "{error} {error:?}\n{error:#?}\n").unwrap();
        next = error.source();
    }
}

fn tokens_in(world: &World, out: &Scribe) -> ApiTokens {
    let builder = world.builder().entropy(Seeded::new(SEED)).inline_observer(out.clone());
    tell(out, &builder);
    builder.policy(Policy::new().limit_per_owner(20).unique_names(true)).build().unwrap()
}

/// Does with tokens whatever can be done, and tells everything that can be told.
async fn live(world: &World, out: &Scribe) -> Vec<IssuedToken> {
    let tokens = tokens_in(world, out);
    let own = tokens.owned_by(&world.owner);
    let mut issued = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let new = world.new_token(name).abilities(["x:*"]).metadata(json!({ "a": 1 }));
        tell(out, &new);
        issued.push(tokens.issue(new.expires_in(Duration::HOUR)).await.unwrap());
    }
    for issued in &issued {
        let plain = issued.plain.expose_secret();
        let verified = tokens.verify_from(plain, Some([192, 0, 2, 1].into())).await.unwrap();
        tell(out, &(issued, &issued.plain, &verified, tokens.format().parse(plain).unwrap()));
        tell(out, &(StoredRow::from(&issued.record), &issued.record.digest));
        let json = serde_json::to_string(&TokenResource::new(&issued.record, tokens.now()));
        tell(out, &json.unwrap());
        tell(out, &tokens.revalidate(&verified).await.unwrap());
        tell_error(out, &verified.require("y").unwrap_err());
        // A token that is pasted with a slip is somebody's secret still.
        for slip in [format!("{plain} "), plain.to_uppercase(), plain.replacen('_', "-", 2)] {
            tell_error(out, &tokens.verify(&slip).await.unwrap_err());
        }
        let wrong = checked(&format!("acme_{}_{}", TokenId::from_u128(1), secret_of(issued)));
        let refused = tokens.verify(&wrong).await.unwrap_err();
        tell(out, &Problem::refused(&Realm::new("r").unwrap(), &refused));
        tell_error(out, &refused);
    }
    tell(out, &(&tokens, &own, &world.store, tokens.format()));
    tokens.flush().await.unwrap();
    tell_error(out, &tokens.issue(world.new_token("a")).await.unwrap_err());
    tell(out, &own.change(issued[0].record.id, TokenChange::new().name("e")).await.unwrap());
    let plain = issued[1].plain.expose_secret();
    let verified = tokens.verify(plain).await.unwrap();
    own.revoke(issued[1].record.id).await.unwrap();
    tell_error(out, &tokens.verify(plain).await.unwrap_err());
    tell_error(out, &tokens.revalidate(&verified).await.unwrap_err());
    tell(out, &own.list(ListTokens::new()).await.unwrap());

    let plain = issued[0].plain.expose_secret().to_owned();
    world.store.forget();
    let troubles: [fn() -> StoreError; 2] =
        [|| StoreError::Unavailable("gone".into()), || CorruptRecord::new(None, "digest").into()];
    for trouble in troubles {
        world.store.fail_with(&["find", "record_uses", "insert"], trouble);
        tell_error(out, &tokens.verify(&plain).await.unwrap_err());
        tell_error(out, &tokens.issue(world.new_token("f")).await.unwrap_err());
        world.store.heal();
        world.clock.advance(Duration::SECOND);
        tokens.verify(&plain).await.map(drop).unwrap();
        world.store.fail_with(&["record_uses"], trouble);
        tell_error(out, &tokens.flush().await.unwrap_err());
        world.store.heal();
    }
    world.clock.advance(Duration::HOUR);
    tell_error(out, &tokens.verify(&plain).await.unwrap_err());
    tokens.flush().await.unwrap();
    tokens.prune(after(1)).await.unwrap();
    issued
}

async fn a_whole_life_shows_no_secret(world: World) {
    let out = Scribe::default();
    let issued = live(&world, &out).await;
    let forbidden = forbidden(&issued);
    let told = out.0.lock().unwrap().clone();
    assert!(
        told.contains("IssuedToken {") && told.contains("UsesNotWritten"),
        "something was told"
    );
    assert_clean("what was told", told.as_bytes(), &forbidden);
    assert_clean("events", world.events.take().join("\n").as_bytes(), &forbidden);
    let positive = format!("before {} after", issued[0].plain.expose_secret());
    let encoded = BASE64_STANDARD.encode(&positive);
    for leak in [positive.into_bytes(), encoded.into_bytes()] {
        let found = forbidden.iter().any(|it| leak.windows(it.len()).any(|part| part == it));
        assert!(found, "a leak would be found");
    }
    #[cfg(feature = "sqlite")]
    if let Some(directory) = &world.directory {
        files_are_clean(directory.path(), &forbidden).await;
    }
}

/// Looks into the database and its log as they lie on disk, before and after a checkpoint.
#[cfg(feature = "sqlite")]
async fn files_are_clean(directory: &std::path::Path, forbidden: &[Vec<u8>]) {
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

    let look = || {
        let mut files = 0;
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            files += 1;
            assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap(), forbidden);
        }
        files
    };
    assert!(look() >= 2, "there is a write-ahead log beside the database");
    let options = SqliteConnectOptions::new().filename(directory.join("tokens.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    look();
}

/// Lives a life with every log of every crate on standard error, and then panics with all that it has.
#[cfg(feature = "tracing")]
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn a_life_under_trace() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::stderr)
        .init();
    let world = child_world().await;
    let out = Scribe::default();
    let issued = live(&world, &out).await;
    panic!("{:?}", (issued, tokens_in(&world, &out)));
}

#[cfg(feature = "tracing")]
async fn child_world() -> World {
    #[cfg(feature = "sqlite")]
    return World::sqlite().await;
    #[cfg(not(feature = "sqlite"))]
    World::memory().await
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn no_log_at_trace_and_no_panic_shows_a_secret() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "secrets::a_life_under_trace", "--ignored", "--nocapture"]);
    let output = child.env("RUST_BACKTRACE", "full").output().unwrap();
    let log = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("token issued") && text.contains("panicked at"), "{text}");
    #[cfg(feature = "sqlite")]
    assert!(text.contains("sqlx::query"), "statements are logged");

    // The same clock and the same generator make the same tokens here.
    let world = World::memory().await;
    let out = Scribe::default();
    let issued = live(&world, &out).await;
    assert!(text.contains(&issued[0].record.id.to_string()), "it was the same life");
    assert_clean("the log", &log, &forbidden(&issued));
}

async fn a_copy_of_the_store_never_authenticates(world: World) {
    let tokens = world.tokens();
    let before = tokens.issue(world.new_token("before")).await.unwrap();
    let issued = world
        .plant(|it| {
            let previous = before.record.digest.clone();
            it.previous = Some(Box::new(PreviousSecret::until(previous, after(1_000))));
        })
        .await;
    let stored = world.stored(&issued).await;
    let row = serde_json::to_value(StoredRow::from(&*stored)).unwrap();
    let mut values: Vec<Vec<u8>> = Vec::new();
    for value in row.as_object().unwrap().values() {
        match value {
            serde_json::Value::String(text) => {
                values.extend(hex::decode(text));
                values.push(text.clone().into_bytes());
            }
            serde_json::Value::Number(number) => values.push(number.to_string().into_bytes()),
            _ => (),
        }
    }
    assert!(values.iter().filter(|it| it.len() == 32).count() >= 2, "both digests are there");

    let mut texts = Vec::new();
    for value in &values {
        let hex = hex::encode(value);
        texts.extend([
            String::from_utf8_lossy(value).into_owned(),
            hex.to_uppercase(),
            hex,
            BASE64_STANDARD.encode(value),
            BASE64_URL_SAFE.encode(value).replace(['-', '='], ""),
            base62(value),
        ]);
    }
    let mut presented = 0;
    for text in &texts {
        let begin = format!("acme_{}_", issued.record.id);
        let secret: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let as_secret = format!("{:0>43}", secret.chars().take(43).collect::<String>());
        let as_id: String = secret.chars().take(22).collect();
        for token in [
            text.clone(),
            format!("{begin}{text}"),
            checked(&format!("{begin}{text}")),
            checked(&format!("{begin}{as_secret}")),
            checked(&format!("acme_{as_id:0>22}_{as_secret}")),
        ] {
            let refused = tokens.verify(&token).await;
            assert!(refused.is_err(), "{token}");
            presented += usize::from(matches!(refused, Err(VerifyError::WrongSecret)));
        }
    }
    assert!(presented >= texts.len(), "{presented} of them were looked at closely");
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
}

/// 256 bits as a secret is written.
fn base62(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = bytes.to_vec();
    let mut text = Vec::new();
    for _ in 0..43 {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap();
            rest = value % 62;
        }
        text.push(char::from(DIGITS[rest]));
    }
    text.iter().rev().collect()
}

#[tokio::test]
async fn what_was_pasted_into_the_wrong_place_is_not_echoed() {
    let world = World::memory().await;
    let tokens = world.builder().declare(&[]).build().unwrap();
    let issued = world.tokens().issue(world.new_token("a")).await.unwrap();
    let out = Scribe::default();
    let plain = issued.plain.expose_secret().to_owned();
    for text in [plain.clone(), format!("{plain}\0"), format!(" {plain}"), plain.repeat(10)] {
        let mut errors: Vec<Box<dyn std::error::Error>> = Vec::new();
        macro_rules! refused {
            ($($outcome:expr),+ $(,)?) => {
                $(errors.extend($outcome.err().map(Box::<dyn std::error::Error>::from));)+
            };
        }
        refused!(
            Owner::new(&text),
            TokenName::new(&text),
            KeyId::new(&text),
            Prefix::new(&text),
            Ability::new(&text),
            Abilities::set([&text]),
            AllowedAddresses::new([&text]),
            Metadata::from_json(&text),
            Metadata::new(&json!(text)),
            text.parse::<TokenId>(),
            text.parse::<keyfob::Timestamp>(),
            tokens.format().parse(&format!("{text}0")),
            Realm::new(&format!("{text}\"")),
            ApiTokens::builder(keyfob::store::MemoryStore::new()).prefix(&text).build(),
            tokens.issue(world.new_token(&format!("{text}\n"))).await,
            tokens.issue(world.new_token(&plain)).await,
            world.tokens().issue(world.new_token("a").abilities([&plain])).await,
            tokens.issue(world.new_token("a").abilities([&text])).await,
            tokens.owned_by(&world.owner).list(ListTokens::new().cursor(&text)).await,
            request::new_token(world.owner.clone(), text.as_bytes()),
            request::token_change(format!(r#"{{"expires_at":"{plain}"}}"#).as_bytes()),
            request::revoke(format!(r#"{{"ids":["{plain}"]}}"#).as_bytes()),
        );
        assert!(errors.len() >= 12, "{errors:?}");
        for error in &errors {
            tell_error(&out, &**error);
        }
        tell(&out, &NewToken::new(world.owner.clone(), "a"));
    }
    let told = out.0.lock().unwrap().clone();
    assert_clean("an error", told.as_bytes(), &forbidden(&[issued]));
}

#[test]
fn a_digest_shows_nothing_of_itself() {
    let digest = TokenDigest::from_bytes([7; 32], None);
    assert_eq!(format!("{digest:?}"), "TokenDigest { key: None, .. }");
    assert!(!format!("{:?}", Revocation::new(after(0))).is_empty());
}
