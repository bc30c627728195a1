//! The examples, attacked as whole applications.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

mod ai_gateway;
mod charges;
mod denials;
mod interop;
mod ledger;
mod order;
mod quickstart;
mod race;
mod services;
mod signatures;
mod tour;
mod your_stack;

use std::{convert::Infallible, net::SocketAddr};

use axum::{ServiceExt as _, body::Body, extract::Request, response::Response};
use tokio::net::TcpListener;
use tower::util::BoxCloneSyncService;
use zt_examples::raw::{Answer, send};

type App = BoxCloneSyncService<Request, Response<Body>, Infallible>;

/// Serves `app` on a free port of loopback.
async fn serve(app: App) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Sends one request with these extra lines of head.
async fn ask(to: SocketAddr, line: &str, headers: &[&str], body: &str) -> Answer {
    let mut text = format!("{line} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    send([127, 0, 0, 1], to, text.as_bytes()).await.unwrap()
}

/// Panics of handlers that are meant to panic are not printed; all others are.
fn quiet_handlers() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let meant = panic
                .payload_as_str()
                .is_some_and(|text| text.contains("the handler has a bug"));
            if !meant {
                loud(panic);
            }
        }));
    });
}
