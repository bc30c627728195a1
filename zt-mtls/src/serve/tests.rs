use std::{net::IpAddr, sync::Arc};

use http::{Request, request::Parts};
use tokio::net::{TcpListener, TcpStream};
use zt_core::{
    clock::{Clock, ManualClock, SystemClock},
    decision::Code,
    identity::PeerSource,
};

use super::{
    config::Config,
    io::Line,
    pending::{Lost, Pending, Ticket},
    registry::{Ending, Live, Peer},
    request::{admit, asks_for, refuse},
    server::Server,
    watch,
};
use crate::{credentials::Credentials, testing::TestCa, verify::End};

fn from(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn is_lost(lost: &mut Lost) -> bool {
    lost.try_recv() != Err(tokio::sync::oneshot::error::TryRecvError::Empty)
}

/// Which of these have lost their place.
fn lost(places: &mut [(Ticket, Lost)]) -> Vec<bool> {
    places.iter_mut().map(|(_, lost)| is_lost(lost)).collect()
}

#[test]
fn the_oldest_of_the_source_that_has_the_most_makes_room() {
    let pending = Pending::new(4);
    let mut places: Vec<_> = ["192.0.2.1", "192.0.2.7", "192.0.2.7", "192.0.2.7"]
        .map(|address| pending.enter(from(address)))
        .into();
    places.push(pending.enter(from("192.0.2.2")));
    assert_eq!(lost(&mut places), [false, true, false, false, false]);
    places.push(pending.enter(from("192.0.2.3")));
    assert_eq!(lost(&mut places), [false, true, true, false, false, false]);
    // All have one each now: the oldest of all goes.
    places.push(pending.enter(from("192.0.2.4")));
    assert_eq!(
        lost(&mut places),
        [true, true, true, false, false, false, false]
    );
    assert_eq!((pending.count(), pending.dropped()), (4, 3));
    drop(places);
    assert_eq!((pending.count(), pending.dropped()), (0, 3));
}

#[test]
fn one_half_of_an_ipv6_address_is_a_source() {
    let pending = Pending::new(3);
    let mut places: Vec<_> = ["2001:db8:1::1", "2001:db8:0:0:1::1", "2001:db8:0:0:2::1"]
        .map(|address| pending.enter(from(address)))
        .into();
    places.push(pending.enter(from("::ffff:192.0.2.1")));
    assert_eq!(lost(&mut places), [false, true, false, false]);
}

#[test]
fn who_said_hello_makes_no_room_for_who_did_not() {
    let pending = Pending::new(2);
    let (good, mut good_lost) = pending.enter(from("192.0.2.1"));
    good.hello();
    let silent: Vec<_> = (0..100).map(|_| pending.enter(from("192.0.2.1"))).collect();
    assert!(!is_lost(&mut good_lost));
    assert_eq!((pending.count(), pending.dropped()), (3, 98));
    // A hello of one that was dropped already brings nothing back.
    silent[0].0.hello();
    assert_eq!(pending.count(), 3);
    // There is an end to those who stall after their hello, too.
    silent[98].0.hello();
    silent[99].0.hello();
    assert!(is_lost(&mut good_lost));
    assert_eq!(pending.count(), 2);
    drop((good, silent));
    assert_eq!(pending.count(), 0);
}

#[test]
fn room_is_made_when_descriptors_run_out_and_at_the_end() {
    let pending = Pending::new(100);
    let mut places: Vec<_> = (0..10).map(|_| pending.enter(from("192.0.2.1"))).collect();
    pending.drop_some(3);
    let expected: Vec<_> = (0..10).map(|place| place < 3).collect();
    assert_eq!(lost(&mut places), expected);
    pending.drop_some(1000);
    assert_eq!(pending.count(), 0);
    let (_last, mut its) = pending.enter(from("192.0.2.1"));
    pending.clear();
    assert!(is_lost(&mut its));
    pending.drop_some(1);
}

fn parts(target: &str, hosts: &[&str]) -> Parts {
    let mut request = Request::get(target);
    for host in hosts {
        request = request.header("host", *host);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_request_is_for_the_host_of_the_handshake_in_all_places_that_name_one() {
    let good: [(&str, &[&str]); 5] = [
        ("/", &["pay.example"]),
        ("/", &["PAY.example.:443"]),
        ("https://pay.example/", &[]),
        ("https://pay.example/", &["pay.example"]),
        ("*", &["pay.example", "pay.example:443"]),
    ];
    for (target, hosts) in good {
        assert!(
            asks_for(&parts(target, hosts), "pay.example"),
            "{target} {hosts:?}"
        );
    }
    let bad: [(&str, &[&str]); 9] = [
        ("/", &[]),
        ("/", &[""]),
        ("/", &["pay.example.evil"]),
        ("/", &["evil@pay.example@evil"]),
        ("/", &["pay.example", "evil.example"]),
        ("/", &["evil.example", "pay.example"]),
        ("https://evil.example/", &["pay.example"]),
        ("https://pay.example/", &["evil.example"]),
        ("https://pay.example@evil.example/", &["pay.example"]),
    ];
    for (target, hosts) in bad {
        assert!(
            !asks_for(&parts(target, hosts), "pay.example"),
            "{target} {hosts:?}"
        );
    }
}

/// A connection of a workload, and its server, whose clock this is.
async fn connection(ca: &TestCa, clock: &ManualClock) -> (Arc<Server>, Live, Credentials) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let credentials = Credentials::with(ca.material("/pay"), provider, clock.clone());
    let server = Arc::new(Server::new(Config::new(credentials.clone()), None));
    let chain = ca.workload("/orders").chain;
    let material = credentials.load();
    let algorithms = &credentials.provider().signature_verification_algorithms;
    let verified = material.trust().verify(
        End::Client,
        algorithms,
        &chain[0],
        &chain[1..],
        clock.now().unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = Peer {
        address,
        chain,
        identity: verified.unwrap().identity(PeerSource::Tls),
        sni: None,
        generation: material.generation(),
    };
    let line = Line::new(TcpStream::connect(address).await.unwrap());
    let live = server.registry.enter(peer, line, clock.monotonic());
    (server, live.unwrap(), credentials)
}

#[tokio::test]
async fn who_came_while_trust_was_replaced_and_the_clock_failed_does_not_stay() {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let (server, live, credentials) = connection(&ca, &clock).await;
    watch::welcome(&server, live.entry());
    assert!(!live.line().is_thrown());
    credentials.replace(TestCa::new("other.example").material("/pay"));
    clock.fail();
    watch::welcome(&server, live.entry());
    assert!(live.line().is_thrown());
}

#[tokio::test]
async fn a_refusal_for_a_certificate_asks_for_no_token() {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let (server, live, _) = connection(&ca, &clock).await;
    live.entry().end(Ending::Revoked);
    let mut asked = parts("/", &["a"]);
    let revoked = admit(&server, live.entry(), &mut asked).unwrap_err();
    // As a proxy's header may be.
    for denial in [revoked, Code::CredentialInvalid.into()] {
        let answer = refuse(&*server.render, &asked, denial);
        assert_eq!(answer.status(), 401);
        let challenges = answer.headers().get_all("www-authenticate");
        assert!(challenges.iter().eq(["ClientCertificate"]));
    }
}

#[tokio::test]
async fn only_what_is_grpc_is_answered_as_grpc() {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let (server, _live, _) = connection(&ca, &clock).await;
    for (kind, status) in [
        ("application/grpc", 200),
        ("application/grpc+proto", 200),
        ("application/grpc-web", 421),
        ("application/json", 421),
    ] {
        let mut asked = parts("/", &["a"]);
        asked.headers.insert("content-type", kind.parse().unwrap());
        let answer = refuse(&*server.render, &asked, Code::Misdirected.into());
        assert_eq!(answer.status(), status, "{kind}");
    }
}

#[test]
fn a_workload_may_have_seven_eighths_of_all_connections() {
    let ca = TestCa::new("shop.example");
    let config = Config::new(ca.credentials("/pay"));
    for (most, of_one) in [(8192, 7168), (8, 7), (2, 2), (1, 1)] {
        let limits = config.clone().max_connections(most).limits;
        assert_eq!(limits.of_one_peer(), of_one);
    }
    let limits = config.max_connections_per_peer(0).limits;
    assert_eq!(limits.of_one_peer(), 1);
}
