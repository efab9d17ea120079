//! What each call is answered.

use grpc::authenticate;
use keyfob::{
    ApiTokens, NewToken, Owner, RateLimit,
    store::MemoryStore,
    web::{Allowed, Authenticator, Realm, TokenAuthenticated},
};
use tonic::{Code, Status, metadata::MetadataMap};

keyfob::abilities! {
    pub enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
    }
}

const METHOD: &str = "/panel.Servers/List";

#[tokio::test]
async fn a_refusal_is_a_status() {
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("panel").build().unwrap();
    let owner = Owner::new("user:42").unwrap();
    let new = NewToken::named("ci").abilities(["servers:read"]);
    let issued = tokens.owned_by(&owner).issue(new).await.unwrap();
    let limit = RateLimit::new(3, std::time::Duration::from_secs(3_600).try_into().unwrap());
    let authenticator = Authenticator::require(tokens.clone(), Realm::new("Panel").unwrap())
        .rate_limit(limit.unwrap());
    let metadata = |value: &str| {
        let mut metadata = MetadataMap::new();
        if !value.is_empty() {
            metadata.insert("authorization", value.parse().unwrap());
        }
        metadata
    };
    let bearer = metadata(&format!("Bearer {}", issued.plain.expose_secret()));
    let told = |status: Status| (status.code(), status.message().to_owned());

    let caller: Allowed<ServersRead> = authenticate(&authenticator, &bearer, METHOD).await.unwrap();
    assert_eq!(caller.owner(), &owner);
    let token: TokenAuthenticated = authenticate(&authenticator, &bearer, METHOD).await.unwrap();
    assert_eq!(token.id(), issued.record.id);

    type Creates = Allowed<ServersCreate>;
    let lacking = authenticate::<Creates>(&authenticator, &bearer, METHOD).await.unwrap_err();
    assert_eq!(told(lacking), (Code::PermissionDenied, "insufficient_scope".to_owned()));
    let limited = authenticate::<Creates>(&authenticator, &bearer, METHOD).await.unwrap_err();
    assert_eq!(limited.metadata().get("retry-after").unwrap(), "1200");
    assert_eq!(told(limited), (Code::ResourceExhausted, "rate_limited".to_owned()));
    for (value, message) in [
        ("", "missing_credentials"),
        ("Bearer two words", "invalid_request"),
        ("Bearer panel_deploy", "invalid_token"),
    ] {
        let refused = authenticate::<Creates>(&authenticator, &metadata(value), METHOD).await;
        let refused = refused.unwrap_err();
        assert!(refused.metadata().contains_key("www-authenticate"), "{value}");
        assert_eq!(told(refused), (Code::Unauthenticated, message.to_owned()));
    }
}
