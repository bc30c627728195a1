//! `axum::serve` over our listener.

use std::{net::SocketAddr, time::Duration};

use axum::extract::ConnectInfo;
use tokio::{net::TcpListener, net::TcpStream, task::JoinHandle};
use zt_mtls::{
    credentials::{Credentials, Material},
    serve::{Config, Connection, FromConnectionLayer, Handle, Listener},
    testing::TestCa,
    verify::Trust,
};

use super::support::*;

async fn begin(config: Config, layered: bool) -> (SocketAddr, Handle, JoinHandle<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = Listener::new(tcp, config).unwrap();
    let handle = listener.handle();
    let mut app = app().route(
        "/address",
        axum::routing::get(|ConnectInfo(address): ConnectInfo<SocketAddr>| async move {
            address.ip().to_string()
        }),
    );
    if layered {
        app = app.layer(FromConnectionLayer);
    }
    let app = app.into_make_service_with_connect_info::<Connection>();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, handle, task)
}

#[tokio::test]
async fn requests_have_their_peer_over_http1_and_http2() {
    let ca = TestCa::new("shop.example");
    let (address, handle, _task) = begin(Config::new(ca.credentials("/pay")), true).await;
    let cert = ca.workload("/orders");
    // One that does nothing holds up nobody.
    let _silent = TcpStream::connect(address).await.unwrap();
    let expected = (200, "spiffe://shop.example/orders".to_owned());
    let mut tls = connect(address, client(Some(&cert), H1)).await.unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap(), expected);
    let (status, ip) = get_on(&mut tls, "/address").await.unwrap();
    assert_eq!((status, &*ip), (200, "127.0.0.1"));
    let (mut send, _drive) = http2(address, &cert).await;
    assert_eq!(ask(&mut send, "/").await.unwrap(), expected);
    assert_eq!(handle.connections(), 2);
    let heard = refusal(address, client(None, H1)).await;
    assert!(heard.contains("CertificateRequired"), "{heard}");
}

#[tokio::test]
async fn without_the_layer_no_request_has_a_peer() {
    let ca = TestCa::new("shop.example");
    let (address, _, _task) = begin(Config::new(ca.credentials("/pay")), false).await;
    let mut tls = connect(address, client(Some(&ca.workload("/a")), H1))
        .await
        .unwrap();
    // axum's own answer: the handler asks for an extension that is not there.
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 500);
}

#[tokio::test]
async fn a_layer_without_a_connection_refuses() {
    use tower::{Layer, ServiceExt};
    let app = FromConnectionLayer.layer(app());
    let request = http::Request::get("/")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn a_bundle_that_is_taken_away_closes_connections_of_axum_too() {
    let (ours, theirs) = (TestCa::new("shop.example"), TestCa::new("partner.example"));
    let both = Trust::spiffe([ours.bundle(), theirs.bundle()]).unwrap();
    let credentials = Credentials::new(Material::new(ours.workload("/pay").identity(), both));
    let config = Config::new(credentials.clone()).grace(Duration::from_millis(300));
    let (address, handle, _task) = begin(config, true).await;
    let cert = theirs.workload("/orders");
    let mut tls = connect(address, client(Some(&cert), H1)).await.unwrap();
    let mut socket = connect(address, client(Some(&cert), H1)).await.unwrap();
    upgrade(&mut socket, "/asleep").await;
    let (mut send, drive) = http2(address, &cert).await;
    assert_eq!(ask(&mut send, "/").await.unwrap().0, 200);
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
    credentials.replace(ours.material("/pay"));
    for tls in [&mut tls, &mut socket] {
        end(tls).await;
    }
    let _ = soon(drive).await;
    until(|| handle.connections() == 0).await;
}
