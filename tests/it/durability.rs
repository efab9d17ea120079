//! What was acknowledged is there after the server was killed in the midst of its work.

use keyfob::{ApiTokens, IssueError, IssuedToken, ManageError, NewToken};
use tokio::sync::mpsc;

use crate::support::{
    engine::{Engine, OwnServer, Place, on_every_engine},
    eventually, owner, verdict,
};

const ROUNDS: usize = 3;
const WRITERS: usize = 8;
const CHANGES: usize = 40;

on_every_engine! {
    what_is_acknowledged_outlives_a_server_that_is_killed
}

async fn what_is_acknowledged_outlives_a_server_that_is_killed<E: Engine>() {
    let server = OwnServer::<E>::start(E::DURABLE).await;
    let place = Place::<E>::on(server.url.clone()).await;
    let pool = place.pool(&place.address(), 8).await;
    let store = place.store(pool.clone()).await;
    let tokens = ApiTokens::builder(store).prefix("acme").build().unwrap();
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        let (acknowledged, mut acknowledgements) = mpsc::unbounded_channel();
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                tokio::spawn(issue_and_revoke(tokens.clone(), number, acknowledged.clone()))
            })
            .collect();
        for _ in 0..CHANGES {
            acknowledgements.recv().await.unwrap();
        }
        server.kill().await;
        for writer in writers {
            kept.extend(writer.await.unwrap());
        }
        server.start_again().await;
        eventually(async || verdict(&tokens, &kept[0].0).await != "store_unavailable").await;
        for (token, expected) in &kept {
            assert_eq!(verdict(&tokens, token).await, *expected);
        }
    }
    for expected in ["good", "revoked"] {
        let count = kept.iter().filter(|(_, verdict)| *verdict == expected).count();
        println!("{}: {count} acknowledged as {expected}", E::KIND);
        assert!(count >= ROUNDS * CHANGES / 2, "{count}");
    }
    pool.close().await;
}

/// Goes on until the server is gone, and tells what has to be found of each token that something is certain about.
async fn issue_and_revoke(
    tokens: ApiTokens,
    number: usize,
    acknowledged: mpsc::UnboundedSender<()>,
) -> Vec<(IssuedToken, &'static str)> {
    let owner = owner(&format!("user:{number}"));
    let own = tokens.owned_by(&owner);
    let mut certain = Vec::new();
    loop {
        for verdict in ["good", "revoked"] {
            let issued = match tokens.issue(NewToken::new(owner.clone(), "ci")).await {
                Ok(issued) => issued,
                Err(IssueError::Store(_)) => return certain,
                Err(error) => panic!("{error:?}"),
            };
            if verdict == "revoked" {
                match own.revoke(issued.record.id).await {
                    Ok(()) => {}
                    Err(ManageError::Store(_)) => return certain,
                    Err(error) => panic!("{error:?}"),
                }
            }
            certain.push((issued, verdict));
            let _ = acknowledged.send(());
        }
    }
}
