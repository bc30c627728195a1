//! The connections that live.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls_pki_types::CertificateDer;
use tokio::sync::Notify;
use zt_core::{clock::Timestamp, identity::PeerIdentity};

use super::io::Line;

/// Why a connection has to end. A later one outweighs an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Ending {
    /// It had no request for too long.
    Idle = 1,
    /// The server shuts down.
    Shutdown = 2,
    /// The certificate has ended.
    Expired = 3,
    /// The certificate is not good any more.
    Revoked = 4,
}

/// A connection whose peer is known.
#[derive(Debug)]
pub(super) struct Entry {
    place: u64,
    pub(super) address: SocketAddr,
    /// What the peer showed, its own first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) identity: Arc<PeerIdentity>,
    /// The host that the peer named in the handshake.
    pub(super) sni: Option<Box<str>>,
    pub(super) line: Arc<Line>,
    /// The newest material that the chain was good by.
    pub(super) generation: AtomicU64,
    /// When the first certificate of its path ends, by that material.
    until: AtomicU64,
    ending: AtomicU8,
    gone: AtomicBool,
    wake: Notify,
    pub(super) activity: Activity,
}

/// What a connection does, counted without looking at a clock for each request.
#[derive(Debug, Default)]
pub(super) struct Activity {
    running: AtomicUsize,
    begun: AtomicU64,
    seen: AtomicU64,
    idle_since: AtomicU64,
    upgraded: AtomicBool,
}

/// What a connection is made of.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) identity: Arc<PeerIdentity>,
    pub(super) sni: Option<Box<str>>,
    pub(super) generation: u64,
}

/// All connections, at most so many.
#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    /// Of one workload.
    most_of_one: usize,
    table: Mutex<Table>,
    /// Something changed that whoever waits for the end of all, or of the first, should look at.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Arc<Entry>>,
    peers: HashMap<Who, usize>,
}

/// Whose connections are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Workload(Box<str>),
    Certificate([u8; 32]),
}

/// A place among the connections, given back when it is dropped: the socket's owner holds it.
#[derive(Debug)]
pub(super) struct Live {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
}

/// A request that runs.
#[derive(Debug)]
pub(super) struct Running(Arc<Entry>);

impl Registry {
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one,
            table: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// A place for a connection, where there is one.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: Peer,
        line: Arc<Line>,
        monotonic: Duration,
    ) -> Option<Live> {
        let mut table = self.lock();
        if table.entries.len() >= self.most {
            return None;
        }
        let of_one = table.peers.entry(Who::of(&peer.identity)).or_default();
        if *of_one >= self.most_of_one {
            return None;
        }
        *of_one += 1;
        let place = table.next;
        table.next += 1;
        let entry = Arc::new(Entry {
            place,
            until: AtomicU64::new(peer.identity.not_after().as_micros()),
            address: peer.address,
            chain: peer.chain,
            identity: peer.identity,
            sni: peer.sni,
            line,
            generation: AtomicU64::new(peer.generation),
            ending: AtomicU8::new(0),
            gone: AtomicBool::new(false),
            wake: Notify::new(),
            activity: Activity::default(),
        });
        entry.activity.idle_from(monotonic);
        table.entries.insert(place, Arc::clone(&entry));
        drop(table);
        Some(Live {
            registry: Arc::clone(self),
            entry,
        })
    }

    /// Gives the place of a connection back, before its socket's owner does.
    pub(super) fn leave(&self, entry: &Entry) {
        self.lock().remove(entry);
        self.changed.notify_waiters();
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() >= self.most
    }

    pub(super) fn count(&self) -> usize {
        self.lock().entries.len()
    }

    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().entries.values().cloned().collect()
    }

    pub(super) fn for_each(&self, mut what: impl FnMut(&Entry)) {
        self.lock().entries.values().for_each(|entry| what(entry));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, entry: &Entry) {
        if self.entries.remove(&entry.place).is_none() {
            return;
        }
        let who = Who::of(&entry.identity);
        if let Some(of_one) = self.peers.get_mut(&who) {
            *of_one -= 1;
            if *of_one == 0 {
                self.peers.remove(&who);
            }
        }
    }
}

impl Who {
    fn of(peer: &PeerIdentity) -> Self {
        match peer.spiffe_id() {
            Some(id) => Self::Workload(id.into()),
            None => Self::Certificate(*peer.thumbprint()),
        }
    }
}

impl Live {
    pub(super) const fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(super) fn line(&self) -> &Line {
        &self.entry.line
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.registry.leave(&self.entry);
        self.entry.gone.store(true, Ordering::Release);
        self.entry.wake.notify_one();
    }
}

impl Entry {
    /// Tells the connection to end.
    pub(super) fn end(&self, why: Ending) {
        if self.ending.fetch_max(why as u8, Ordering::AcqRel) < why as u8 {
            self.wake.notify_one();
        }
    }

    /// Shuts the socket.
    pub(super) fn throw(&self) {
        self.line.throw();
        self.wake.notify_one();
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        match self.ending.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Ending::Idle),
            2 => Some(Ending::Shutdown),
            3 => Some(Ending::Expired),
            _ => Some(Ending::Revoked),
        }
    }

    /// Whether the socket's owner has dropped it.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Ready when something changed since it was last looked at.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn until(&self) -> Timestamp {
        Timestamp::from_micros(self.until.load(Ordering::Acquire))
    }

    /// Good by the material of this generation, until then.
    pub(super) fn judged(&self, generation: u64, until: Timestamp) {
        self.until.fetch_min(until.as_micros(), Ordering::AcqRel);
        self.generation.fetch_max(generation, Ordering::AcqRel);
    }

    /// Ends the connection where its certificate has ended.
    pub(super) fn look(&self, now: Timestamp) {
        if self.until() <= now {
            self.end(Ending::Expired);
        }
    }
}

impl Activity {
    /// How long nothing has run, as far as anybody looked.
    pub(super) fn idle(&self, monotonic: Duration) -> Duration {
        let begun = self.begun.load(Ordering::Acquire);
        let quiet = self.running.load(Ordering::Acquire) == 0
            && !self.upgraded.load(Ordering::Acquire)
            && self.seen.swap(begun, Ordering::AcqRel) == begun;
        if !quiet {
            self.idle_from(monotonic);
            return Duration::ZERO;
        }
        monotonic.saturating_sub(Duration::from_micros(
            self.idle_since.load(Ordering::Acquire),
        ))
    }

    /// From now on the connection is the application's.
    pub(super) fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    fn idle_from(&self, monotonic: Duration) {
        let micros = u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX);
        self.idle_since.store(micros, Ordering::Release);
    }
}

impl Running {
    pub(super) fn new(entry: &Arc<Entry>) -> Self {
        entry.activity.running.fetch_add(1, Ordering::AcqRel);
        entry.activity.begun.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(entry))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.activity.running.fetch_sub(1, Ordering::AcqRel);
    }
}
