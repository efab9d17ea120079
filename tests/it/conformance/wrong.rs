//! Stores that are wrong in one behaviour each: the suite finds every one of them, by the clause that is named for it.

mod ending;
mod list;
mod store;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use keyfob::store::conformance;

use self::store::Wrong;

/// Each fault, and the clause that is named for it.
const LISTS: &str = "a_list_holds_what_its_filter_matches_in_its_order";

const FAULTS: &[(&str, &str)] = &[
    ("finds no token that is revoked", "revoked_and_expired_tokens_are_found"),
    ("finds a token as often as it is asked for", "many_are_found_at_once_and_each_once"),
    ("finds all but the last of many", "many_are_found_at_once_and_each_once"),
    ("finds tokens that were not asked for", "many_are_found_at_once_and_each_once"),
    ("peeks at what it has found before", "a_peek_is_never_wrong"),
    ("takes the id of another owner's token", "an_insert_never_replaces_a_token"),
    ("upserts", "an_insert_never_replaces_a_token"),
    ("counts expired tokens", "the_limit_counts_living_tokens"),
    ("ignores unique names", "a_taken_name_is_refused"),
    ("ignores the limit", "the_limit_is_kept_for_each_owner"),
    ("passes the limit by one", "concurrent_inserts_reach_the_limit_exactly"),
    ("frees the name of a suspended token", "a_living_token_keeps_its_name"),
    (
        "forgets the idempotency keys of revoked tokens",
        "an_idempotency_key_is_answered_with_the_first_token",
    ),
    (
        "asks for idempotency keys after the rules",
        "an_idempotency_key_is_answered_with_the_first_token",
    ),
    ("shares idempotency keys between owners", "an_idempotency_key_belongs_to_its_owner"),
    ("decides an insert outside the lock", "concurrent_inserts_of_one_name_let_one_in"),
    ("keeps what it refuses", "a_taken_name_is_refused"),
    ("loses the address of the last use", "every_field_reads_back_as_it_was_written"),
    ("cuts names to 50 characters", "hostile_texts_read_back_unchanged"),
    ("folds owners to lower case", "owners_that_look_alike_stay_apart"),
    ("shows revoked tokens as well", LISTS),
    ("judges states at another instant", LISTS),
    ("shows what was used since", LISTS),
    ("shows what was created since", LISTS),
    ("ignores a part of a name", LISTS),
    ("tells upper and lower case apart", LISTS),
    ("ignores an ability", LISTS),
    ("finds an ability by its text alone", LISTS),
    ("leaves out the last instant", LISTS),
    ("takes a token that was never used for used", LISTS),
    ("lists one owner where all are asked for", "a_list_of_all_owners_holds_everybodys_tokens"),
    ("orders by id where it is by creation", LISTS),
    ("orders ties the other way", LISTS),
    ("puts tokens that were never used last", LISTS),
    ("puts tokens that never expire first", LISTS),
    ("begins each page at the first token", "pages_neither_skip_nor_repeat"),
    ("finds its place by the token that it ended with", "a_page_goes_on_where_a_token_is_gone"),
    ("orders a page the other way", LISTS),
    ("stops a page early", "pages_neither_skip_nor_repeat"),
    ("has an end on the last page", LISTS),
    ("gives one more than the limit", "pages_neither_skip_nor_repeat"),
    ("counts no siblings", "a_taken_name_refuses_the_change"),
    ("decides no later expiry", "a_later_expiry_is_decided_as_an_insert"),
    ("lets a rotation extend a token under no rules", "a_later_expiry_is_decided_as_an_insert"),
    ("counts the token itself", "a_later_expiry_is_decided_as_an_insert"),
    ("ignores the expected expiry", "a_patch_on_what_is_outdated_is_refused"),
    ("ignores the expected secret", "concurrent_patches_with_one_expectation_have_one_winner"),
    ("marks the first use of any secret", "a_patch_on_what_is_outdated_is_refused"),
    ("changes expired tokens", "an_expired_token_is_not_patched"),
    ("suspends expired tokens", "an_expired_token_is_not_patched"),
    ("applies outside the lock", "concurrent_patches_of_different_fields_all_stay"),
    ("patches revoked tokens", "a_revoked_or_unknown_token_is_not_patched"),
    ("forgets to write a patch", "a_patch_is_written_and_nothing_else"),
    ("forgets the notices at each patch", "a_patch_is_written_and_nothing_else"),
    ("keeps the notices of an old expiry", "a_patch_is_written_and_nothing_else"),
    ("touches the last use", "a_patch_is_written_and_nothing_else"),
    ("answers the token as it was", "a_patch_is_written_and_nothing_else"),
    ("revokes other owners' tokens", "only_tokens_of_the_given_owner_are_revoked"),
    ("looks for children among living tokens", "revoked_children_are_found"),
    ("revokes one parent's children only", "the_children_of_tokens_are_revoked"),
    ("begins with the first child again", "revoking_works_in_steps"),
    ("revokes beyond the limit", "revoking_works_in_steps"),
    ("says that all are revoked", "revoking_works_in_steps"),
    (
        "says by what it changed that there are more",
        "nothing_is_left_where_others_revoke_meanwhile",
    ),
    ("finds living tokens only", "named_tokens_are_found"),
    ("prunes parents", "a_parent_is_pruned_after_its_children"),
    ("spares suspended tokens", "all_tokens_of_an_owner_are_revoked"),
    ("revokes one after the other", "a_dropped_revocation_is_whole_or_nothing"),
    ("revokes again", "a_revocation_is_irreversible"),
    ("forgets the reason", "a_revocation_is_written_and_nothing_else"),
    ("tells all that were asked for", "concurrent_revocations_tell_each_token_once"),
    ("writes uses one after the other", "a_dropped_batch_of_uses_is_whole_or_nothing"),
    ("writes the first use of a batch", "the_latest_use_in_a_batch_is_written"),
    ("moves the last use backwards", "last_used_never_moves_backwards"),
    ("revives on use", "a_use_revives_nothing"),
    ("keeps the address of the use before", "a_later_use_is_written_and_nothing_else"),
    ("replaces the abilities that were used", "each_ability_is_added_once"),
    ("keeps all abilities", "a_hundred_abilities_are_kept"),
    ("writes no abilities", "each_ability_is_added_once"),
    ("counts the tokens of all owners", "tokens_are_counted_by_their_states"),
    ("counts what the filter does not match", "tokens_are_counted_by_their_states"),
    ("lists keys in any order", "each_key_is_listed_once_and_in_order"),
    ("counts no previous digests", "previous_digests_are_counted_for_each_key"),
    ("spares revoked tokens", "all_tokens_of_an_owner_are_erased"),
    (
        "prunes what ends at that very second",
        "pruning_deletes_what_ended_before_and_spares_the_rest",
    ),
    ("deletes beyond the limit", "erasing_works_in_steps"),
    ("deletes one after the other", "a_dropped_deletion_is_whole_or_nothing"),
    ("says that there are no more", "erasing_works_in_steps"),
    ("does not tell what it deleted", "all_tokens_of_an_owner_are_erased"),
    ("folds keys to lower case", "pepper_keys_that_look_alike_stay_apart"),
    ("replaces a fingerprint", "the_first_fingerprint_of_a_key_is_kept"),
];

/// The names of the clauses that a store breaks.
async fn broken(fault: &'static str) -> BTreeSet<&'static str> {
    let mut broken = BTreeSet::new();
    for (name, clause) in conformance::clauses() {
        let outcome = tokio::task::spawn_blocking(move || {
            let store = Wrong::new(fault);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(clause(&store));
            }))
        });
        if outcome.await.unwrap().is_err() {
            broken.insert(name);
        }
    }
    broken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_finds_every_store_that_is_wrong() {
    assert_eq!(broken("").await, BTreeSet::new(), "a store without a fault keeps every clause");
    for (fault, clause) in FAULTS {
        let broken = broken(fault).await;
        assert!(broken.contains(clause), "{fault}: {clause} passes, {broken:?} does not");
    }
}
