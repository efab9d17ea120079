//! A store that answers late: what waits, what is called, and what is left when nobody waits any more.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use futures_util::FutureExt;

use super::{
    app::{Framework, Setup, take_handled},
    http::get,
    scene::{Scene, is},
};

on_both! {
    a_request_waits_for_the_store_and_its_handler_is_called_once
    a_refusal_that_came_late_calls_no_handler
    what_is_dropped_while_it_waits_leaves_nothing
    what_is_known_does_not_wait
}

/// Makes the store wait until the gate is opened.
fn gate(scene: &Scene) -> Arc<AtomicBool> {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    scene.world.store.forget();
    scene.world.store.before("find", move || {
        let gate = gate.clone();
        poll_fn(move |_| if gate.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }).boxed()
    });
    open
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

const PATHS: [(&str, bool); 4] =
    [("/allowed", true), ("/guarded", true), ("/projects/42", true), ("/state/allowed", false)];

async fn a_request_waits_for_the_store_and_its_handler_is_called_once(framework: Framework) {
    for (path, layer) in PATHS {
        let scene = Scene::new(framework).await;
        let client = scene.client_of(Setup { layer, ..Setup::new(scene.limited(60)) }).await;
        let at_once = client.send(get(path).with("everything")).await;
        assert_eq!((at_once.status, take_handled()), (200, 1));
        let open = gate(&scene);
        scene.world.store.take_calls();

        let mut waiting = (client.serve)(client.filled(get(path).with("everything")));
        for _ in 0..3 {
            assert!(waiting.poll_unpin(&mut context()).is_pending(), "{path}");
        }
        assert_eq!(take_handled(), 0, "{path}");
        open.store(true, SeqCst);
        let late = waiting.await;
        assert_eq!((&late.body, late.status, take_handled()), (&at_once.body, 200, 1), "{path}");
        assert_eq!(late.quota(), at_once.quota().map(|(limit, left)| (limit, left - 1)));
        assert_eq!(scene.world.store.take_calls(), ["peek", "find"], "{path}");
    }
}

async fn a_refusal_that_came_late_calls_no_handler(framework: Framework) {
    for (path, layer) in PATHS {
        let scene = Scene::new(framework).await;
        let client = scene.client_of(Setup { layer, ..Setup::new(scene.require()) }).await;
        let open = gate(&scene);
        for (token, expected) in [
            ("revoked", is(401, "invalid_token")),
            ("none", is(403, "insufficient_scope")),
            ("delete", is(403, "insufficient_scope")),
        ] {
            open.store(false, SeqCst);
            let mut waiting = (client.serve)(client.filled(get(path).with(token)));
            assert!(waiting.poll_unpin(&mut context()).is_pending());
            open.store(true, SeqCst);
            assert_eq!((waiting.await.told(), take_handled()), (expected, 0), "{path} {token}");
        }
    }
}

async fn what_is_dropped_while_it_waits_leaves_nothing(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.limited(60)).await;
    let open = gate(&scene);
    for _ in 0..3 {
        let mut waiting = (client.serve)(client.filled(get("/allowed").with("good")));
        assert!(waiting.poll_unpin(&mut context()).is_pending());
    }
    open.store(true, SeqCst);
    let good = &scene.issued["good"].record;
    let record = scene.tokens.owned_by(&good.owner).get(good.id).await.unwrap();
    assert_eq!((record.last_used_at, take_handled()), (None, 0));
    assert_eq!(scene.world.events.take(), [""; 0]);
    assert_eq!(client.send(get("/allowed").with("good")).await.quota(), Some((60, 59)));
}

async fn what_is_known_does_not_wait(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (token, status) in [("good", 200), ("revoked", 401), ("unknown", 401)] {
        scene.world.store.take_calls();
        assert_eq!(client.send(get("/allowed").with(token)).await.status, status);
        assert_eq!(scene.world.store.take_calls(), ["peek"], "{token}");
    }
    scene.world.store.forget();
    scene.world.store.take_calls();
    for (token, status) in [("bad-checksum", 401), ("too-long", 401), ("jwt", 401)] {
        assert_eq!(client.send(get("/allowed").with(token)).await.status, status);
    }
    assert_eq!(client.send(get("/allowed")).await.status, 401);
    assert_eq!(scene.world.store.take_calls(), [""; 0], "rubbish never reaches the store");
}
