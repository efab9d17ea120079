//! The contract of [`TokenStore`], clause by clause, to run over any store.
//!
//! For a store of your own, enable the feature `test-util` among your `dev-dependencies` and write one line,
//! [`store_conformance!`](crate::store_conformance): it makes a test of each clause. The name of the test is the clause. A
//! clause panics if the store does not keep it, and says what is wrong.
//!
//! | group | its clauses |
//! |---|---|
//! | `values` | What is written reads back unchanged, at the ends of each range and for hostile texts. |
//! | `insert`, `rules` | Inserts and later expiries keep the rules for names and limits, alone and at once. |
//! | `find` | Tokens are found by id in any state, and `peek` is never wrong. |
//! | `patch` | A patch is applied to the stored record in one step; one of two with the same expectation wins. |
//! | `revoke`, `delete` | Exactly the selected tokens, in steps; a revocation is for good. |
//! | `uses`, `ability_uses` | Uses only move forward, and revive nothing. |
//! | `list`, `count` | Lists and counts are those of the pure rules; pages neither skip nor repeat. |
//! | `lookalikes` | Texts that look alike stay apart. |
//! | `atomic`, `dropped` | Steps that run at once do not mix; a dropped step has happened whole or not at all. |
//!
//! Clauses make owners and ids that nobody else has, so that a store may hold other tokens before; while one runs,
//! nothing else should use the store. Concurrent steps are futures that are polled in turn by one task: they overlap in
//! a store whose futures wait. A store that works without waiting wants a test with threads besides.
//!
//! Three clauses are left to the store's own tests, because only it can bring about what they speak of: that errors
//! keep their cause, that a token that can't be read is told as corrupt, and that what was acknowledged is durable.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::wildcard_imports,
    reason = "clauses are tests: they panic where a store does not keep them, and share their fixtures"
)]

#[doc(hidden)]
pub mod ability_uses;
#[doc(hidden)]
pub mod atomic;
#[doc(hidden)]
pub mod count;
#[doc(hidden)]
pub mod delete;
#[doc(hidden)]
pub mod dropped;
#[doc(hidden)]
pub mod find;
mod fixture;
#[doc(hidden)]
pub mod insert;
#[doc(hidden)]
pub mod list;
#[doc(hidden)]
pub mod lookalikes;
#[doc(hidden)]
pub mod patch;
#[doc(hidden)]
pub mod revoke;
#[doc(hidden)]
pub mod rules;
#[doc(hidden)]
pub mod uses;
#[doc(hidden)]
pub mod values;

use futures_util::future::LocalBoxFuture;

use super::TokenStore;

/// What a clause runs on: a store, or a store and what has to live as long as it, such as a temporary directory.
pub trait Subject {
    /// The store.
    fn store(&self) -> &dyn TokenStore;
}

impl<S: TokenStore> Subject for S {
    fn store(&self) -> &dyn TokenStore {
        self
    }
}

impl<S: TokenStore, T> Subject for (S, T) {
    fn store(&self) -> &dyn TokenStore {
        &self.0
    }
}

/// A clause by its name, to run on a store.
pub type Clause = (&'static str, for<'s> fn(&'s dyn TokenStore) -> LocalBoxFuture<'s, ()>);

/// Returns every clause, for a test harness of one's own. A clause panics if the store does not keep it.
#[must_use]
pub fn clauses() -> Vec<Clause> {
    let mut clauses = Vec::<Clause>::new();
    crate::store_conformance! { @whole [] [list clauses] }
    crate::store_conformance! { @dropped [] [list clauses] }
    clauses
}

/// Makes a test of each clause of the store contract.
///
/// It takes the attribute that makes a test of an `async fn`, and an expression that gives a fresh store, or a pair of
/// a store and something that has to live as long as it does. The expression may await.
///
/// ```
/// # mod tests {
/// use keyfob::store::MemoryStore;
///
/// keyfob::store_conformance!(#[tokio::test] => MemoryStore::new());
/// # }
/// ```
///
/// A store that works on a connection of somebody else's lives no longer than it. There, name a function that makes one
/// and runs a clause on it. What drops a step midway (`dropped`) is left out, because it may leave such a connection
/// without use.
///
/// ```
/// # mod tests {
/// use keyfob::store::{MemoryStore, TokenStore};
///
/// async fn in_a_transaction(clause: impl AsyncFnOnce(&dyn TokenStore)) {
///     let store = MemoryStore::new(); // or: begin a transaction, and make a store on it
///     clause(&store).await;
/// }
///
/// keyfob::store_conformance!(#[tokio::test] in in_a_transaction);
/// # }
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($(#[$attribute:meta])+ => $fresh_store:expr) => {
        $crate::store_conformance! { @whole [$(#[$attribute])+] [=> $fresh_store] }
        $crate::store_conformance! { @dropped [$(#[$attribute])+] [=> $fresh_store] }
    };
    ($(#[$attribute:meta])+ in $run:path) => {
        $crate::store_conformance! { @whole [$(#[$attribute])+] [in $run] }
    };
    (@whole $attributes:tt $subject:tt) => {
        $crate::store_conformance! { @all $attributes $subject
            values {
                a_plain_token_reads_back_as_it_was_written
                every_field_reads_back_as_it_was_written
                an_absent_field_stays_absent
                addresses_read_back_in_their_family
                instants_read_back_at_both_ends_of_the_calendar
                numbers_read_back_at_their_ends
                bytes_read_back_whatever_they_are
                abilities_read_back
                metadata_reads_back_as_the_same_json
                hostile_texts_read_back_unchanged
            }
            insert {
                an_insert_never_replaces_a_token
                concurrent_inserts_of_one_id_let_one_in
                a_taken_name_is_refused
                names_may_repeat_where_no_rule_says_otherwise
                a_living_token_keeps_its_name
                a_token_that_has_ended_frees_its_name
                concurrent_inserts_of_one_name_let_one_in
                the_limit_is_kept_for_each_owner
                the_limit_counts_living_tokens
                concurrent_inserts_reach_the_limit_exactly
                an_idempotency_key_is_answered_with_the_first_token
                an_idempotency_key_belongs_to_its_owner
                concurrent_inserts_of_one_idempotency_key_let_one_in
                a_deleted_token_leaves_nothing_behind
            }
            find {
                an_unknown_token_is_none
                revoked_and_expired_tokens_are_found
                many_are_found_at_once_and_each_once
                a_peek_is_never_wrong
            }
            list {
                a_list_holds_what_its_filter_matches_in_its_order
                pages_neither_skip_nor_repeat
                pages_are_steady_while_tokens_are_added
                a_page_goes_on_where_a_token_is_gone
                a_list_of_all_owners_holds_everybodys_tokens
                tokens_are_counted_by_their_states
            }
            lookalikes {
                owners_that_look_alike_stay_apart
                names_that_look_alike_stay_apart
                idempotency_keys_that_look_alike_stay_apart
                pepper_keys_that_look_alike_stay_apart
            }
            patch {
                a_patch_is_written_and_nothing_else
                patches_add_up
                a_patch_on_what_is_outdated_is_refused
                a_revoked_or_unknown_token_is_not_patched
                an_expired_token_is_not_patched
                concurrent_patches_with_one_expectation_have_one_winner
                concurrent_patches_of_different_fields_all_stay
            }
            rules {
                a_taken_name_refuses_the_change
                a_name_that_is_free_is_taken_by_a_change
                concurrent_changes_to_one_name_let_one_in
                a_later_expiry_is_decided_as_an_insert
                an_insert_beside_an_extension_lets_one_in
            }
            revoke {
                a_revocation_is_written_and_nothing_else
                many_are_revoked_at_once
                only_tokens_of_the_given_owner_are_revoked
                the_children_of_tokens_are_revoked
                revoked_children_are_found
                revoking_works_in_steps
                named_tokens_are_found
                nothing_is_left_where_others_revoke_meanwhile
                all_tokens_of_an_owner_are_revoked
                a_revocation_is_irreversible
                concurrent_revocations_tell_each_token_once
            }
            uses {
                a_later_use_is_written_and_nothing_else
                last_used_never_moves_backwards
                a_first_use_is_written_whatever_its_instant
                a_use_makes_no_token
                a_use_revives_nothing
                a_large_batch_writes_each_use
                the_latest_use_in_a_batch_is_written
                concurrent_uses_leave_the_latest
            }
            ability_uses {
                each_ability_is_added_once
                a_hundred_abilities_are_kept
                an_ability_that_is_used_makes_no_token
                a_revoked_token_uses_nothing
                a_large_batch_adds_to_each_token
                concurrent_ability_uses_all_stay
            }
            count {
                current_digests_are_counted_for_each_key
                previous_digests_are_counted_for_each_key
                each_key_is_listed_once_and_in_order
                the_first_fingerprint_of_a_key_is_kept
                concurrent_fingerprints_agree_on_one
            }
            delete {
                pruning_deletes_what_ended_before_and_spares_the_rest
                pruning_works_in_batches
                a_parent_is_pruned_after_its_children
                pruning_goes_by_the_end_that_is_stored_now
                erasing_works_in_steps
                all_tokens_of_an_owner_are_erased
            }
            atomic {
                concurrent_steps_on_a_token_are_all_done
                a_revocation_stays_whatever_runs_beside_it
            }
        }
    };
    (@dropped $attributes:tt $subject:tt) => {
        $crate::store_conformance! { @all $attributes $subject
            dropped {
                a_dropped_insert_is_whole_or_nothing
                a_dropped_patch_is_whole_or_nothing
                a_dropped_revocation_is_whole_or_nothing
                a_dropped_batch_of_uses_is_whole_or_nothing
                a_dropped_deletion_is_whole_or_nothing
                a_dropped_fingerprint_is_whole_or_nothing
                a_store_outlives_many_dropped_futures
            }
        }
    };
    (@all $attributes:tt $subject:tt $($module:ident { $($clause:ident)+ })+) => {
        $($crate::store_conformance! { @module $attributes $subject $module $($clause)+ })+
    };
    (@module $attributes:tt $subject:tt $module:ident $($clause:ident)+) => {
        $($crate::store_conformance! { @clause $attributes $subject $module $clause })+
    };
    (@clause [$($attribute:tt)+] [=> $fresh_store:expr] $module:ident $clause:ident) => {
        $($attribute)+
        async fn $clause() {
            let subject = $fresh_store;
            let store = $crate::store::conformance::Subject::store(&subject);
            $crate::store::conformance::$module::$clause(store).await;
        }
    };
    (@clause $attributes:tt [list $list:ident] $module:ident $clause:ident) => {
        $list.push((stringify!($clause), |store| {
            Box::pin($crate::store::conformance::$module::$clause(store))
        }));
    };
    (@clause [$($attribute:tt)+] [in $run:path] $module:ident $clause:ident) => {
        $($attribute)+
        async fn $clause() {
            $run($crate::store::conformance::$module::$clause).await;
        }
    };
}
