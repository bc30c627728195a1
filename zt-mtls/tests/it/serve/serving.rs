//! What good clients get.

use super::support::*;
use tokio::io::AsyncWriteExt;
use zt_mtls::{serve::Config, testing::TestCa};

#[tokio::test]
async fn a_request_over_http1_and_http2_has_the_peer_on_it() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let orders = ca.workload("/orders");
    for alpn in [H1, &[]] {
        let mut tls = connect(server.address, client(Some(&orders), alpn))
            .await
            .unwrap();
        for _ in 0..2 {
            let answer = get_on(&mut tls, "/").await.unwrap();
            assert_eq!(answer, (200, "spiffe://shop.example/orders".to_owned()));
        }
    }
    let (mut send, _drive) = http2(server.address, &orders).await;
    let answer = ask(&mut send, "/").await.unwrap();
    assert_eq!(answer, (200, "spiffe://shop.example/orders".to_owned()));
}

#[tokio::test]
async fn headers_that_name_a_workload_do_not_reach_the_application() {
    let app = axum::Router::new().fallback(|headers: axum::http::HeaderMap| async move {
        format!("{:?}", headers.keys().collect::<Vec<_>>())
    });
    let ca = TestCa::new("shop.example");
    let server = start_with(Config::new(ca.credentials("/pay")), app).await;
    let mut tls = connect(server.address, client(Some(&ca.workload("/a")), H1))
        .await
        .unwrap();
    tls.write_all(
        b"GET / HTTP/1.1\r\nhost: a\r\nX-Forwarded-Client-Cert: URI=spiffe://shop.example/root\r\n\
          Client-Cert: :AAAA:\r\nclient-cert: :BBBB:\r\nClient-Cert-Chain: :AAAA:\r\nx-other: 1\r\n\r\n",
    )
    .await
    .unwrap();
    let (status, names) = answer(&mut tls).await.unwrap();
    assert_eq!((status, &*names), (200, r#"["host", "x-other"]"#));
}

#[tokio::test]
async fn another_host_than_that_of_the_handshake_is_misdirected() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let config = client(Some(&ca.workload("/a")), H1);
    let mut tls = connect_as(server.address, config.clone(), "pay.example")
        .await
        .unwrap();
    for good in ["pay.example", "PAY.example:8443", "pay.example."] {
        assert_eq!(
            get_from(&mut tls, "/", good).await.unwrap().0,
            200,
            "{good}"
        );
    }
    for bad in [
        "other.example",
        "pay.example.evil",
        "pay.example\r\nhost: other.example",
    ] {
        let (status, body) = get_from(&mut tls, "/", bad).await.unwrap();
        assert_eq!(status, 421, "{bad}");
        assert!(body.contains(r#""code":"misdirected""#), "{body}");
    }
    // Of the two names, the target's is the one that routes.
    let (status, _) = get_from(&mut tls, "http://other.example/", "pay.example")
        .await
        .unwrap();
    assert_eq!(status, 421);

    let door = Config::new(ca.credentials("/pay")).insecure_allow_any_host();
    let server = start(door).await;
    let mut tls = connect_as(server.address, config, "pay.example")
        .await
        .unwrap();
    assert_eq!(
        get_from(&mut tls, "/", "other.example").await.unwrap().0,
        200
    );
}

#[tokio::test]
async fn the_report_says_what_is_offered() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let report = server.handle.report();
    assert_eq!(report.versions, ["TLSv1.3"]);
    assert_eq!(report.alpn, ["h2", "http/1.1"]);
    assert_eq!(report.address, Some(server.address));
    assert!(report.post_quantum);
    assert!(report.suites.iter().all(|suite| suite.starts_with("TLS_")));
    let text = report.to_string();
    for part in [
        "X25519MLKEM768",
        "shop.example",
        "spiffe://shop.example/pay",
        "TLS_AES_128_GCM_SHA256",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("insecure"));
    let open = Config::new(ca.credentials("/pay")).insecure_allow_tls12();
    let report = start(open).await.handle.report();
    assert_eq!(report.versions, ["TLSv1.3", "TLSv1.2"]);
    assert!(report.to_string().contains("insecure_allow_tls12"));
}
