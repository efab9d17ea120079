//! What the application sets on its connections is its own affair.

use keyfob::{
    Owner, TokenName,
    store::{
        MySqlStore, Order, SortBy, TokenStore,
        contract::{Change, Filter, InsertOutcome, InsertRules, Patch, Query, States, Use},
    },
    testing::rare_of,
    token::{Abilities, Ability, Metadata, Reason, Revocation},
};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};

use super::{Tables, at, record};
use crate::support::store_ext::StoreExt;

const MODES: [&str; 8] = [
    "SET sql_mode = ''",
    "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'",
    "SET sql_mode = 'ANSI,TRADITIONAL'",
    "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,ONLY_FULL_GROUP_BY'",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET NAMES latin1",
    "SET completion_type = CHAIN",
    "SET time_zone = '-11:00', collation_connection = utf8mb4_bin, sql_select_limit = DEFAULT",
];

async fn goes_through_its_life(store: &MySqlStore, mode: &str) {
    let mut record = record(1);
    record.owner = Owner::new("ÄÖ \\' \" ` ; -- ?").unwrap();
    record.name = TokenName::new("\u{1F511}".repeat(100)).unwrap();
    rare_of(&mut record).metadata = Metadata::from_json(r#"{"a":"é\\'\"`"}"#).unwrap();
    record.expires_at = Some(at(9_000));
    record.abilities = Abilities::set(["servers:*"]).unwrap();
    let rules = InsertRules { unique_name: true, limit_per_owner: Some(1), ..InsertRules::none() };
    assert_eq!(store.insert(&record, &rules).await.unwrap(), InsertOutcome::Inserted, "{mode}");
    assert_eq!(store.insert(&record, &rules).await.unwrap(), InsertOutcome::IdTaken, "{mode}");
    assert_eq!(store.one(record.id).await.unwrap().as_deref(), Some(&record), "{mode}");

    let from = Some([255; 16].into());
    let a_use = Use { from, ..Use::new(record.id, at(2_000)) };
    store.record_uses(&[a_use]).await.unwrap();
    assert!(store.claim_notice(record.id, at(9_000), 7).await.unwrap(), "{mode}");
    assert!(!store.claim_notice(record.id, at(9_000), 7).await.unwrap(), "{mode}");
    let (mut change, expected_expiry) = (Change::default(), record.expires_at);
    change.name = Some(TokenName::new("a\\").unwrap());
    let rename = Patch::Change { expected_expiry, change, rules };
    assert!(store.apply(record.id, rename).await.unwrap(), "{mode}");
    let ability = Ability::new("x".repeat(100)).unwrap();
    let used = Use { abilities: [ability].into(), ..Use::new(record.id, at(2_000)) };
    store.record_uses(&[used]).await.unwrap();
    let mut filter = Filter::new(Some(record.owner.clone()), at(2_000));
    filter.states = States::NOT_REVOKED;
    filter.name_part = Some("A\\".to_owned());
    filter.ability = Some(Ability::new("servers:read").unwrap());
    let query = Query::new(filter.clone(), Order::by(SortBy::Name), 10);
    let page = store.list(&query).await.unwrap();
    assert_eq!(store.count(&filter).await.unwrap().total(), 1, "{mode}");
    let [found] = &page.records[..] else { panic!("{mode}: {page:?}") };
    assert_eq!((found.name.as_str(), found.last_used_from), ("a\\", from), "{mode}");
    assert_eq!(found.used_abilities().count(), 1, "{mode}");
    let mut revocation = Revocation::new(at(3_000));
    revocation.reason = Some(Reason::new("é".repeat(127)).unwrap());
    let all = keyfob::store::contract::Selection::AllOf(record.owner.clone());
    assert_eq!(store.end(&all, &revocation).await.unwrap(), [record.id], "{mode}");
    let found = store.one(record.id).await.unwrap().unwrap();
    assert_eq!(found.revocation.as_deref(), Some(&revocation), "{mode}");
    assert_eq!(store.prune(at(3_001), 10).await.unwrap(), 1, "{mode}");
}

#[tokio::test]
async fn a_token_goes_through_its_life_whatever_the_session_is_set_to() {
    for mode in MODES {
        let tables = Tables::new();
        let pool = Tables::pool_that_says(mode).await;
        let store = MySqlStore::with_prefix(pool, &tables.prefix).await.unwrap();
        goes_through_its_life(&store, mode).await;
    }
}

#[tokio::test]
async fn a_pool_on_which_sqlx_sets_nothing_will_do() {
    let bare: fn(MySqlConnectOptions) -> MySqlConnectOptions = |options| {
        let options = options.pipes_as_concat(false).no_engine_substitution(false);
        options.timezone(None).set_names(false).statement_cache_capacity(0)
    };
    let tables = Tables::new();
    let pool = MySqlPoolOptions::new().connect_with(bare(Tables::options())).await.unwrap();
    let store = MySqlStore::with_prefix(pool, &tables.prefix).await.unwrap();
    goes_through_its_life(&store, "bare").await;
}
