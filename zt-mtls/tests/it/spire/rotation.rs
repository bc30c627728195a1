//! What an agent says reaches a server and its client.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Extension, Router, body::Body, routing::get};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, Error},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{net::TcpListener, task::JoinSet};
use zt_core::{
    clock::{Clock, SystemClock},
    identity::PeerIdentity,
};
use zt_mtls::{
    client::Connector,
    credentials::Credentials,
    peer::Peers,
    serve::{Config, Handle, serve},
    testing::TestCa,
};

use super::{
    LONG,
    agent::{Agent, Stand, X509Svid, X509SvidResponse, svid, svid_of},
    connect, replaced, soon,
};

type Calls = Client<Connector, Body>;

async fn whoami(Extension(peer): Extension<Arc<PeerIdentity>>) -> String {
    peer.spiffe_id().unwrap_or("nobody").to_owned()
}

/// A server that says who its caller is.
async fn start(credentials: &Credentials) -> (http::Uri, Handle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let app = Router::new().route("/", get(whoami));
    let server = serve(listener, app, Config::new(credentials.clone()));
    let handle = server.handle();
    tokio::spawn(server.into_future());
    (uri.parse().unwrap(), handle)
}

/// A client of `/payments`; it keeps so many connections.
fn client(credentials: &Credentials, kept: usize) -> Calls {
    let peers = Peers::parse(["spiffe://shop.example/payments"]).unwrap();
    let connector = Connector::new(credentials.clone(), peers).unwrap();
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(kept)
        .build(connector.http1_only())
}

async fn whom(client: &Calls, uri: &http::Uri) -> Result<String, Error> {
    let response = client.get(uri.clone()).await?;
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.expect("a body");
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// Asks again and again; the first that fails, panics.
async fn ask(client: Calls, uri: http::Uri, asked: Arc<AtomicUsize>) {
    loop {
        let name = whom(&client, &uri).await.unwrap();
        assert_eq!(name, "spiffe://shop.example/orders");
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// By whom `path` is vouched for, and whom it trusts.
fn of(path: &str, by: &TestCa, roots: &[&TestCa]) -> X509Svid {
    X509Svid {
        bundle: roots.iter().flat_map(|ca| ca.root().to_vec()).collect(),
        ..svid(by, path)
    }
}

#[tokio::test]
async fn a_rotation_reaches_server_and_client_and_no_request_fails() {
    let (old, new) = (TestCa::new("shop.example"), TestCa::new("shop.example"));
    let agents = ["/payments", "/orders"].map(|path| (path, Agent::start(of(path, &old, &[&old]))));
    let [theirs, ours] = [connect(&agents[0].1).await, connect(&agents[1].1).await];
    let (uri, server) = start(&theirs).await;

    // One with a connection for each request, one that keeps its own.
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut asking = JoinSet::new();
    for (kept, asked) in [0, 1].into_iter().zip(&counts) {
        asking.spawn(ask(client(&ours, kept), uri.clone(), Arc::clone(asked)));
    }
    // That each has asked twice since, means once from the beginning.
    let go_on = async |asking: &mut JoinSet<()>| {
        let before = counts.each_ref().map(|asked| asked.load(Ordering::Relaxed));
        let more = || {
            counts
                .iter()
                .zip(before)
                .all(|(asked, before)| asked.load(Ordering::Relaxed) >= before + 2)
        };
        soon(async {
            while !more() {
                if let Some(Err(failed)) = asking.try_join_next() {
                    std::panic::resume_unwind(failed.into_panic());
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    };

    let mut generation = 1;
    let mut steps = vec![(&old, vec![&old]); 5];
    steps.extend([
        (&old, vec![&old, &new]),
        (&new, vec![&old, &new]),
        (&new, vec![&new, &old]),
    ]);
    for (by, roots) in steps {
        go_on(&mut asking).await;
        for (path, agent) in &agents {
            agent.say(of(path, by, &roots));
        }
        generation += 1;
        replaced(&theirs, generation).await;
        replaced(&ours, generation).await;
    }
    go_on(&mut asking).await;

    // Nobody vouches for the old certificates any more: the kept connection had one.
    let fresh = client(&ours, 0);
    asking.shutdown().await;
    for (path, agent) in &agents {
        agent.say(of(path, &new, &[&new]));
    }
    replaced(&theirs, generation + 1).await;
    replaced(&ours, generation + 1).await;
    soon(whom(&fresh, &uri)).await.unwrap();
    assert_eq!(agents.each_ref().map(|(_, agent)| agent.calls()), [1, 1]);
    server.shutdown();
}

#[tokio::test]
async fn a_peer_that_the_agents_list_revokes_is_refused() {
    let ca = TestCa::new("shop.example");
    let payments = Agent::start(svid(&ca, "/payments"));
    let cert = ca.workload("/orders");
    let orders = Agent::start(svid_of(&ca, "/orders", &cert));
    let (theirs, ours) = (connect(&payments).await, connect(&orders).await);
    let (uri, server) = start(&theirs).await;
    let kept = client(&ours, 1);
    soon(whom(&kept, &uri)).await.unwrap();
    assert_eq!(server.connections(), 1);

    let now = SystemClock.now().unwrap();
    let mut response = X509SvidResponse {
        svids: vec![svid(&ca, "/payments")],
        ..X509SvidResponse::default()
    };
    let list = ca.revocation_list(&[&cert], now, LONG * 60);
    response.crl.push(list.to_vec());
    payments.say(Stand::from(response.clone()));
    replaced(&theirs, 2).await;
    // The connection that was there is closed, and no other is made.
    soon(async {
        while server.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(soon(whom(&kept, &uri)).await.is_err());

    // SPIFFE_Workload_API section 4.4: a list that is left out is taken back.
    response.crl.clear();
    payments.say(Stand::from(response));
    replaced(&theirs, 3).await;
    soon(whom(&kept, &uri)).await.unwrap();
}
