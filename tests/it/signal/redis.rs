use std::sync::{Arc, atomic::Ordering::SeqCst};

use futures_util::future::join_all;
use keyfob::{
    TokenId,
    cluster::{Changed, RedisSignal, Signal, SignalMessage},
    store::{MemoryStore, TokenStore, contract::Selection},
    token::Revocation,
};

use super::{
    Node, closing_ends_what_listens, listening_ends_with_the_last_handle,
    many_that_are_revoked_at_once_are_refused_on_the_other, soon,
    what_one_changes_shows_on_the_other,
};
use crate::support::store_ext::StoreExt;
use crate::support::{
    Spy, eventually,
    fake_redis::FakeRedis,
    owner,
    proxy::Proxy,
    redis::{Corner, OwnServer},
    verdict,
};

impl Corner {
    /// On a channel that nobody else has.
    fn signal(&self) -> RedisSignal {
        RedisSignal::open(self.url(), format!("{}:tokens", self.prefix())).unwrap()
    }
}

/// Which has to be asked, so that it makes a difference what is remembered.
fn store() -> Arc<dyn TokenStore> {
    let store = Spy::new(Arc::new(MemoryStore::new()));
    store.forget();
    Arc::new(store)
}

async fn two_nodes(corner: &Corner) -> [Node; 2] {
    let store = store();
    [Node::start(store.clone(), corner.signal()).await, Node::start(store, corner.signal()).await]
}

#[tokio::test]
async fn what_one_node_changes_shows_on_the_other() {
    let [a, b] = two_nodes(&Corner::new()).await;
    what_one_changes_shows_on_the_other([&a, &b]).await;
    what_one_changes_shows_on_the_other([&b, &a]).await;
}

#[tokio::test]
async fn many_that_one_node_revokes_are_refused_on_the_other() {
    let [a, b] = two_nodes(&Corner::new()).await;
    many_that_are_revoked_at_once_are_refused_on_the_other([&a, &b]).await;
}

/// As where the node that made it was stopped before it could tell.
#[tokio::test]
async fn a_revocation_that_is_repeated_is_told() {
    let (store, corner) = (store(), Corner::new());
    let a = Node::start(store.clone(), corner.signal()).await;
    let b = Node::start(store.clone(), corner.signal()).await;
    let issued = a.issue().await;
    b.remembers(&issued).await;
    let id = issued.record.id;
    let selection = Selection::Tokens { ids: vec![id], owner: None };
    store.end(&selection, &Revocation::new(issued.record.created_at)).await.unwrap();
    assert_eq!(verdict(&b.tokens, &issued).await, "good");
    a.tokens.owned_by(owner("user:42")).revoke(id).await.unwrap();
    b.comes_to_be(&issued, "revoked").await;
}

/// The request was cancelled right after the commit.
#[tokio::test]
async fn what_was_committed_and_never_said_to_be_is_told() {
    let (store, corner) = (store(), Corner::new());
    let a = Node::start(store.clone(), corner.signal()).await;
    let b = Node::start(store.clone(), corner.signal()).await;
    let own = a.tokens.owned_by(owner("user:42"));
    for _ in 0..3 {
        let issued = a.issue().await;
        b.remembers(&issued).await;
        drop(own.revoke_within(&*store, issued.record.id).await.unwrap());
        b.comes_to_be(&issued, "revoked").await;
    }
}

/// Nothing that is sent once it says that it is connected is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_it_says_that_it_is_connected_is_heard() {
    let corner = Corner::new();
    let changed = Changed::Tokens(vec![TokenId::from_u128(7)]);
    for _ in 0..20 {
        let signal = corner.signal();
        let (said, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let on_message = |what| {
            if what == SignalMessage::Connected {
                let channel = format!("{}:tokens", corner.prefix());
                corner.run::<()>(redis::cmd("PUBLISH").arg(channel).arg(changed.to_string()));
            }
            said.send(what).unwrap();
        };
        let listening = signal.listen(&on_message);
        let both = async { [hears.recv().await.unwrap(), hears.recv().await.unwrap()] };
        tokio::select! {
            ended = listening => panic!("{ended:?}"),
            told = both => {
                assert_eq!(told, [SignalMessage::Connected, SignalMessage::Changed(changed.clone())]);
            }
        }
    }
}

#[tokio::test]
async fn the_first_change_after_the_server_was_started_again_is_told() {
    let server = OwnServer::start();
    let [a, b] = two_nodes(&server.corner).await;
    let own = a.tokens.owned_by(owner("user:42"));
    let before = a.issue().await;
    b.remembers(&before).await;
    own.revoke(before.record.id).await.unwrap();
    b.comes_to_be(&before, "revoked").await;
    server.kill();
    server.start_again();
    b.hears("SignalRestored").await;
    let issued = a.issue().await;
    b.remembers(&issued).await;
    a.events.take();
    own.revoke(issued.record.id).await.unwrap();
    assert_eq!(a.events.count("SignalNotSent"), 0);
    b.comes_to_be(&issued, "revoked").await;
}

#[tokio::test]
async fn what_can_not_be_read_makes_all_be_forgotten() {
    let corner = Corner::new();
    let [a, _] = two_nodes(&corner).await;
    let channel = format!("{}:tokens", corner.prefix());
    for message in [&b"?"[..], b"", b"\xff\xfe", &vec![b'0'; 100_000]] {
        let issued = a.issue().await;
        a.remembers(&issued).await;
        corner.run::<()>(redis::cmd("PUBLISH").arg(&channel).arg(message));
        soon(async || a.tokens.cache_stats().unwrap().entries == 0).await;
    }
}

#[tokio::test]
async fn what_was_changed_while_the_server_was_gone_shows_once_it_is_back() {
    let server = OwnServer::start();
    let [a, b] = two_nodes(&server.corner).await;
    let issued = a.issue().await;
    b.remembers(&issued).await;
    server.kill();
    b.hears("SignalLost").await;
    a.events.take();
    a.tokens.owned_by(owner("user:42")).revoke(issued.record.id).await.unwrap();
    assert_eq!(a.events.count("SignalNotSent"), 1);
    assert_eq!(verdict(&a.tokens, &issued).await, "revoked");
    assert_eq!(verdict(&b.tokens, &issued).await, "good", "nothing has told it");
    server.start_again();
    b.hears("SignalRestored").await;
    assert_eq!(verdict(&b.tokens, &issued).await, "revoked");
    a.hears("SignalRestored").await;
    what_one_changes_shows_on_the_other([&a, &b]).await;
}

/// As where a firewall forgets a connection: nobody says that it is gone.
#[tokio::test]
async fn a_server_that_is_silent_is_found_out() {
    let server = OwnServer::start();
    let [a, b] = two_nodes(&server.corner).await;
    let issued = a.issue().await;
    b.remembers(&issued).await;
    let hung = server.hang();
    b.hears("SignalLost").await;
    a.tokens.owned_by(owner("user:42")).revoke(issued.record.id).await.unwrap();
    drop(hung);
    b.comes_to_be(&issued, "revoked").await;
    what_one_changes_shows_on_the_other([&a, &b]).await;
}

#[tokio::test]
async fn it_is_told_once_that_there_is_no_server() {
    let server = OwnServer::start();
    server.kill();
    let node = Node::unconnected(store(), server.corner.signal());
    node.hears("SignalLost").await;
    let issued = node.issue().await;
    assert_eq!(verdict(&node.tokens, &issued).await, "good");
    server.start_again();
    let mut events = Vec::new();
    soon(async || {
        events.extend(node.events.kinds());
        events.iter().any(|it| it == "SignalRestored")
    })
    .await;
    assert!(!events.iter().any(|it| it == "SignalLost"), "{events:?}");
    server.kill();
}

/// A server far away is as one that answers late.
#[tokio::test]
async fn messages_go_out_beside_each_other() {
    const MESSAGES: usize = 100;
    let server = FakeRedis::that_waits("PUBLISH", MESSAGES);
    let signal = RedisSignal::open(server.url(), "acme:tokens").unwrap();
    let changed = Changed::Tokens(vec![TokenId::from_u128(1)]);
    let sent = join_all((0..MESSAGES).map(|_| signal.send(&changed))).await;
    for sent in sent {
        sent.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_lost_with_its_connection_is_sent_once_more() {
    let corner = Corner::new();
    let address = corner.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let proxy = Proxy::before(address).await;
    let url = format!("redis://{}/", proxy.address);
    let signal = RedisSignal::open(&url, format!("{}:tokens", corner.prefix())).unwrap();
    let changed = Changed::Tokens(vec![TokenId::from_u128(1)]);
    signal.send(&changed).await.unwrap();
    for _ in 0..3 {
        proxy.silence();
        eventually(async || signal.send(&changed).await.is_ok()).await;
        assert!(proxy.silent() <= 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_end_closes_the_connection() {
    let replies: [(&[u8], &[u8]); 4] = [
        (b"$536870912\r\n", b"x"),
        (b"*1000000000\r\n", b":1\r\n"),
        (b"+", b"x"),
        (b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$400000000\r\n", b"x"),
    ];
    for (start, more) in replies {
        let server = FakeRedis::endless("SUBSCRIBE", start, more);
        let signal = RedisSignal::open(server.url(), "acme:tokens").unwrap();
        let ended = signal.listen(&|events| panic!("{events:?}")).await;
        assert!(ended.is_err());
        // What the system's buffers hold is not read.
        assert!(server.taken.load(SeqCst) < 32 << 20, "{start:?}");

        let server = FakeRedis::endless("PUBLISH", start, more);
        let signal = RedisSignal::open(server.url(), "acme:tokens").unwrap();
        assert!(signal.send(&Changed::All).await.is_err());
        assert!(server.taken.load(SeqCst) < 32 << 20, "{start:?}");
    }
}

#[tokio::test]
async fn it_ends_with_the_last_handle() {
    let [node, _] = two_nodes(&Corner::new()).await;
    listening_ends_with_the_last_handle(node).await;
}

#[tokio::test]
async fn closing_ends_it() {
    let [node, _] = two_nodes(&Corner::new()).await;
    closing_ends_what_listens(node).await;
}
