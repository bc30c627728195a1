//! Connections that live, and must end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};
use tokio_rustls::client::TlsStream;
use zt_core::clock::{Clock, ManualClock, SystemClock, Timestamp};
use zt_mtls::{
    credentials::{Credentials, Material},
    serve::Config,
    testing::{TestCa, TestCert, svid_params, valid},
    verify::Trust,
};

use super::support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// One connection of each kind, with something under way.
struct Lives {
    idle: TlsStream<TcpStream>,
    stuck: TlsStream<TcpStream>,
    echo: TlsStream<TcpStream>,
    asleep: TlsStream<TcpStream>,
    http2: Http2,
    http2_drive: JoinHandle<hyper::Result<()>>,
    http2_stuck: JoinHandle<Result<(u16, String), hyper::Error>>,
}

impl Lives {
    async fn begin(server: &Server, cert: &TestCert) -> Self {
        let config = client(Some(cert), H1);
        let open = || connect(server.address, config.clone());
        let mut idle = open().await.unwrap();
        assert_eq!(get_on(&mut idle, "/").await.unwrap().0, 200);
        let mut stuck = open().await.unwrap();
        stuck
            .write_all(b"GET /stuck HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut echoes = open().await.unwrap();
        upgrade(&mut echoes, "/echo").await;
        echo(&mut echoes).await.unwrap();
        let mut asleep = open().await.unwrap();
        upgrade(&mut asleep, "/asleep").await;
        let (mut http2, http2_drive) = http2(server.address, cert).await;
        assert_eq!(ask(&mut http2, "/").await.unwrap().0, 200);
        let mut again = http2.clone();
        let http2_stuck = tokio::spawn(async move { ask(&mut again, "/stuck").await });
        until(|| server.handle.connections() >= 5).await;
        Self {
            idle,
            stuck,
            echo: echoes,
            asleep,
            http2,
            http2_drive,
            http2_stuck,
        }
    }

    async fn live(&mut self) {
        assert_eq!(get_on(&mut self.idle, "/").await.unwrap().0, 200);
        echo(&mut self.echo).await.unwrap();
        assert_eq!(ask(&mut self.http2, "/").await.unwrap().0, 200);
        assert!(!self.http2_stuck.is_finished());
    }

    /// Reads each of them to its end.
    async fn ended(mut self) {
        for tls in [
            &mut self.idle,
            &mut self.stuck,
            &mut self.echo,
            &mut self.asleep,
        ] {
            end(tls).await;
        }
        let _ = soon(self.http2_drive).await;
        // It may have come a moment too late.
        let stuck = soon(self.http2_stuck).await.unwrap();
        assert!(matches!(stuck, Err(_) | Ok((401, _))), "{stuck:?}");
        ask(&mut self.http2, "/").await.unwrap_err();
    }
}

fn until_then(ca: &TestCa, to: Timestamp) -> TestCert {
    let mut params = svid_params("spiffe://shop.example/orders");
    valid(&mut params, Timestamp::from_secs(0), to);
    ca.issue(params)
}

#[tokio::test]
async fn a_certificate_that_ends_closes_all_its_connections_within_a_second() {
    let ca = TestCa::new("shop.example");
    let start_at = Timestamp::from_secs(1_900_000_000);
    let clock = ManualClock::at(start_at);
    let credentials = with_clock(ca.material("/pay"), &clock);
    let server = start(Config::new(credentials)).await;
    let mut others = Lives::begin(&server, &ca.workload("/others")).await;
    let cert = until_then(&ca, start_at + HOUR);
    let mut lives = {
        let server = &server;
        let config = client(Some(&cert), H1);
        let mut idle = connect(server.address, config.clone()).await.unwrap();
        assert_eq!(get_on(&mut idle, "/").await.unwrap().0, 200);
        let mut echoes = connect(server.address, config).await.unwrap();
        upgrade(&mut echoes, "/echo").await;
        let (http2, drive) = http2(server.address, &cert).await;
        (idle, echoes, http2, drive)
    };
    until(|| server.handle.connections() == 8).await;

    // Up to its end, and nothing of it. Idle connections stay for three minutes only, so there is
    // a request now and then.
    let mut passed = Duration::ZERO;
    while passed < HOUR - Duration::from_secs(1) {
        let step = Duration::from_secs(100).min(HOUR - Duration::from_secs(1) - passed);
        clock.advance(step);
        passed += step;
        assert_eq!(get_on(&mut lives.0, "/").await.unwrap().0, 200);
        echo(&mut lives.1).await.unwrap();
        assert_eq!(ask(&mut lives.2, "/").await.unwrap().0, 200);
        others.live().await;
        // The server's look at who is idle sees the requests of each step.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    clock.advance(Duration::from_secs(1));
    // What has nothing under way is closed at once.
    end(&mut lives.0).await;
    let _ = soon(lives.3).await;
    // A websocket has the grace.
    end_by_grace(&clock, &mut lives.1).await;
    until(|| server.handle.connections() == 5).await;
    others.live().await;
}

#[tokio::test]
async fn by_the_systems_clock_it_takes_less_than_a_second_too() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    // Certificates end on whole seconds.
    let ends = Timestamp::from_secs(SystemClock.now().unwrap().as_secs() + 4);
    let lives = Lives::begin(&server, &until_then(&ca, ends)).await;
    let left = ends.since(SystemClock.now().unwrap());
    assert!(left > Duration::ZERO, "the machine is too slow for this");
    tokio::time::sleep(left.saturating_sub(Duration::from_millis(100))).await;
    assert_eq!(server.handle.connections(), 5);
    lives.ended().await;
    let took = SystemClock.now().unwrap().since(ends);
    println!("five connections were closed {took:?} after their certificate ended");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_request_at_the_very_end_of_a_certificate_is_refused() {
    let ca = TestCa::new("shop.example");
    let start_at = Timestamp::from_secs(1_900_000_000);
    let clock = ManualClock::at(start_at);
    let server = start(Config::new(with_clock(ca.material("/pay"), &clock))).await;
    let cert = until_then(&ca, start_at + HOUR);
    let mut tls = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
    // The wall clock steps: nobody who sleeps is woken, and still no request passes.
    clock.set_wall(start_at + HOUR);
    let (status, body) = get_on(&mut tls, "/").await.unwrap();
    assert_eq!(status, 401);
    assert!(body.contains(r#""code":"credential-expired""#), "{body}");
    end(&mut tls).await;

    let mut tls = connect(server.address, client(Some(&ca.workload("/a")), H1))
        .await
        .unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
    clock.fail();
    let (status, body) = get_on(&mut tls, "/").await.unwrap();
    assert_eq!(status, 503);
    assert!(body.contains(r#""code":"clock-unavailable""#), "{body}");
}

#[tokio::test]
async fn a_clock_that_fails_does_not_let_a_websocket_outlive_its_certificate() {
    let ca = TestCa::new("shop.example");
    let start_at = Timestamp::from_secs(1_900_000_000);
    let clock = ManualClock::at(start_at);
    let server = start(Config::new(with_clock(ca.material("/pay"), &clock))).await;
    let cert = until_then(&ca, start_at + HOUR);
    let mut tls = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    upgrade(&mut tls, "/asleep").await;
    clock.fail();
    clock.advance(HOUR);
    end_by_grace(&clock, &mut tls).await;
}

/// Lets the clock go on until a connection is over: nobody here can tell when its grace began.
async fn end_by_grace(clock: &ManualClock, tls: &mut TlsStream<TcpStream>) {
    let goes_on = async {
        loop {
            clock.advance(Duration::from_millis(250));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = end(tls) => {}
        () = goes_on => {}
    }
}

/// Puts `material` in force, and waits for all connections to be over, and says how long that took.
async fn closes(credentials: &Credentials, material: Material, lives: Lives) -> Duration {
    let begun = Instant::now();
    credentials.replace(material);
    lives.ended().await;
    begun.elapsed()
}

#[tokio::test]
async fn a_revocation_closes_http1_http2_and_websockets_within_a_second() {
    let ca = TestCa::new("shop.example");
    let (bad, good) = (ca.workload("/orders"), ca.workload("/others"));
    let now = SystemClock.now().unwrap().saturating_sub(HOUR);
    let revoking = |certs: &[&TestCert]| {
        let trust = Trust::spiffe([ca.bundle()]).unwrap();
        let list = ca.revocation_list(certs, now, 24 * HOUR);
        let trust = trust.revocation_lists([list]).unwrap();
        Material::new(ca.workload("/pay").identity(), trust)
    };
    let credentials = Credentials::new(revoking(&[]));
    let server = start(Config::new(credentials.clone())).await;
    let mut lives = Lives::begin(&server, &bad).await;
    lives.live().await;
    let mut other = connect(server.address, client(Some(&good), H1))
        .await
        .unwrap();
    assert_eq!(get_on(&mut other, "/").await.unwrap().0, 200);

    let took = closes(&credentials, revoking(&[&bad]), lives).await;
    println!("five connections were closed {took:?} after the revocation");
    assert!(took < Duration::from_secs(1), "{took:?}");
    until(|| server.handle.connections() == 1).await;
    assert_eq!(get_on(&mut other, "/").await.unwrap().0, 200);
    let heard = refusal(server.address, client(Some(&bad), H1)).await;
    assert!(heard.contains("CertificateRevoked"), "{heard}");
}

#[tokio::test]
async fn a_bundle_that_is_taken_away_closes_its_connections_within_a_second() {
    let (ours, theirs) = (TestCa::new("shop.example"), TestCa::new("partner.example"));
    let trusting = |bundles: Vec<_>| {
        let trust = Trust::spiffe(bundles).unwrap();
        Material::new(ours.workload("/pay").identity(), trust)
    };
    let credentials = Credentials::new(trusting(vec![ours.bundle(), theirs.bundle()]));
    let server = start(Config::new(credentials.clone())).await;
    let lives = Lives::begin(&server, &theirs.workload("/orders")).await;
    let took = closes(&credentials, trusting(vec![ours.bundle()]), lives).await;
    println!("five connections were closed {took:?} after their bundle was gone");
    assert!(took < Duration::from_secs(1), "{took:?}");
    until(|| server.handle.connections() == 0).await;
}

#[tokio::test]
async fn a_request_that_runs_may_end_within_the_grace() {
    let (ours, theirs) = (TestCa::new("shop.example"), TestCa::new("partner.example"));
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go);
    let running = Arc::new(AtomicU64::new(0));
    let begun = Arc::clone(&running);
    let waits = move || {
        let wait = Arc::clone(&wait);
        begun.fetch_add(1, Ordering::Relaxed);
        async move {
            wait.notified().await;
            "done"
        }
    };
    let app = axum::Router::new()
        .route("/", axum::routing::get(waits))
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND });
    let both = Trust::spiffe([ours.bundle(), theirs.bundle()]).unwrap();
    let credentials = Credentials::new(Material::new(ours.workload("/pay").identity(), both));
    let config = Config::new(credentials.clone()).grace(HOUR);
    let server = start_with(config, app).await;
    let (mut send, drive) = http2(server.address, &theirs.workload("/orders")).await;
    let mut again = send.clone();
    let asked = tokio::spawn(async move { ask(&mut again, "/").await });
    until(|| running.load(Ordering::Relaxed) == 1).await;
    credentials.replace(ours.material("/pay"));
    // Refused, until the GOAWAY has come and no more can be sent.
    let mut statuses = Vec::new();
    while let Ok((status, _)) = ask(&mut send, "/other").await {
        statuses.push(status);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(
        statuses.iter().all(|status| [401, 404].contains(status)),
        "{statuses:?}"
    );
    go.notify_one();
    assert_eq!(
        soon(asked).await.unwrap().unwrap(),
        (200, "done".to_owned())
    );
    let _ = soon(drive).await;
    until(|| server.handle.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_every_200_ms_under_load_fails_no_request() {
    let ca = TestCa::new("shop.example");
    let credentials = ca.credentials("/pay");
    let server = start(Config::new(credentials.clone())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (asked, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let cert = Arc::new(ca.workload("/orders"));
    let mut clients = Vec::new();
    for kind in 0..6 {
        let (stop, asked, connections) = (stop.clone(), asked.clone(), connections.clone());
        let (cert, address) = (Arc::clone(&cert), server.address);
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                connections.fetch_add(1, Ordering::Relaxed);
                if kind % 2 == 0 {
                    let config = client(Some(&cert), H1);
                    let mut tls = connect(address, config).await.unwrap();
                    for _ in 0..20 {
                        assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                } else {
                    let (mut send, _) = http2(address, &cert).await;
                    for _ in 0..20 {
                        assert_eq!(ask(&mut send, "/").await.unwrap().0, 200);
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }));
    }
    // One of each lives through all of it.
    let mut lives = Lives::begin(&server, &cert).await;
    let rotations = Arc::new(AtomicU64::new(0));
    let rotates = {
        let rotations = Arc::clone(&rotations);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(200));
            loop {
                every.tick().await;
                credentials.replace(ca.material("/pay"));
                rotations.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    while rotations.load(Ordering::Relaxed) < 16 {
        lives.live().await;
    }
    rotates.abort();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        soon(client).await.expect("no request failed");
    }
    let asked = asked.load(Ordering::Relaxed);
    let connections = connections.load(Ordering::Relaxed);
    let rotations = rotations.load(Ordering::Relaxed);
    println!("{rotations} rotations, {asked} requests over {connections} connections, none failed");
    assert!(connections > 6);
    assert_eq!(server.handle.status().failed, 0);
}

#[tokio::test]
async fn a_graceful_shutdown_lets_requests_end_and_takes_no_more() {
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go);
    let running = Arc::new(AtomicU64::new(0));
    let begun = Arc::clone(&running);
    let app = axum::Router::new().fallback(move || {
        let wait = Arc::clone(&wait);
        begun.fetch_add(1, Ordering::Relaxed);
        async move {
            wait.notified().await;
            "done"
        }
    });
    let ca = TestCa::new("shop.example");
    let server = start_with(Config::new(ca.credentials("/pay")), app).await;
    let cert = ca.workload("/orders");
    let mut first = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    let mut idle = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    let (mut second, drive) = http2(server.address, &cert).await;
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let asked = tokio::spawn(async move { ask(&mut second, "/").await });
    until(|| server.handle.connections() == 3).await;
    until(|| running.load(Ordering::Relaxed) == 2).await;

    server.handle.shutdown();
    end(&mut idle).await;
    assert!(!server.task.is_finished());
    until_refused(server.address).await;
    // Both wait, or the second is let through as it comes to wait.
    go.notify_waiters();
    go.notify_one();
    let answer = (200, "done".to_owned());
    assert_eq!(soon(answer_of(&mut first)).await, answer);
    assert_eq!(soon(asked).await.unwrap().unwrap(), answer);
    soon(server.task).await.unwrap().unwrap();
    let _ = soon(drive).await;
}

async fn answer_of(tls: &mut TlsStream<TcpStream>) -> (u16, String) {
    super::support::answer(tls).await.unwrap()
}

async fn until_refused(address: std::net::SocketAddr) {
    soon(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_ends_by_its_deadline_whatever_runs() {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let credentials = with_clock(ca.material("/pay"), &clock);
    let server = start(Config::new(credentials).shutdown_deadline(Duration::from_secs(30))).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let lives = Lives::begin(&server, &ca.workload("/orders")).await;
    server.handle.shutdown();
    // One idle connection closes; the others have something under way.
    until(|| server.handle.connections() == 4).await;
    let mut waste = [0; 1];
    let _ = soon(tokio::io::AsyncReadExt::read(&mut silent, &mut waste)).await;
    clock.advance(Duration::from_secs(29));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!server.task.is_finished());
    assert_eq!(server.handle.connections(), 4);
    clock.advance(Duration::from_secs(1));
    lives.ended().await;
    soon(server.task).await.unwrap().unwrap();
    until(|| server.handle.connections() == 0).await;
}

#[tokio::test]
async fn a_server_whose_future_is_dropped_leaves_no_connection() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let lives = Lives::begin(&server, &ca.workload("/orders")).await;
    server.task.abort();
    lives.ended().await;
    until(|| server.handle.connections() == 0).await;
}
