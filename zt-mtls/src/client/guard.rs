//! A connection that is cut when its peer is not good any more.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{sync::watch, task::AbortHandle};
use tokio_rustls::client::TlsStream;
use zt_core::{clock::Timestamp, identity::PeerIdentity};

use super::Ended;
use crate::verify::PeerServer;

/// How long a watch sleeps at most: the wall clock may be set while it does.
const SLICE: Duration = Duration::from_secs(30);

/// A connection to a server whose certificate is good, until it is not any more.
pub struct PeerStream<T> {
    tls: TokioIo<TlsStream<TokioIo<T>>>,
    peer: Arc<PeerIdentity>,
    http2: bool,
    switch: Arc<Switch>,
    watch: AbortHandle,
}

/// Cuts both directions.
#[derive(Default)]
struct Switch {
    ended: OnceLock<Ended>,
    read: AtomicWaker,
    write: AtomicWaker,
}

/// An `io::Error` tells the source of what it holds, not what it holds.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut: {0}")]
struct Cut(#[source] Ended);

/// What a live connection is judged by, again and again.
pub(super) struct Watched {
    pub(super) verifier: Arc<PeerServer>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) dialled: ServerName<'static>,
    pub(super) not_after: Timestamp,
    /// From before the edition was loaded that the server was found good by.
    pub(super) changes: watch::Receiver<u64>,
}

impl<T> PeerStream<T> {
    pub(super) fn new(
        tls: TlsStream<TokioIo<T>>,
        peer: Arc<PeerIdentity>,
        http2: bool,
        watched: Watched,
    ) -> Self {
        let switch = Arc::new(Switch::default());
        let theirs = Arc::clone(&switch);
        let watch = tokio::spawn(async move {
            let why = watched.ended().await;
            tracing::debug!(%why, "a connection to a server is cut");
            theirs.cut(why);
        });
        Self {
            tls: TokioIo::new(tls),
            peer,
            http2,
            switch,
            watch: watch.abort_handle(),
        }
    }

    /// Who the server is.
    #[must_use]
    pub const fn peer(&self) -> &Arc<PeerIdentity> {
        &self.peer
    }
}

impl Watched {
    /// Waits until the server is not good any more.
    async fn ended(mut self) -> Ended {
        let clock = Arc::clone(self.verifier.clock());
        loop {
            let left = match clock.now() {
                Ok(now) if now < self.not_after => self.not_after.since(now),
                Ok(_) => return Ended::Expired,
                Err(_) => return Ended::Clock,
            };
            tokio::select! {
                changed = self.changes.changed() => if changed.is_ok() {
                    match self.verifier.judge_now(&self.chain, &self.dialled) {
                        Ok(verified) => self.not_after = verified.not_after,
                        Err(refusal) => return Ended::Refused(refusal),
                    }
                    // A pool knows hosts alone: requests of today would go out under the name of before.
                    if !self.verifier.are_we_who_we_were() {
                        return Ended::OtherIdentity;
                    }
                } else {
                    // The verifier has the credentials: they do not go before it.
                    std::future::pending::<()>().await;
                },
                () = clock.sleep(left.min(SLICE)) => {}
            }
        }
    }
}

impl Switch {
    fn cut(&self, why: Ended) {
        let _ = self.ended.set(why);
        self.read.wake();
        self.write.wake();
    }

    /// Whether the connection goes on; whoever waits at `side` is woken when it does not.
    fn check(&self, side: &AtomicWaker, cx: &Context<'_>) -> io::Result<()> {
        side.register(cx.waker());
        match self.ended.get() {
            None => Ok(()),
            Some(why) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                Cut(why.clone()),
            )),
        }
    }
}

impl<T: Read + Write + Unpin> Read for PeerStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.switch.check(&self.switch.read, cx)?;
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl<T: Read + Write + Unpin> Write for PeerStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.switch.check(&self.switch.write, cx)?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.switch.check(&self.switch.write, cx)?;
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.switch.check(&self.switch.write, cx)?;
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl<T: Connection + Read + Write + Unpin> Connection for PeerStream<T> {
    fn connected(&self) -> Connected {
        let (tcp, _) = self.tls.inner().get_ref();
        // Whatever tunnel there is ends below TLS: requests are written as to the server itself.
        let connected = tcp.inner().connected().proxy(false);
        let connected = connected.extra(Arc::clone(&self.peer));
        match self.http2 {
            true => connected.negotiated_h2(),
            false => connected,
        }
    }
}

impl<T> Drop for PeerStream<T> {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl<T> fmt::Debug for PeerStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream")
            .field("peer", &self.peer)
            .field("ended", &self.switch.ended.get())
            .finish_non_exhaustive()
    }
}
