use keyfob::store::{
    CorruptRecord, Order, SortBy, StoreError, TokenStore,
    contract::{Filter, InsertRules, Page, Query, Selection},
};
use sqlx::AssertSqlSafe;

use super::{File, at, insert, query, record};
use crate::support::store_ext::StoreExt;

/// What somebody wrote into a row, and the column that is to be named.
const CASES: &[(&str, &str)] = &[
    ("prefix = 'Not A Prefix'", "prefix"),
    ("owner = 'user:42' || char(10)", "owner"),
    ("name = ''", "name"),
    ("name = CAST('token 0001' || x'ff' AS TEXT)", "name"),
    ("name = CAST(x'ff' AS TEXT)", "name"),
    ("digest = x'00'", "digest"),
    ("digest_key = ''", "digest"),
    ("generation = -1", "generation"),
    ("first_used_at = 999999999999", "first_used_at"),
    ("previous_digest = x'00'", "previous_digest"),
    ("previous_digest = zeroblob(32), previous_ends_at = 999999999999", "previous_ends_at"),
    ("abilities = 'a::b'", "abilities"),
    ("created_at = -999999999999", "created_at"),
    ("expires_at = 999999999999", "expires_at"),
    ("not_before = 999999999999", "not_before"),
    ("idle_seconds = 0", "idle_seconds"),
    ("last_used_at = 999999999999", "last_used_at"),
    ("last_used_from = 'nowhere'", "last_used_from"),
    ("suspended_since = 999999999999", "suspended_since"),
    ("suspended_since = 1, suspended_until = 999999999999", "suspended_until"),
    ("suspended_since = 1, suspended_reason = ''", "suspended_reason"),
    ("revoked_at = 999999999999", "revoked_at"),
    ("revoked_at = 1, revoked_by = ''", "revoked_by"),
    ("revoked_at = 1, revoked_reason = ''", "revoked_reason"),
    ("created_by = ''", "created_by"),
    ("parent = x'00'", "parent"),
    ("allowed_addresses = 'somewhere'", "allowed_addresses"),
    ("rate_limit_requests = 1", "rate_limit"),
    ("metadata = '[]'", "metadata"),
    ("metadata = CAST(x'ff' AS TEXT)", "metadata"),
    ("notices = 'seven'", "notices"),
    ("used_abilities = 'a::b'", "used_abilities"),
    ("idempotency_key = ''", "idempotency_key"),
];

/// Three tokens, of which the one in the middle is made unreadable.
async fn broken(write: &str) -> (File, keyfob::store::SqliteStore) {
    let file = File::new();
    let store = file.store().await;
    for id in 1..=3 {
        insert(&store, &record(id)).await;
    }
    let update = format!(
        "PRAGMA ignore_check_constraints = ON;
        UPDATE keyfob_tokens SET {write} WHERE name = 'token 0002'"
    );
    file.run(&update).await;
    (file, store)
}

fn ids(page: &Page) -> Vec<u128> {
    page.records.iter().map(|record| record.id.as_u128()).collect()
}

#[tokio::test]
async fn each_column_that_cannot_be_read_is_named_and_the_other_tokens_are_listed() {
    for (write, field) in CASES {
        let (_file, store) = broken(write).await;
        let corrupt = CorruptRecord::new(Some(record(2).id), field);
        match store.one(record(2).id).await {
            Err(StoreError::Corrupt(found)) => assert_eq!(found, corrupt, "{write}"),
            other => panic!("{write}: {other:?}"),
        }
        let many = store.find(&[1, 2, 3].map(|id| record(id).id)).await.unwrap();
        assert_eq!((ids(&many), many.corrupt), (vec![1, 3], vec![corrupt.clone()]), "{write}");

        if *field != "owner" {
            let page = store.list(&query(Order::OLDEST)).await.unwrap();
            assert_eq!((ids(&page), page.corrupt), (vec![1, 3], vec![corrupt]), "{write}");
        }
    }
}

#[tokio::test]
async fn a_page_that_ends_with_an_unreadable_token_is_followed_by_the_next() {
    for (write, _) in CASES.iter().filter(|(_, field)| *field != "owner") {
        let (_file, store) = broken(write).await;
        for sort in
            [Order::NEWEST, Order::OLDEST, Order::by(SortBy::Name), Order::by(SortBy::LastUsed)]
        {
            let mut query = query(sort);
            query.limit = 1;
            let (mut found, mut corrupt, mut pages) = (Vec::new(), 0, 0);
            loop {
                let page = store.list(&query).await.unwrap();
                found.extend(ids(&page));
                corrupt += page.corrupt.len();
                pages += 1;
                match page.end {
                    Some(end) => query.after = Some(end),
                    None => break,
                }
                assert!(pages < 4, "{write} {sort:?} goes on for ever");
            }
            found.sort_unstable();
            assert_eq!((found, corrupt, pages), (vec![1, 3], 1, 3), "{write} {sort:?}");
        }
    }
}

#[tokio::test]
async fn expiring_and_unused_tokens_are_told_beside_an_unreadable_one() {
    let (file, store) = broken("prefix = ''").await;
    file.run("UPDATE keyfob_tokens SET expires_at = 2000").await;
    let corrupt = [CorruptRecord::new(Some(record(2).id), "prefix")];

    let mut expiring = Filter::new(None, at(1_000));
    expiring.expires = Some((at(1_000), at(3_000)));
    let mut unused = Filter::new(None, at(3_000));
    (unused.created_before, unused.unused_since) = (Some(at(3_000)), Some(at(3_000)));
    for (filter, order) in [(expiring, Order::by(SortBy::Expires)), (unused, Order::OLDEST)] {
        let mut query = Query::new(filter, order, 10);
        let page = store.list(&query).await.unwrap();
        assert_eq!((ids(&page), page.corrupt), (vec![1, 3], corrupt.to_vec()));
        query.limit = 2;
        let first = store.list(&query).await.unwrap();
        query.after.clone_from(&first.end);
        let rest = store.list(&query).await.unwrap();
        assert_eq!((ids(&first), ids(&rest), rest.end), (vec![1], vec![3], None));
    }
}

#[tokio::test]
async fn an_unreadable_token_is_not_changed_but_can_be_revoked() {
    let (file, store) = broken("prefix = ''").await;
    let id = record(2).id;
    let suspension = keyfob::token::Suspension::new(at(5));
    let suspended = store.suspend(id, &suspension).await;
    assert!(matches!(suspended, Err(StoreError::Corrupt(_))), "{suspended:?}");
    let since = "SELECT group_concat(suspended_since) FROM keyfob_tokens";
    assert_eq!(file.text(since).await, None);

    let selection = Selection::Tokens { ids: vec![id], owner: None };
    let revocation = keyfob::token::Revocation::new(at(5));
    assert_eq!(store.end(&selection, &revocation).await.unwrap(), [id]);
}

#[tokio::test]
async fn what_the_columns_can_check_is_not_written() {
    let file = File::new();
    let store = file.store().await;
    store.insert(&record(1), &InsertRules::none()).await.map(drop).unwrap();
    for write in ["id = x'00'", "digest = x'00'", "generation = 'many'", "created_at = NULL"] {
        let update = AssertSqlSafe(format!("UPDATE keyfob_tokens SET {write}"));
        let refused = sqlx::query(update).execute(&mut file.connection().await).await;
        assert!(refused.is_err(), "{write}");
    }
}

#[tokio::test]
async fn an_unreadable_token_is_listed_as_such_reported_and_can_be_revoked_by_its_owner() {
    let (_file, store) = broken("abilities = 'a::b'").await;
    let events = crate::support::RecordedEvents::default();
    let tokens = keyfob::ApiTokens::builder(store).prefix("acme").inline_observer(events.clone());
    let tokens = tokens.build().unwrap();
    let own = tokens.owned_by(super::owner());
    let corrupt = CorruptRecord::new(Some(record(2).id), "abilities");

    let page = own.list(keyfob::ListTokens::new()).await.unwrap();
    assert_eq!(page.tokens.iter().map(|it| it.id.as_u128()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(page.unreadable, [corrupt]);
    assert_eq!(events.count("Corrupt"), 1);

    let got = own.get(record(2).id).await;
    assert!(matches!(got, Err(keyfob::ManageError::Store(StoreError::Corrupt(_)))), "{got:?}");
    assert_eq!(events.count("Corrupt"), 1);
    own.revoke(record(2).id).await.unwrap();
    assert_eq!(events.count("Revoked"), 1);
}
