//! How soon a revocation on one node shows on the others, and that it does in time where they hear nothing.

use std::{
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;

use crate::{
    fleet::{Node, Token},
    own_database::OwnDatabase,
    support::print,
};

const TOKENS: usize = 200;
const STALENESS: Duration = Duration::from_secs(2);
/// For what lies between a request's start and its verification.
const SLACK: Duration = Duration::from_millis(50);

#[test]
#[ignore = "takes minutes: scripts/measure"]
fn a_revocation_on_postgresql() {
    let database = OwnDatabase::create("KEYFOB_TEST_POSTGRES");
    let nodes = nodes(&["--database", &database.url()]);
    events("PostgreSQL", &nodes);

    // Whoever listens is thrown out again and again.
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| Runtime::new().unwrap().block_on(throw_out(&database, &over)));
        cut("PostgreSQL, listeners thrown out every 5 ms", &nodes, || {});
        over.store(true, Relaxed);
    });
}

#[test]
#[ignore = "takes minutes: scripts/measure"]
fn a_revocation_on_mariadb_with_redis() {
    let directory = tempfile::tempdir().unwrap();
    let redis = |verb: &str| {
        let mut command = Command::new("scripts/servers");
        let done = command.args([verb, "redis"]).arg(directory.path()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let url = redis("start");
    let database = OwnDatabase::create("KEYFOB_TEST_MYSQL");
    let nodes = nodes(&["--database", &database.url(), "--redis", &url]);
    events("MariaDB and Redis", &nodes);
    cut("MariaDB, Redis stopped", &nodes, || drop(redis("stop")));
}

fn nodes(arguments: &[&str]) -> [Node; 3] {
    let staleness = STALENESS.as_secs().to_string();
    let arguments = [arguments, &["--max-staleness", &staleness]].concat();
    std::array::from_fn(|_| Node::start(&arguments))
}

/// From the acknowledgement of a revocation on the first node to the first refusal on the others.
fn events(what: &str, nodes: &[Node; 3]) {
    let mut times = Vec::new();
    under_load(what, nodes, |tokens, revoke| {
        for (number, token) in tokens.iter().enumerate() {
            let acknowledged = revoke(number);
            thread::scope(|scope| {
                let others = [&nodes[1], &nodes[2]].map(|node| {
                    scope.spawn(move || {
                        let mut client = node.client();
                        let refused = loop {
                            match client.use_of(token) {
                                200 => {}
                                other => break other,
                            }
                        };
                        let time = acknowledged.elapsed();
                        assert_eq!(refused, 401);
                        time
                    })
                });
                times.extend(others.map(|other| other.join().unwrap()));
            });
        }
    });
    print(&format!("{what}: acknowledged to first refusal elsewhere"), &mut times);
}

/// Revokes while no node hears of it.
fn cut(what: &str, nodes: &[Node; 3], fault: impl FnOnce()) {
    under_load(what, nodes, |tokens, revoke| {
        fault();
        for number in 0..tokens.len() {
            revoke(number);
            thread::sleep(Duration::from_millis(50));
        }
    });
}

/// Uses all tokens on all nodes while they are revoked on the first, and until all must be refused. No request that
/// starts later than is promised may be let through.
fn under_load(
    what: &str,
    nodes: &[Node; 3],
    act: impl FnOnce(&[Token], &mut dyn FnMut(usize) -> Instant),
) {
    let mut account = nodes[0].client();
    account.log_in();
    let name = |number| format!("{what} {number}");
    let tokens: Vec<_> = (0..TOKENS).map(|number| account.issue(&name(number))).collect();
    let revoked: Vec<OnceLock<Instant>> = tokens.iter().map(|_| OnceLock::new()).collect();
    let over = AtomicBool::new(false);

    let passed = thread::scope(|scope| {
        let load = |node: &Node| {
            let (mut client, tokens, revoked, over) = (node.client(), &tokens, &revoked, &over);
            scope.spawn(move || {
                let (mut passed, mut late) = (0_u64, Vec::new());
                while !over.load(Relaxed) {
                    for (token, revoked) in tokens.iter().zip(revoked) {
                        let (acknowledged, started) = (revoked.get(), Instant::now());
                        if client.use_of(token) == 200 {
                            passed += 1;
                            late.extend(acknowledged.map(|at| started - *at));
                        }
                    }
                }
                (passed, late)
            })
        };
        let loads = nodes.each_ref().map(load);
        thread::sleep(Duration::from_secs(2));
        act(&tokens, &mut |number| {
            account.revoke(&tokens[number]);
            *revoked[number].get_or_init(Instant::now)
        });
        thread::sleep(STALENESS + Duration::from_secs(1));
        over.store(true, Relaxed);
        loads.map(|load| load.join().unwrap())
    });

    let requests: u64 = passed.iter().map(|(passed, _)| passed).sum();
    let late = || passed.iter().flat_map(|(_, late)| late);
    let violations = late().filter(|late| **late > STALENESS + SLACK).count();
    println!(
        "{what}: {requests} requests let through, {} of them started after the acknowledgement, the last {:.1?} \
         after it; {violations} violations",
        late().count(),
        late().max().copied().unwrap_or_default(),
    );
    assert_eq!(violations, 0);
}

async fn throw_out(database: &OwnDatabase, over: &AtomicBool) {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')";
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut thrown_out = 0;
    while !over.load(Relaxed) {
        let count = sqlx::query_scalar::<_, i64>(sql);
        thrown_out += count.fetch_one(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("listeners thrown out: {thrown_out}");
    assert!(thrown_out > 0, "nobody listened");
}
