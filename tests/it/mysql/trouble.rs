use super::Tables;
use crate::support::database::what_is_damaged_is_named_and_spares_the_others;

/// What somebody wrote into a row, and the column that is to be named.
const DAMAGE: [(&str, &str); 12] = [
    ("prefix = 'Not A Prefix'", "prefix"),
    ("owner = x'ff'", "owner"),
    ("name = x'ff'", "name"),
    ("generation = -1", "generation"),
    ("abilities = x'ff'", "abilities"),
    ("created_at = 9223372036854775807", "created_at"),
    ("previous_ends_on_first_use = 1", "previous_digest"),
    ("last_used_at = 1, last_used_from = 'nowhere'", "last_used_from"),
    ("revoked_by = 'who'", "revoked_at"),
    ("metadata = x'ff'", "metadata"),
    ("notices = 'seven'", "notices"),
    ("used_abilities = 'a::b'", "used_abilities"),
];

#[tokio::test]
async fn each_column_that_cannot_be_read_is_named_and_the_other_tokens_are_listed() {
    let tables = Tables::new();
    let store = tables.store().await;
    what_is_damaged_is_named_and_spares_the_others(&store, &DAMAGE, async |damage, id| {
        let row = format!("id = UNHEX('{:032x}')", id.as_u128());
        tables.run(&format!("UPDATE {{tokens}} SET {damage} WHERE {row}")).await;
    })
    .await;
}
