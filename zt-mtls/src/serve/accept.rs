//! From the listening socket to the end of the handshake.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::net::{TcpListener, TcpStream};

use super::{
    handshake::{Failure, Shaken, shake},
    io::{Line, PeerStream},
    pending::{Lost, Ticket},
    registry::Entry,
    server::Server,
    watch,
};

/// A connection to nobody knows whom.
pub(super) struct Newcomer {
    tcp: TcpStream,
    address: SocketAddr,
    ticket: Ticket,
    lost: Lost,
}

/// A connection to a workload that is known.
pub(super) struct Admitted {
    pub(super) stream: PeerStream,
    pub(super) entry: Arc<Entry>,
    pub(super) http2: bool,
}

/// The next connection, with its place among the handshakes under way. Never fails: what the socket
/// says about one client is not about the next, and what it says about the process may pass.
pub(super) async fn next(server: &Server, listener: &TcpListener) -> Newcomer {
    let mut wait = FIRST_WAIT;
    loop {
        match listener.accept().await {
            Ok((_, address)) if server.registry.is_full() => {
                server.counts.refuse();
                tracing::debug!(%address, "there are too many connections");
            }
            Ok((tcp, address)) => {
                // Fails where the client has gone already.
                let _ = tcp.set_nodelay(true);
                let (ticket, lost) = server.pending.enter(address.ip());
                return Newcomer {
                    tcp,
                    address,
                    ticket,
                    lost,
                };
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                // Out of file descriptors, most likely: who does nothing gives some back.
                server.pending.drop_some(ROOM);
                server.clock.sleep(wait).await;
                wait = (wait * 2).min(LAST_WAIT);
            }
        }
    }
}

/// A client that went before it was accepted (accept(2), "Error handling").
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
    )
}

/// Shakes hands with a newcomer, under the time-out and as long as it has its place.
pub(super) async fn admit(server: &Arc<Server>, newcomer: Newcomer) -> Option<Admitted> {
    let Newcomer {
        tcp,
        address,
        ticket,
        lost,
    } = newcomer;
    let line = Line::new(tcp);
    let outcome = {
        let work = pin!(work(server, &line, address, &ticket));
        let limit = server.clock.sleep(server.limits.handshake_timeout);
        match select(work, select(lost, limit)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((Either::Left(_), _)) => Err(Failure::Dropped),
            Either::Right((Either::Right(_), _)) => Err(Failure::TooSlow),
        }
    };
    drop(ticket);
    match outcome {
        Ok(shaken) => enter(server, line, shaken),
        Err(error) => {
            server.counts.fail();
            tracing::debug!(%address, %error, "no connection");
            None
        }
    }
}

/// The handshake, begun when there is something to read: boxed, so that who waits costs little.
async fn work(
    server: &Arc<Server>,
    line: &Arc<Line>,
    address: SocketAddr,
    ticket: &Ticket,
) -> Result<Shaken, Failure> {
    // `readable` would not do: tokio takes it for granted of an accepted socket, until it was tried.
    line.tcp().peek(&mut [0]).await?;
    let failed = match Box::pin(shake(server, Arc::clone(line), address, ticket)).await {
        Ok(shaken) => return Ok(shaken),
        Err(error) => error,
    };
    let limit = server.clock.sleep(LINGER);
    select(Box::pin(line.linger()), limit).await;
    Err(failed)
}

/// Puts a connection among those that live.
fn enter(server: &Arc<Server>, line: Arc<Line>, shaken: Shaken) -> Option<Admitted> {
    let Shaken { tls, peer, http2 } = shaken;
    let address = peer.address;
    let now = server.clock.monotonic();
    let Some(live) = server.registry.enter(peer, line, now) else {
        server.counts.refuse();
        tracing::debug!(%address, "there are too many connections");
        return None;
    };
    let entry = Arc::clone(live.entry());
    let stream = PeerStream::new(tls, live, Arc::clone(server));
    // What came while it shook hands told only those that it found.
    watch::welcome(server, &entry);
    Some(Admitted {
        stream,
        entry,
        http2,
    })
}

const FIRST_WAIT: Duration = Duration::from_millis(5);
const LAST_WAIT: Duration = Duration::from_secs(1);
/// How many handshakes are dropped when the process is out of file descriptors.
const ROOM: usize = 64;
/// How long a client that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);
