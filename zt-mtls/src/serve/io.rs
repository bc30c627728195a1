//! A connection that can be shut from outside.

use std::{
    fmt, io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::FutureExt;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

#[cfg(feature = "axum")]
use super::registry::Entry;
use super::{registry::Live, server::Server};

/// A socket and its switch.
///
/// Once the switch is thrown, the kernel has shut the socket, which wakes whoever waits for it on
/// either side and tells the peer, and [`PeerStream`] fails. So nobody has to poll the connection for
/// it to end: a handler that holds an upgraded connection and sleeps keeps nothing open.
pub(super) struct Line {
    tcp: TcpStream,
    thrown: AtomicBool,
    unread: Unread,
}

/// Whether something waits for the peer to read, without a look at a clock for each write.
#[derive(Debug, Default)]
struct Unread {
    /// Odd while a write waits; one more as it begins to, and as one is done again.
    turns: AtomicU64,
    seen: AtomicU64,
    since: AtomicU64,
}

impl Line {
    pub(super) fn new(tcp: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            tcp,
            thrown: AtomicBool::new(false),
            unread: Unread::default(),
        })
    }

    pub(super) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn throw(&self) {
        self.thrown.store(true, Ordering::Release);
        // Fails where the peer has gone, and then nothing is left to shut.
        let _ = SockRef::from(&self.tcp).shutdown(Shutdown::Both);
    }

    /// Whether a write has waited so long and the socket takes nothing, as far as anybody looked.
    pub(super) fn is_stalled(&self, monotonic: Duration, limit: Duration) -> bool {
        self.unread.wait(monotonic) >= limit
            // Whoever waited may have given up, and nothing tries any more.
            && self.tcp.writable().now_or_never().is_none()
    }

    pub(super) fn is_thrown(&self) -> bool {
        self.thrown.load(Ordering::Acquire)
    }

    fn write(
        &self,
        cx: &mut Context<'_>,
        mut some: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.tcp.poll_write_ready(cx) else {
                self.unread.waits(true);
                return Poll::Pending;
            };
            ready?;
            match some(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => {
                    self.unread.waits(false);
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    /// Ends our half and reads what the peer still sends, until it ends too. A socket that is closed
    /// with something unread resets the connection, and the peer may never see our alert.
    pub(super) async fn linger(&self) {
        let _ = SockRef::from(&self.tcp).shutdown(Shutdown::Write);
        let mut waste = [0; 512];
        let mut left: usize = 64 << 10;
        while left > 0 && self.tcp.readable().await.is_ok() {
            match self.tcp.try_read(&mut waste) {
                Ok(0) => break,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
}

impl Unread {
    fn waits(&self, waits: bool) {
        let turns = self.turns.load(Ordering::Relaxed);
        if turns.is_multiple_of(2) == waits {
            self.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        }
    }

    fn wait(&self, monotonic: Duration) -> Duration {
        let now = u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX);
        let turns = self.turns.load(Ordering::Relaxed);
        if self.seen.swap(turns, Ordering::Relaxed) != turns || turns.is_multiple_of(2) {
            self.since.store(now, Ordering::Relaxed);
        }
        Duration::from_micros(now.saturating_sub(self.since.load(Ordering::Relaxed)))
    }
}

/// The socket as rustls reads and writes it.
#[derive(Debug)]
pub(super) struct Socket(pub(super) Arc<Line>);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tcp = &self.0.tcp;
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            let mut read = 0;
            let outcome = tcp.try_io(Interest::READABLE, || {
                read = tcp.try_read(room)?;
                at_end(read, room.len())
            });
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && read == 0 => {}
                Err(error) if read == 0 => return Poll::Ready(Err(error)),
                _ => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.write(cx, |tcp| tcp.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.write(cx, |tcp| tcp.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&self.0.tcp).shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            outcome => Poll::Ready(outcome),
        }
    }
}

/// A read that did not fill its buffer emptied the socket: `WouldBlock` tells tokio to wait for the
/// next event, and spares a call to learn the same. tokio's own stream does so on these systems.
fn at_end(read: usize, room: usize) -> io::Result<()> {
    let events_are_edges = cfg!(any(target_os = "linux", target_os = "android"));
    if events_are_edges && 0 < read && read < room {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(())
}

/// A connection to a workload that is known; it counts as live until this is dropped or shut.
pub struct PeerStream {
    tls: TlsStream<Socket>,
    live: Live,
    #[cfg_attr(
        not(feature = "axum"),
        expect(dead_code, reason = "axum's listener has nothing but this to ask")
    )]
    server: Arc<Server>,
}

impl PeerStream {
    pub(super) const fn new(tls: TlsStream<Socket>, live: Live, server: Arc<Server>) -> Self {
        Self { tls, live, server }
    }

    #[cfg(feature = "axum")]
    pub(super) const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    #[cfg(feature = "axum")]
    pub(super) const fn entry(&self) -> &Arc<Entry> {
        self.live.entry()
    }

    fn check(&self) -> io::Result<()> {
        // Decrypted bytes may wait in rustls: a socket that is shut does not stop them.
        if self.live.line().is_thrown() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let outcome = ready!(Pin::new(&mut self.tls).poll_read(cx, buf));
        // The end that the switch made is not the peer's.
        self.check()?;
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("thrown", &self.is_thrown())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream").finish_non_exhaustive()
    }
}
