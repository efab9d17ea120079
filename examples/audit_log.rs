//! An audit log: each event is a line of JSON. It is written on a thread of its own, so that no request waits for a
//! disk.

use std::{
    error::Error,
    fs,
    io::Write,
    sync::{Mutex, PoisonError},
};

use keyfob::{
    Actor, ApiTokens, Event, NewToken, Owner, Reason, Timestamp, TokenRotation, event::Observer,
    store::MemoryStore,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Writes each event to a file that is open for appending, a pipe, standard output.
struct AuditLog<W>(Mutex<W>);

impl<W: Write + Send + 'static> Observer for AuditLog<W> {
    fn observe(&self, event: &Event) {
        let line = line(event);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A line is one write, and out of the process before the next one.
        let written = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written {
            eprintln!("the audit log has lost {line}: {error}");
        }
    }
}

/// What the event shows, and when it is written, which is a little later than when it happened.
fn line(event: &Event) -> Value {
    let mut line = json!(event);
    line["at"] = json!(Timestamp::from(OffsetDateTime::now_utc()));
    line
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In a service: `File::options().append(true).create(true).open("/var/log/panel/tokens.jsonl")`.
    let file = tempfile::NamedTempFile::new()?;
    let log = AuditLog(Mutex::new(file.reopen()?));
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").observer(log).build()?;

    let owner = Owner::new("user:42")?;
    let admin = tokens.owned_by(&owner).by(Actor::new("admin:1")?);
    let issued = admin.issue(NewToken::named("ci-deploy")).await?;
    let address = "192.0.2.7".parse()?;
    tokens.verify_from(issued.plain.expose_secret(), Some(address)).await?;
    let rotated = admin.rotate(issued.record.id, TokenRotation::new()).await?;
    admin.because(Reason::new("laptop stolen")?).revoke(issued.record.id).await?;
    assert!(tokens.verify(rotated.plain.expose_secret()).await.is_err());

    // When the service stops: what waits is told before the process ends.
    tokens.flush().await?;

    let written = fs::read_to_string(file.path())?;
    print!("{written}");
    let lines = written.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(kinds, ["issued", "first_use", "rotated", "revoked", "refused"]);
    assert!(lines.iter().all(|line| line["at"].is_string()));
    assert_eq!((&lines[0]["by"], &lines[1]["from"]), (&json!("admin:1"), &json!("192.0.2.7")));
    assert_eq!(
        (&lines[3]["by"], &lines[3]["reason"]),
        (&json!("admin:1"), &json!("laptop stolen"))
    );
    for secret in [&issued, &rotated].map(|it| it.plain.expose_secret().rsplit('_').next()) {
        assert!(secret.is_some_and(|secret| !written.contains(secret)));
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn every_line_is_json_and_none_holds_a_secret() {
    main().unwrap();
}
