use std::{sync::Arc, time::Duration};

use zt_core::{
    clock::Clock,
    problem::{ProblemJson, Render},
};

use crate::{credentials::Credentials, forwarded::Forwarded};

/// How a server serves. See the [module](super) for what the limits are for.
#[derive(Debug, Clone)]
#[must_use]
pub struct Config {
    pub(super) credentials: Credentials,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) render: Arc<dyn Render>,
    pub(super) limits: Limits,
    pub(super) any_host: bool,
    pub(super) tls12: bool,
    pub(super) forwarded: Forwarded,
}

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections after their handshake.
    pub max_connections: usize,
    /// Of these, those of one workload; seven eighths where it is not said.
    pub max_connections_per_peer: Option<usize>,
    /// Handshakes under way before their client's hello, and as many after it.
    pub max_handshakes: usize,
    /// From the accepted socket to the end of the handshake.
    pub handshake_timeout: Duration,
    /// For the head of an HTTP/1 request, counted from the answer before.
    pub header_read_timeout: Duration,
    /// Without a request.
    pub idle_timeout: Duration,
    /// Without the peer taking any of what waits for it.
    pub stall_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Of the head of a request.
    pub max_header_bytes: u32,
    /// Between two signs of life that HTTP/2 is asked for, and for each answer.
    pub keep_alive: Duration,
    /// For requests that run when a peer's certificate is not good any more.
    pub grace: Duration,
    /// For requests that run when the server shuts down.
    pub shutdown_deadline: Duration,
}

impl Limits {
    /// The most connections of one workload.
    pub(super) fn of_one_peer(&self) -> usize {
        let most = self.max_connections;
        self.max_connections_per_peer.unwrap_or(most - most / 8)
    }
}

impl Config {
    /// Shows and trusts what `credentials` hold, with limits for a service inside a network, and the
    /// clock of the credentials.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            clock: Arc::clone(credentials.clock()),
            credentials,
            render: Arc::new(ProblemJson::default()),
            limits: Limits {
                max_connections: 8192,
                max_connections_per_peer: None,
                max_handshakes: 1024,
                handshake_timeout: Duration::from_secs(10),
                header_read_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(180),
                stall_timeout: Duration::from_secs(30),
                max_concurrent_streams: 128,
                max_header_bytes: 32 << 10,
                keep_alive: Duration::from_secs(20),
                grace: Duration::from_millis(250),
                shutdown_deadline: Duration::from_secs(30),
            },
            any_host: false,
            tls12: false,
            forwarded: Forwarded::nobody(),
        }
    }

    /// Which proxies are believed to say who called them; none. See [`forwarded`](crate::forwarded).
    pub fn forwarded(mut self, forwarded: Forwarded) -> Self {
        self.forwarded = forwarded;
        self
    }

    /// The most connections, at least one; 8,192. More are closed as they come.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.max_connections = most.max(1);
        self
    }

    /// The most connections of one workload, at least one; seven eighths of all, so that no workload
    /// keeps all others out. By plain PKI, those of one certificate. More are closed after the handshake.
    pub fn max_connections_per_peer(mut self, most: usize) -> Self {
        self.limits.max_connections_per_peer = Some(most.max(1));
        self
    }

    /// The most handshakes under way that wait for their client's hello, and the most that go on after
    /// it, at least one each; 1,024. Beyond it, the oldest is dropped.
    pub fn max_handshakes(mut self, most: usize) -> Self {
        self.limits.max_handshakes = most.max(1);
        self
    }

    /// How long a handshake may take; ten seconds.
    pub const fn handshake_timeout(mut self, span: Duration) -> Self {
        self.limits.handshake_timeout = span;
        self
    }

    /// How long the head of an HTTP/1 request may take, counted from the answer before, so this is
    /// also how long HTTP/1 may be idle; thirty seconds.
    pub const fn header_read_timeout(mut self, span: Duration) -> Self {
        self.limits.header_read_timeout = span;
        self
    }

    /// How long a connection may have no request that runs; three minutes.
    pub const fn idle_timeout(mut self, span: Duration) -> Self {
        self.limits.idle_timeout = span;
        self
    }

    /// How long a peer may take nothing of what waits for it; thirty seconds. Then the connection is shut
    /// where the socket takes nothing, upgraded or not, and over HTTP/2 the stream is reset whose window
    /// is closed.
    pub const fn stall_timeout(mut self, span: Duration) -> Self {
        self.limits.stall_timeout = span;
        self
    }

    /// The most requests at once on one HTTP/2 connection; 128.
    pub const fn max_concurrent_streams(mut self, most: u32) -> Self {
        self.limits.max_concurrent_streams = most;
        self
    }

    /// The most bytes of a request's head; 32 KiB.
    pub const fn max_header_bytes(mut self, most: u32) -> Self {
        self.limits.max_header_bytes = most;
        self
    }

    /// How often HTTP/2 is asked for a sign of life, and how long it may take; twenty seconds.
    pub const fn keep_alive(mut self, span: Duration) -> Self {
        self.limits.keep_alive = span;
        self
    }

    /// How long requests that run may go on when their peer's certificate is not good any more; a
    /// quarter of a second. Half a second more may have passed until an expiry was seen.
    pub const fn grace(mut self, span: Duration) -> Self {
        self.limits.grace = span;
        self
    }

    /// How long requests that run may go on when the server shuts down; thirty seconds.
    pub const fn shutdown_deadline(mut self, span: Duration) -> Self {
        self.limits.shutdown_deadline = span;
        self
    }

    /// Another clock than that of the credentials.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the answers of refused requests otherwise.
    pub fn render(mut self, render: impl Render) -> Self {
        self.render = Arc::new(render);
        self
    }

    /// Lets a request ask for another host than the handshake did. A proxy that keeps its clients'
    /// `Host`, and names us by another name in the handshake, needs this.
    pub const fn insecure_allow_any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Takes TLS 1.2 too, for clients that know nothing newer. The certificates of both ends cross the
    /// network in clear then.
    pub const fn insecure_allow_tls12(mut self) -> Self {
        self.tls12 = true;
        self
    }
}
