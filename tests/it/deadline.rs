//! A store that does not answer: nobody waits for it for ever, and nobody is let in.

use keyfob::{BuildError, VerifyError, store::StoreError};
use time::Duration;

use crate::support::{World, on_every_store};

on_every_store! {
    a_store_that_does_not_answer_is_unavailable
    a_deadline_is_at_least_a_millisecond
}

async fn a_store_that_does_not_answer_is_unavailable(world: World) {
    let issued = world.issue_many(&world.tokens(), 1).await.remove(0);
    let plain = issued.plain.expose_secret();
    let token = world.tokens().verify(plain).await.unwrap();

    let tokens = world.builder().deadline(Duration::MILLISECOND).build().unwrap();
    world.store.forget();
    world.store.hang("find");
    for refused in [tokens.verify(plain).await, tokens.revalidate(&token).await] {
        let Err(VerifyError::Store(StoreError::Unavailable(_))) = refused else {
            panic!("{refused:?}");
        };
    }
    let reported = ["FirstUse", "StoreFailed", "StoreFailed"];
    assert_eq!(world.heard.kinds(), reported, "and it is reported");
}

async fn a_deadline_is_at_least_a_millisecond(world: World) {
    for deadline in [Duration::ZERO, Duration::seconds(-1), Duration::MICROSECOND] {
        let built = world.builder().deadline(deadline).build();
        assert_eq!(built.map(drop).unwrap_err(), BuildError::Deadline);
    }
}
