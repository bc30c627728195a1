//! A thousand clients at once, some of which go away: what a budget has to stand.

use std::{io, iter, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Connections that carry many requests at once: HTTP/2 in the clear, so that a thousand requests
/// need no thousand sockets, and a client that goes away is missed at once.
#[derive(Debug)]
pub struct Swarm(Vec<SendRequest<Full<Bytes>>>);

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was answered: status and body.
    Answered(u16, Bytes),
    /// Its client went away first.
    GaveUp,
    /// The connection failed.
    Failed(String),
}

/// Few enough that a third of them may go away: of a connection with twenty requests that were
/// taken back before the server saw them, hyper believes that it is an attack (CVE-2023-44487).
const ON_A_CONNECTION: usize = 50;

impl Fate {
    /// The status that it was answered with.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(status, _) => Some(*status),
            Self::GaveUp | Self::Failed(_) => None,
        }
    }
}

impl Swarm {
    /// Connects often enough for so many requests at once.
    ///
    /// # Errors
    ///
    /// When a connection cannot be made.
    pub async fn of(requests: usize, to: SocketAddr) -> io::Result<Self> {
        let mut lanes = Vec::new();
        for _ in 0..requests.div_ceil(ON_A_CONNECTION).max(1) {
            let stream = TokioIo::new(TcpStream::connect(to).await?);
            let (lane, connection) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            lanes.push(lane);
        }
        Ok(Self(lanes))
    }

    /// Sends all of `requests` at once, and gives their fates in that order. A client with patience
    /// goes away when it ends.
    pub async fn send(
        &self,
        requests: impl IntoIterator<Item = (Request<Full<Bytes>>, Option<Duration>)>,
    ) -> Vec<Fate> {
        // Neighbours share a connection, so that those who go away are spread over all.
        let lanes = self.0.iter().cycle();
        let lanes = lanes.flat_map(|lane| iter::repeat_n(lane, ON_A_CONNECTION));
        join_all(
            requests
                .into_iter()
                .zip(lanes)
                .map(|((request, patience), lane)| async move {
                    let answered = answered(lane.clone(), request);
                    match patience {
                        Some(patience) => tokio::time::timeout(patience, answered)
                            .await
                            .unwrap_or(Fate::GaveUp),
                        None => answered.await,
                    }
                }),
        )
        .await
    }
}

async fn answered(mut lane: SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Fate {
    let answer = async {
        lane.ready().await?;
        let response = lane.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Fate::Answered(status, body))
    };
    answer
        .await
        .unwrap_or_else(|error| Fate::Failed(error.to_string()))
}
