//! One connection, from its handshake to its end.

use std::{
    error::Error,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tower_service::Service;
use zt_core::clock::Sleep;

use super::{
    accept::Admitted,
    io::PeerStream,
    registry::{Ending, Entry},
    request::Requests,
    server::Server,
    stall::Streams,
};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// An HTTP connection that can be told to come to its end.
pub(super) trait Connection: Future<Output = hyper::Result<()>> + Send {
    fn finish(self: Pin<&mut Self>);
}

/// Serves a connection until its socket is shut, or dropped by whoever owns it.
pub(super) async fn serve<A, B>(server: Arc<Server>, admitted: Admitted, app: A)
where
    A: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    A::Future: Send + 'static,
    A::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Admitted {
        stream,
        entry,
        http2,
    } = admitted;
    let requests = Requests {
        server: Arc::clone(&server),
        entry: Arc::clone(&entry),
        app,
    };
    let io = TokioIo::new(stream);
    let http: Pin<Box<dyn Connection>> = if http2 {
        Box::pin(second(&server).serve_connection(io, requests))
    } else {
        Box::pin(
            first(&server)
                .serve_connection(io, requests)
                .with_upgrades(),
        )
    };
    supervise(&server, &entry, Some(http)).await;
}

/// Sees that a connection ends when it must. Without `http`, somebody else drives it.
pub(super) async fn supervise(
    server: &Server,
    entry: &Entry,
    mut http: Option<Pin<Box<dyn Connection>>>,
) {
    let mut told = None;
    let mut grace: Option<Sleep> = None;
    loop {
        tokio::select! {
            biased;
            () = entry.woken() => {}
            result = either(http.as_mut()) => {
                http = None;
                if let Err(error) = result {
                    tracing::debug!(address = %entry.address, %error, "a connection ended");
                }
                // Whoever has the socket now is not HTTP.
                entry.activity.upgraded();
            }
            () = either(grace.as_mut()) => {
                grace = None;
                entry.throw();
            }
        }
        if entry.line.is_thrown() {
            // An upgraded connection may be held by somebody who sleeps. It is over all the same.
            drop(http);
            server.registry.leave(entry);
            return;
        }
        if entry.is_gone() {
            return;
        }
        let why = entry.ending();
        if why <= told {
            continue;
        }
        told = why;
        if let Some(http) = &mut http {
            http.as_mut().finish();
        }
        // A shutdown has a deadline of its own.
        if why != Some(Ending::Shutdown) && grace.is_none() {
            grace = Some(server.clock.sleep(server.limits.grace));
        }
    }
}

async fn either<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

fn first(server: &Server) -> http1::Builder {
    let limits = &server.limits;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX));
    http
}

fn second(server: &Server) -> http2::Builder<Streams> {
    let limits = &server.limits;
    let mut http = http2::Builder::new(Streams::new(
        Arc::clone(&server.clock),
        limits.stall_timeout,
    ));
    http.timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_bytes)
        .max_send_buf_size(UNSENT)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS);
    http
}

/// Bytes of each stream that wait for the socket, which the peer may leave closed with all windows open.
const UNSENT: usize = 64 << 10;
/// Streams that were reset before the application saw them (CVE-2023-44487).
const RESETS: usize = 20;
/// Streams that we had to reset for a fault of the peer (RUSTSEC-2024-0003, CVE-2025-8671).
const LOCAL_RESETS: usize = 128;

impl<S, B> Connection for http1::UpgradeableConnection<TokioIo<PeerStream>, S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Send,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Connection for http2::Connection<TokioIo<PeerStream>, S, Streams>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
