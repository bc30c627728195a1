//! How much a client may have.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zt_core::clock::{Clock, ManualClock, SystemClock};
use zt_mtls::{serve::Config, testing::TestCa};

use super::support::*;

#[tokio::test]
async fn more_connections_than_the_cap_are_closed_and_room_is_given_back() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay")).max_connections(2)).await;
    let config = client(Some(&ca.workload("/orders")), H1);
    let mut first = connect(server.address, config.clone()).await.unwrap();
    let mut second = connect(server.address, config.clone()).await.unwrap();
    for tls in [&mut first, &mut second] {
        assert_eq!(get_on(tls, "/").await.unwrap().0, 200);
    }
    connect(server.address, config.clone()).await.unwrap_err();
    until(|| server.handle.status().refused == 1).await;
    // An upgraded connection counts until it is over.
    upgrade(&mut second, "/echo").await;
    drop(first);
    until(|| server.handle.connections() == 1).await;
    let mut third = connect(server.address, config.clone()).await.unwrap();
    assert_eq!(get_on(&mut third, "/").await.unwrap().0, 200);
    assert_eq!(server.handle.connections(), 2);
    connect(server.address, config).await.unwrap_err();
    drop((second, third));
    until(|| server.handle.connections() == 0).await;
}

#[tokio::test]
async fn the_oldest_handshake_makes_room_for_a_newcomer() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay")).max_handshakes(4)).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    until(|| server.handle.status().handshakes == 4).await;
    let config = client(Some(&ca.workload("/orders")), H1);
    let mut tls = connect(server.address, config).await.unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
    let status = server.handle.status();
    assert_eq!((status.handshakes, status.dropped), (3, 1));
    let mut byte = [0];
    assert_eq!(soon(silent[0].read(&mut byte)).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn connections_without_a_request_are_closed_after_the_idle_timeout() {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let credentials = with_clock(ca.material("/pay"), &clock);
    let server = start(Config::new(credentials).idle_timeout(Duration::from_secs(60))).await;
    let cert = ca.workload("/orders");
    // None of these has a request, ever; one sends part of a frame.
    let mut http1 = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    let mut http2_silent = connect(server.address, client(Some(&cert), H2))
        .await
        .unwrap();
    let mut part = connect(server.address, client(Some(&cert), H2))
        .await
        .unwrap();
    part.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0")
        .await
        .unwrap();
    let (mut used, _drive) = http2(server.address, &cert).await;
    let mut again = used.clone();
    let running = tokio::spawn(async move { ask(&mut again, "/stuck").await });
    let mut socket = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    upgrade(&mut socket, "/echo").await;
    until(|| server.handle.connections() == 5).await;
    assert_eq!(ask(&mut used, "/").await.unwrap().0, 200);

    clock.advance(Duration::from_secs(59));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(server.handle.connections(), 5);
    clock.advance(Duration::from_secs(1));
    end(&mut http1).await;
    // A preface that never ends is not graceful: it has the grace, whenever that begins.
    let mut both = std::pin::pin!(async {
        end(&mut http2_silent).await;
        end(&mut part).await;
    });
    while tokio::time::timeout(Duration::from_millis(20), &mut both)
        .await
        .is_err()
    {
        clock.advance(Duration::from_millis(250));
        assert_eq!(ask(&mut used, "/").await.unwrap().0, 200);
    }
    until(|| server.handle.connections() == 2).await;
    // A request that runs, and a websocket, are not idle.
    assert!(!running.is_finished());
    echo(&mut socket).await.unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let ca = TestCa::new("shop.example");
    let config =
        Config::new(ca.credentials("/pay")).header_read_timeout(Duration::from_millis(300));
    let server = start(config).await;
    let mut tls = connect(server.address, client(Some(&ca.workload("/a")), H1))
        .await
        .unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    end(&mut tls).await;
    until(|| server.handle.connections() == 0).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let cert = ca.workload("/orders");
    let large = "a".repeat(40 << 10);
    let mut tls = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {large}\r\n\r\n");
    let _ = tls.write_all(request.as_bytes()).await;
    assert_eq!(answer(&mut tls).await.unwrap().0, 431);
    let (mut send, _drive) = http2(server.address, &cert).await;
    let request = Request::get("https://a/")
        .header("x", large)
        .body(Empty::<Bytes>::new());
    let outcome = soon(send.send_request(request.unwrap())).await;
    assert!(outcome.map_or(true, |response| response.status() == 431));
}

#[tokio::test]
async fn streams_that_are_reset_as_they_open_end_the_connection() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let cert = Arc::new(ca.workload("/orders"));
    let mut tls = connect(server.address, client(Some(&cert), H2))
        .await
        .unwrap();
    // RFC 9113: the preface, empty SETTINGS, then HEADERS and RST_STREAM for each stream, in one go.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // GET https /, and `:authority: a`.
    let block = [0x82, 0x87, 0x84, 0x41, 0x01, b'a'];
    for stream in (1_u32..2001).step_by(2) {
        bytes.extend([0, 0, 6, 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(block);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(8_u32.to_be_bytes());
    }
    let _ = tls.write_all(&bytes).await;
    let mut heard = Vec::new();
    let _ = soon(tls.read_to_end(&mut heard)).await;
    assert_eq!(goaway(&heard), Some(11), "ENHANCE_YOUR_CALM");
    until(|| server.handle.connections() == 0).await;
}

/// The error of the last GOAWAY.
fn goaway(mut frames: &[u8]) -> Option<u32> {
    let mut found = None;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let payload = rest.get(..length)?;
        if *kind == 7 {
            found = Some(u32::from_be_bytes(payload.get(4..8)?.try_into().unwrap()));
        }
        frames = &rest[length..];
    }
    found
}

#[tokio::test]
async fn no_more_streams_run_at_once_than_are_allowed() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay")).max_concurrent_streams(3)).await;
    let (mut send, _drive) = http2(server.address, &ca.workload("/orders")).await;
    assert_eq!(ask(&mut send, "/").await.unwrap().0, 200);
    let stuck: Vec<_> = (0..3)
        .map(|_| {
            let mut send = send.clone();
            tokio::spawn(async move { ask(&mut send, "/stuck").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut again = send.clone();
    let fourth = tokio::spawn(async move { ask(&mut again, "/").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!fourth.is_finished());
    stuck.into_iter().for_each(|stuck| stuck.abort());
    assert_eq!(soon(fourth).await.unwrap().unwrap().0, 200);
}
