use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

use super::{answer::answer, state::State};
use crate::http::HttpService;

/// Serves until the other end of `stop` is dropped; then connections end too.
pub(super) async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    mut stop: oneshot::Receiver<Infallible>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stop => return,
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(connection(stream, state.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| answer(state.clone(), request));
    // An error is a client that went, or an answer that was withheld on purpose.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A client for plain HTTP.
pub(super) fn client() -> HttpService {
    let connector = HttpConnector::new();
    HttpService::new(Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector))
}
