//! The contract on a connection that the application holds. What is left out drops steps midway, after which such a
//! connection takes no other.

use keyfob::store::{TokenStore, conformance};
use sqlx::Connection;

use super::Schema;

async fn outside_a_transaction(clause: impl AsyncFnOnce(&dyn TokenStore)) {
    let schema = Schema::new();
    let mut connection = schema.connection().await;
    clause(&schema.store().await.on(&mut connection)).await;
}

async fn in_a_transaction(clause: impl AsyncFnOnce(&dyn TokenStore)) {
    let schema = Schema::new();
    let store = schema.store().await;
    let mut connection = schema.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    clause(&store.on(&mut transaction)).await;
    transaction.commit().await.unwrap();
}

macro_rules! clauses {
    ($($module:ident { $($clause:ident)+ })+) => {
        clauses! { @ outside_a_transaction $($module { $($clause)+ })+ }
        clauses! { @ in_a_transaction $($module { $($clause)+ })+ }
    };
    (@ $place:ident $($module:ident { $($clause:ident)+ })+) => {
        mod $place {
            $($(
                #[tokio::test]
                async fn $clause() {
                    super::$place(super::conformance::$module::$clause).await;
                }
            )+)+
        }
    };
}

clauses! {
    values {
        every_field_reads_back_as_it_was_written
        hostile_texts_read_back_unchanged
    }
    insert {
        an_insert_never_replaces_a_token
        concurrent_inserts_of_one_id_let_one_in
        a_taken_name_is_refused
        a_revoked_token_frees_its_name
        concurrent_inserts_of_one_name_let_one_in
        the_limit_counts_what_is_not_revoked
        concurrent_inserts_reach_the_limit_exactly
        an_idempotency_key_is_answered_with_the_first_token
        concurrent_inserts_of_one_idempotency_key_let_one_in
        a_deleted_token_leaves_nothing_behind
    }
    page {
        each_order_sorts_as_it_says
        pages_neither_skip_nor_repeat
    }
    change {
        a_change_changes_its_columns_and_no_other
        a_change_on_an_outdated_expiry_is_refused
        a_taken_name_refuses_the_change
        concurrent_changes_of_different_columns_all_stay
    }
    secret {
        a_rotation_replaces_the_secret_and_nothing_else
        a_rotation_on_what_is_outdated_is_refused
        concurrent_rotations_have_one_winner
        concurrent_first_uses_mark_one
        concurrent_rekeyings_have_one_winner
    }
    revoke {
        only_tokens_of_the_given_owner_are_revoked
        the_descendants_of_a_token_are_revoked
        all_tokens_of_an_owner_are_revoked
        a_revocation_is_irreversible
        concurrent_revocations_tell_each_token_once
    }
    suspend {
        a_suspension_ends_when_resumed_unless_it_ended_before
    }
    uses {
        a_large_batch_writes_each_use
        concurrent_uses_leave_the_latest
    }
    ability_uses {
        a_large_batch_adds_to_each_token
        concurrent_ability_uses_all_stay
    }
    notice {
        concurrent_claims_of_a_notice_have_one_winner
    }
    count {
        current_digests_are_counted_for_each_key
        concurrent_canaries_agree_on_one
    }
    delete {
        pruning_deletes_what_ended_before_and_spares_the_rest
        all_tokens_of_an_owner_are_erased
    }
    atomic {
        concurrent_steps_on_a_token_are_all_done
        a_revocation_stays_whatever_runs_beside_it
    }
}
