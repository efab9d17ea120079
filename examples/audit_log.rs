//! An audit log: each event is a line of JSON. It is written on a thread of its own, so that no request waits for a
//! disk.

use std::{
    error::Error,
    fs,
    io::Write,
    sync::{Mutex, PoisonError},
};

use keyfob::{
    Actor, ApiTokens, Event, NewToken, Owner, Reason, Timestamp, TokenRecord, TokenRotation,
    event::Observer, store::MemoryStore,
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

fn line(event: &Event) -> Value {
    let mut line = match event {
        Event::Issued { token, .. } => about(token, token.created_by()),
        Event::Rotated { token, by, .. }
        | Event::Renamed { token, by, .. }
        | Event::Changed { token, by, .. }
        | Event::Resumed { token, by, .. } => about(token, by.as_ref()),
        Event::Suspended { token, by, .. } => {
            let mut line = about(token, by.as_ref());
            line["reason"] = json!(token.suspension.as_ref().and_then(|it| it.reason.as_ref()));
            line
        }
        Event::Revoked { ids, revocation, .. } => {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            json!({ "ids": ids, "by": revocation.by, "reason": revocation.reason })
        }
        Event::Erased { owner, tokens, by, .. } => {
            json!({ "owner": owner, "tokens": tokens, "by": by })
        }
        Event::Refused { id, reason, .. } => {
            json!({ "id": id.map(|it| it.to_string()), "reason": reason })
        }
        Event::FirstUse { id, owner, from, .. }
        | Event::RetiredSecretUsed { id, owner, from, .. } => {
            json!({ "id": id.to_string(), "owner": owner, "from": from })
        }
        Event::NewAddress { id, owner, from, .. } => {
            json!({ "id": id.to_string(), "owner": owner, "from": from })
        }
        // A gap in the log, and how wide it is.
        Event::EventsDropped { events, .. } => json!({ "events": events }),
        // Others, and such as there will be, are written by name: where a log holds nothing, nothing seems to have
        // happened. All that `Debug` shows would be more, but nobody could read it by a program for long.
        _ => json!({}),
    };
    let shown = format!("{event:?}");
    line["event"] = json!(shown.split_whitespace().next());
    // When it is told, which is a little later than when it was.
    line["at"] = json!(Timestamp::from(OffsetDateTime::now_utc()).to_string());
    line
}

fn about(token: &TokenRecord, by: Option<&Actor>) -> Value {
    let TokenRecord { id, owner, name, generation, .. } = token;
    json!({ "id": id.to_string(), "owner": owner, "name": name, "generation": generation, "by": by })
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
    assert_eq!(kinds, ["Issued", "FirstUse", "Rotated", "Revoked", "Refused"]);
    assert!(lines.iter().all(|line| line["at"].is_string()));
    assert_eq!(lines[1]["from"], "192.0.2.7");
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
