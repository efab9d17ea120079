//! What is public can be sent, shared, copied, printed and waited for on any thread.

use futures_executor::block_on;
use keyfob::{
    Abilities, ApiTokens, ApiTokensBuilder, CheckError, Event, InvalidFields, InvalidValue,
    IssueError, IssuedToken, ListTokens, ManageError, NewToken, OperatorTokens, Owner, OwnerGate,
    OwnerTokens, PlainToken, RotateError, Timestamp, TokenChange, TokenId, TokenName, TokenPage,
    TokenPages, TokenRecord, TokenRotation, TokenState, VerifiedToken, VerifyError,
    limit::{Charge, Quota, RateLimited, RateLimiter},
    store::{
        MemoryStore, StoreError, TokenStore,
        contract::{Page, Query, StoredRow},
    },
    time::ManualClock,
    token::{
        Actor, AllowedAddresses, IdempotencyKey, KeyId, KeyedChecksum, MalformedToken, Metadata,
        NamePolicy, Pepper, PepperKey, Prefix, PresentedToken, RateLimit, Reason, Revocation,
        Suspension, TokenDigest, TokenFormat,
    },
    web::{
        Authenticator, Guard, Problem, Realm, TokenAuthenticated, TrustedProxies,
        auth::{Account, AuthContext, AuthRequest, Caller},
    },
};

#[cfg(feature = "axum")]
type A = keyfob::token::ReportOnly<Nothing>;

#[cfg(feature = "axum")]
#[derive(Debug)]
struct Nothing;

#[cfg(feature = "axum")]
impl keyfob::token::AbilityMarker for Nothing {
    const NAME: &'static str = "nothing";
}

fn shareable<T: Send + Sync + 'static>() {}
fn ordinary<T: Send + Sync + Unpin + Clone + std::fmt::Debug + 'static>() {}
fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
fn future<T: Send>(future: T) {
    drop(future);
}

#[test]
fn what_is_public_can_be_sent_and_shared() {
    ordinary::<(Abilities, ApiTokens, InvalidFields, ListTokens, ManualClock, NewToken, Owner)>();
    ordinary::<(OwnerTokens, Timestamp, TokenChange, TokenId, TokenName, TokenPage, TokenRecord)>();
    ordinary::<(TokenState, VerifiedToken, Page, Query, StoredRow)>();
    ordinary::<(Actor, AllowedAddresses, IdempotencyKey, KeyId, Metadata, NamePolicy, Prefix)>();
    ordinary::<(PresentedToken<'static>, RateLimit, Reason, Revocation, Suspension, TokenDigest)>();
    ordinary::<(TokenFormat, Problem, Realm, MalformedToken, RateLimiter, Charge, Quota)>();
    ordinary::<(RateLimited, TrustedProxies, OperatorTokens, TokenRotation)>();
    ordinary::<(Pepper, PepperKey, KeyedChecksum, Event)>();
    ordinary::<(Account, AuthContext, AuthRequest<'static>, Authenticator, Caller, Guard)>();
    ordinary::<(TokenAuthenticated, keyfob::limit::Payer)>();
    shareable::<TokenPages>();
    shareable::<Box<dyn OwnerGate>>();
    error::<RotateError>();
    shareable::<(ApiTokensBuilder, IssuedToken, PlainToken, MemoryStore)>();
    shareable::<Box<dyn TokenStore>>();
    error::<InvalidValue>();
    error::<CheckError>();
    error::<InvalidFields>();
    error::<IssueError>();
    error::<ManageError>();
    error::<StoreError>();
    error::<VerifyError>();
    #[cfg(feature = "sqlite")]
    shareable::<keyfob::store::SqliteStore>();
    #[cfg(feature = "axum")]
    {
        use keyfob::web::{
            Allowed, AllowedAll, AllowedAny, Authenticated, GuardLog, JsonBody, MaybeAllowed,
        };
        ordinary::<(GuardLog, keyfob::web::axum::TokenLayer)>();
        ordinary::<(Allowed<A>, AllowedAny<(A, A)>, AllowedAll<(A, A)>, MaybeAllowed<A>)>();
        ordinary::<(Authenticated, JsonBody, keyfob::web::axum::CheckedService<()>)>();
    }
    #[cfg(feature = "actix")]
    ordinary::<keyfob::web::actix::TokenMiddleware>();
}

#[test]
fn every_future_can_be_sent() {
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    let owner: Owner = "user:42".parse().unwrap();
    let own = tokens.owned_by(&owner);
    let id = TokenId::from_u128(1);
    future(tokens.issue(NewToken::new(owner.clone(), "a")));
    future(tokens.verify("acme_"));
    future(tokens.verify_from("acme_", None));
    let issued = block_on(tokens.issue(NewToken::new(owner.clone(), "a"))).unwrap();
    let token = block_on(tokens.verify(issued.plain.expose_secret())).unwrap();
    future(tokens.revalidate(&token));
    future(tokens.background());
    future(tokens.flush());
    future(tokens.check());
    future(tokens.prune(Timestamp::MIN));
    future((own.get(id), own.list(ListTokens::new()), own.count(), own.erase()));
    future((own.rename(id, "b"), own.change(id, TokenChange::new())));
    future((own.revoke(id), own.revoke_many(&[id]), own.revoke_all()));
    future((own.revoke_with_descendants(id), own.suspend(id), own.resume(id)));
    future((own.suspend_until(id, Timestamp::MAX), own.rotate(id, TokenRotation::new())));
    future(tokens.issue_on_behalf_of(&token, NewToken::new(owner.clone(), "b")));
    future(tokens.rotate_presented(&token, TokenRotation::new()));
    future(tokens.revoke_presented("acme_"));
    let all = tokens.operator();
    let (mut expiring, mut unused) =
        (all.expiring_within(time::Duration::DAY), all.unused_since(Timestamp::MIN));
    future((all.count_by_key(), all.revoke_many(&[id]), expiring.next_page(), unused.next_page()));
}
