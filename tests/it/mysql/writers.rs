use std::sync::Arc;

use keyfob::store::MySqlStore;
use sqlx::mysql::MySqlPoolOptions;

use super::Tables;
use crate::support::{
    company::Company, new_owners_are_not_in_each_others_way, sixteen_writers_break_no_rule,
    sixty_four_inserts_reach_the_limit_exactly,
};

/// The contract while sixteen others write.
mod in_company {
    use super::{Company, MySqlStore, Tables, wide};

    async fn store() -> (MySqlStore, (Company, Tables)) {
        let tables = Tables::new();
        let company = Company::on(MySqlStore::clone(&*wide(&tables).await)).await;
        (tables.store().await, (company, tables))
    }

    keyfob::store_conformance!(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] => store().await);
}

/// With a connection for each writer.
async fn wide(tables: &Tables) -> Arc<MySqlStore> {
    let pool = MySqlPoolOptions::new().max_connections(16);
    let pool = pool.connect_with(Tables::options()).await.unwrap();
    Arc::new(MySqlStore::with_prefix(pool, &tables.prefix).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_at_once_break_no_rule() {
    let tables = Tables::new();
    sixteen_writers_break_no_rule(wide(&tables).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_concurrent_inserts_over_two_pools_as_many_get_in_as_the_limit_says() {
    let tables = Tables::new();
    sixty_four_inserts_reach_the_limit_exactly([wide(&tables).await, wide(&tables).await]).await;
}

/// None of them has a row to lock, so that gaps would be all that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_who_are_new_at_the_same_time_are_not_in_each_others_way() {
    let tables = Tables::new();
    new_owners_are_not_in_each_others_way(wide(&tables).await).await;
}
