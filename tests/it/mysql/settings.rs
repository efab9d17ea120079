//! Settings with which statements mean something else are found when the store is opened.

use keyfob::store::{MySqlStore, OpenError};
use sqlx::MySqlPool;

use super::Tables;
use crate::support::engine::{MySql, OwnServer};

const WRONG: [(&str, &str, &str); 8] = [
    ("SET sql_select_limit = 1", "sql_select_limit", "1"),
    ("SET sql_select_limit = 0", "sql_select_limit", "0"),
    ("SET sql_mode = 'EMPTY_STRING_IS_NULL'", "sql_mode", "EMPTY_STRING_IS_NULL"),
    ("SET sql_safe_updates = 1", "sql_safe_updates", "ON"),
    ("SET sql_big_selects = 0", "sql_big_selects", "OFF"),
    ("SET unique_checks = 0", "unique_checks", "OFF"),
    ("SET character_set_connection = ucs2", "character_set_connection", "ucs2"),
    ("SET character_set_results = utf16", "character_set_results", "utf16"),
];

#[tokio::test]
async fn a_setting_that_changes_what_statements_mean_is_named() {
    let tables = Tables::new();
    for (statement, name, value) in WRONG {
        let pool = Tables::pool_that_says(statement).await;
        match MySqlStore::with_prefix(pool, &tables.prefix).await {
            Err(OpenError::Setting { setting, found, .. }) => {
                assert_eq!((setting, found.as_str()), (name, value), "{statement}");
            }
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_log_of_statements_is_refused() {
    let options = &["--log-bin=log", "--server-id=1", "--binlog-format=STATEMENT"];
    let server = OwnServer::<MySql>::start(options).await;
    let opened = MySqlStore::with_pool(MySqlPool::connect(&server.url).await.unwrap()).await;
    let Err(error) = opened else { panic!("{opened:?}") };
    assert_eq!(
        error.to_string(),
        "the setting binlog_format is \"STATEMENT\", and must be ROW or MIXED, \
         where log_bin is on"
    );
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let tables = Tables::new();
    drop(tables.store().await);
    let (user, database) =
        (format!("u{}", &tables.prefix[1..9]), "SELECT CONVERT(DATABASE() USING binary)");
    let database = tables.text(database).await.unwrap();
    let grant = async |rights: &str, table: &str| {
        let table = format!("{database}.{}{table}", tables.prefix);
        tables.run(&format!("GRANT {rights} ON {table} TO {user}")).await;
    };
    tables.run(&format!("CREATE USER {user}")).await;
    for table in ["migrations", "tokens", "owners", "canaries"] {
        grant("SELECT", table).await;
    }
    let open = async || {
        let pool = MySqlPool::connect_with(Tables::options().username(&user)).await.unwrap();
        MySqlStore::with_prefix(pool, &tables.prefix).await
    };
    for (table, rights) in [
        ("tokens", &["INSERT", "UPDATE", "DELETE"][..]),
        ("owners", &["INSERT", "UPDATE", "DELETE"]),
        ("canaries", &["INSERT"]),
    ] {
        for right in rights {
            let Err(error) = open().await else { panic!("{right} on {table}") };
            let table = format!("{}{table}", tables.prefix);
            assert_eq!(
                error.to_string(),
                format!("the role \"{user}@%\" has no {right} on {table}")
            );
            grant(right, &table[tables.prefix.len()..]).await;
        }
    }
    super::insert(&open().await.unwrap(), &super::record(1)).await;
    tables.run(&format!("DROP USER {user}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_into_which_no_row_fits_are_refused() {
    let server = OwnServer::<MySql>::start(&["--innodb-page-size=4096"]).await;
    let opened = MySqlStore::with_pool(MySqlPool::connect(&server.url).await.unwrap()).await;
    let Err(error) = opened else { panic!("{opened:?}") };
    let expected = "the setting innodb_page_size is \"4096\", and must be at least 8192";
    assert_eq!(error.to_string(), expected);
}
