//! A token's life, in memory: issued, verified, asked what it may do, listed, rotated, revoked.

use keyfob::{
    ApiTokens, ListTokens, NewToken, Owner, TokenRotation, VerifyError, store::MemoryStore,
};
use time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
    tokio::spawn(tokens.background());

    let owner = Owner::new("user:42")?;
    let own = tokens.owned_by(&owner);
    let new = NewToken::named("ci-deploy").abilities(["servers:read", "sites:*"]);
    let issued = own.issue(new).await?;
    let id = issued.record.id;
    println!("issued {}", issued.record.public_part());
    assert_eq!(issued.record.public_part(), format!("acme_{id}"));

    // What the user copies, this once, and sends with every request.
    let presented = issued.plain.expose_secret();

    let token = tokens.verify(presented).await?;
    println!("verified {} of {}", token.name(), token.owner());
    assert_eq!((token.name().as_str(), token.owner()), ("ci-deploy", &owner));

    let may = |ability| if token.can(ability) { "may" } else { "may not" };
    println!("it {} servers:read", may("servers:read"));
    println!("it {} servers:delete", may("servers:delete"));
    assert_eq!((may("servers:read"), may("servers:delete")), ("may", "may not"));

    let page = own.list(ListTokens::new()).await?;
    println!(
        "the owner has {} token, used: {}",
        page.tokens.len(),
        page.tokens[0].last_used_at.is_some()
    );
    assert!(page.tokens.len() == 1 && page.tokens[0].last_used_at.is_some());

    // A new secret; programs that have the old one get an hour to change over.
    let rotated = own.rotate(id, TokenRotation::new().grace(Duration::HOUR)).await?;
    println!("rotated, generation {}", rotated.record.generation);
    for secret in [presented, rotated.plain.expose_secret()] {
        assert_eq!(tokens.verify(secret).await?.id(), id);
    }

    own.revoke(id).await?;
    let refused = tokens.verify(presented).await;
    println!(
        "revoked: {}",
        refused.as_ref().map_or_else(ToString::to_string, |_| "still good".into())
    );
    assert!(matches!(refused, Err(VerifyError::Revoked(_))));
    Ok(())
}
