//! The picture of the README: `scripts/measure picture`.

use std::{fs, path::Path};

use keyfob::{NewToken, Owner, TokenRotation, token::Reason, web::manage::page::PageOptions};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        ServersRead = "servers:read", "List and show servers";
        SitesCreate = "sites:create", "Create sites";
        BackupsCreate = "backups:create", "Back a site up";
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it writes into docs: scripts/measure picture"]
async fn picture() {
    let options =
        PageOptions::new().application("Acme").back("Back to Acme", "/").descriptions(true);
    let app = App::start(Setup { options, ..Setup::new("acme", Access::ALL) }).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let now = OffsetDateTime::now_utc();
    for (name, description, abilities, lives, age, used) in [
        ("old-script", "", &["servers:read"][..], None, 300, Some(200)),
        ("laptop", "Terraform", &["servers:read", "sites:create"], Some(365), 90, Some(3)),
        ("contractor", "", &["sites:create"], Some(30), 20, None),
        ("nightly-backup", "cron on db-1", &["backups:create"], Some(365), 40, Some(1)),
        ("ci-deploy", "GitHub Actions", &["servers:read", "sites:create"], Some(90), 2, Some(0)),
    ] {
        let new = NewToken::named(name).abilities(abilities.to_vec());
        let new = new.metadata(json!({ "description": description }));
        let new = new.expires_at(lives.map(|days| (now + Duration::days(days)).into()));
        let issued = own.issue(new).await.unwrap();
        if let Some(days) = used {
            app.call("/api/who", issued.plain.expose_secret()).await;
            app.tokens.flush().await.unwrap();
            app.alter(name, "last_used_at", now - Duration::days(days) - Duration::minutes(3))
                .await;
        }
        app.alter(name, "created_at", now - Duration::days(age)).await;
        if name == "contractor" {
            let reason = Reason::new("invoice unpaid").unwrap();
            own.clone().because(reason).suspend(issued.record.id).await.unwrap();
        }
        if name == "nightly-backup" {
            let _ = own.rotate(issued.record.id, TokenRotation::new()).await.unwrap();
        }
    }
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/ada").await;
    browser.set_look(1200, "light").await;
    let height =
        "return Math.ceil(document.querySelector('.kf-pages').getBoundingClientRect().bottom)";
    let height = browser.run(height).await.as_u64().unwrap();
    let picture = browser.picture_of("readme", 1200, height + 16).await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/page.png");
    fs::copy(picture, docs).unwrap();
    browser.close().await;
}
