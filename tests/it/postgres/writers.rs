use std::sync::Arc;

use keyfob::store::PostgresStore;

use super::Schema;
use crate::support::{
    company::Company, new_owners_are_not_in_each_others_way, sixteen_writers_break_no_rule,
    sixty_four_inserts_reach_the_limit_exactly,
};

/// The contract while sixteen others write.
mod in_company {
    use super::{Company, PostgresStore, Schema, wide};

    async fn store() -> (PostgresStore, (Company, Schema)) {
        let schema = Schema::new();
        let company = Company::on(PostgresStore::clone(&*wide(&schema).await)).await;
        (schema.store().await, (company, schema))
    }

    keyfob::store_conformance!(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] => store().await);
}

/// With a connection for each writer.
async fn wide(schema: &Schema) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::in_schema(Schema::pool(16).await, &schema.name).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_at_once_break_no_rule() {
    let schema = Schema::new();
    sixteen_writers_break_no_rule(wide(&schema).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_concurrent_inserts_over_two_pools_as_many_get_in_as_the_limit_says() {
    let schema = Schema::new();
    sixty_four_inserts_reach_the_limit_exactly([wide(&schema).await, wide(&schema).await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_who_are_new_at_the_same_time_are_not_in_each_others_way() {
    let schema = Schema::new();
    new_owners_are_not_in_each_others_way(wide(&schema).await).await;
}
