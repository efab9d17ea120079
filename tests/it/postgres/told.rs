//! What other nodes are told of changes, and when.

use std::time::Duration;

use keyfob::{
    ApiTokens, TokenId, TokenName, TokenRotation,
    store::{
        TokenStore,
        contract::{Change, Selection, Use},
    },
    token::{Revocation, Suspension},
};
use sqlx::{Connection, postgres::PgListener};

use super::{Schema, at, id, insert, owner, record};
use crate::support::store_ext::StoreExt;

/// Listens to what is told of the tokens in a schema.
struct Ear(PgListener);

impl Ear {
    async fn to(schema: &Schema) -> Self {
        let mut listener = PgListener::connect_with(&Schema::pool(1).await).await.unwrap();
        listener.listen(&format!("keyfob_{}", schema.name)).await.unwrap();
        Self(listener)
    }

    /// The next that is told, in order, which is long since if there is any.
    async fn hears(&mut self) -> String {
        let told = tokio::time::timeout(Duration::from_secs(60), self.0.recv()).await;
        told.unwrap().unwrap().payload().to_owned()
    }
}

fn text(ids: &[TokenId]) -> String {
    ids.iter().map(TokenId::to_string).collect::<Vec<_>>().join(",")
}

fn these(ids: &[TokenId]) -> Selection {
    Selection::Tokens { ids: ids.to_vec(), owner: None }
}

#[tokio::test]
async fn each_change_is_told_with_the_tokens_it_is_about() {
    let schema = Schema::new();
    let store = schema.store().await;
    for number in 1..=8 {
        insert(&store, &record(number)).await;
    }
    let mut ear = Ear::to(&schema).await;
    let mut change = Change::default();
    change.name = Some(TokenName::new("new").unwrap());
    let _ = store.change(id(1), None, &change).await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(1)]));

    let tokens = ApiTokens::builder(store.clone()).prefix("acme").build().unwrap();
    let _ = tokens.owned_by(owner()).rotate(id(2), TokenRotation::new()).await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(2)]));
    let _ = store.suspend(id(3), &Suspension::new(at(2_000))).await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(3)]));
    let _ = store.resume(id(3), at(3_000)).await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(3)]));

    let revocation = Revocation::new(at(5_000));
    store.end(&these(&[id(4), id(5), id(99)]), &revocation).await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(4), id(5)]));
    // Nothing is changed by these, and nothing told.
    store.end(&these(&[id(4), id(99)]), &revocation).await.unwrap();
    let _ = store.change(id(4), None, &change).await.unwrap();
    let uses = [Use::new(id(6), at(2_000))];
    store.record_uses(&uses).await.unwrap();
    insert(&store, &record(9)).await;
    store.erase(&owner()).await.unwrap();
    assert_eq!(ear.hears().await, text(&(1..=9).map(id).collect::<Vec<_>>()));
}

#[tokio::test]
async fn more_than_a_hundred_tokens_are_told_as_all() {
    let schema = Schema::new();
    let store = schema.store().await;
    let ids: Vec<_> = (1..=201).map(id).collect();
    for number in 1..=201 {
        insert(&store, &record(number)).await;
    }
    let mut ear = Ear::to(&schema).await;
    let revocation = Revocation::new(at(5_000));
    store.end(&these(&ids[..100]), &revocation).await.unwrap();
    assert_eq!(ear.hears().await, text(&ids[..100]));
    store.end(&these(&ids[100..]), &revocation).await.unwrap();
    assert_eq!(ear.hears().await, "clear");
}

#[tokio::test]
async fn a_transaction_is_told_once_it_is_committed_and_never_where_it_is_rolled_back() {
    let schema = Schema::new();
    let store = schema.store().await;
    for number in 1..=4 {
        insert(&store, &record(number)).await;
    }
    let mut ear = Ear::to(&schema).await;
    let revocation = Revocation::new(at(5_000));
    let mut connection = schema.connection().await;

    let mut transaction = connection.begin().await.unwrap();
    store.on(&mut transaction).end(&these(&[id(1)]), &revocation).await.unwrap();
    transaction.rollback().await.unwrap();

    let mut transaction = connection.begin().await.unwrap();
    store.on(&mut transaction).end(&these(&[id(2)]), &revocation).await.unwrap();
    store.end(&these(&[id(3)]), &revocation).await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(3)]), "what came later is committed");
    transaction.commit().await.unwrap();
    assert_eq!(ear.hears().await, text(&[id(2)]));
}
