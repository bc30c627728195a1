//! The handshakes under way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

/// At most so many wait for their client's hello, and at most so many go on after it. A newcomer never
/// waits and is never refused: when there is no room, the oldest of the source that has the most is
/// dropped for it.
///
/// The two are apart because saying nothing costs a client nothing: however fast such clients come,
/// they make room for one another, and not for those whose hello was there at once.
///
/// One address is a source, and one /64 of IPv6, since a host may have all of that.
#[derive(Debug)]
pub(super) struct Pending {
    most: usize,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    next: u64,
    dropped: u64,
    before_hello: Table,
    after_hello: Table,
}

#[derive(Debug, Default)]
struct Table {
    count: usize,
    sources: HashMap<IpAddr, BTreeMap<u64, oneshot::Sender<()>>>,
    /// Sources by how many they have.
    sizes: BTreeSet<(usize, IpAddr)>,
}

/// A place among the handshakes under way, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    pending: Arc<Pending>,
    source: IpAddr,
    place: u64,
}

/// Ready, with an error, when the place was given back or to another.
pub(super) type Lost = oneshot::Receiver<()>;

impl Pending {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            tables: Mutex::default(),
        })
    }

    /// A place for a newcomer, where need be that of another.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> (Ticket, Lost) {
        let source = source(from);
        let (keep, lost) = oneshot::channel();
        let mut tables = self.lock();
        let place = tables.next;
        tables.next += 1;
        tables.dropped += tables.before_hello.make_room(self.most);
        tables.before_hello.insert(source, place, keep);
        drop(tables);
        let ticket = Ticket {
            pending: Arc::clone(self),
            source,
            place,
        };
        (ticket, lost)
    }

    /// Drops some, for the process is out of file descriptors.
    pub(super) fn drop_some(&self, wanted: usize) {
        let mut tables = self.lock();
        let most = tables.before_hello.count.saturating_sub(wanted) + 1;
        tables.dropped += tables.before_hello.make_room(most);
    }

    /// Drops all.
    pub(super) fn clear(&self) {
        let mut tables = self.lock();
        tables.before_hello = Table::default();
        tables.after_hello = Table::default();
    }

    pub(super) fn count(&self) -> usize {
        let tables = self.lock();
        tables.before_hello.count + tables.after_hello.count
    }

    /// How many were dropped for another.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The client's hello is there.
    pub(super) fn hello(&self) {
        let mut tables = self.pending.lock();
        // Gone where the place was lost a moment ago.
        if let Some(keep) = tables.before_hello.remove(self.source, self.place) {
            tables.dropped += tables.after_hello.make_room(self.pending.most);
            tables.after_hello.insert(self.source, self.place, keep);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut tables = self.pending.lock();
        tables.before_hello.remove(self.source, self.place);
        tables.after_hello.remove(self.source, self.place);
    }
}

impl Table {
    fn insert(&mut self, source: IpAddr, place: u64, keep: oneshot::Sender<()>) {
        let places = self.sources.entry(source).or_default();
        self.sizes.remove(&(places.len(), source));
        places.insert(place, keep);
        self.sizes.insert((places.len(), source));
        self.count += 1;
    }

    fn remove(&mut self, source: IpAddr, place: u64) -> Option<oneshot::Sender<()>> {
        let places = self.sources.get_mut(&source)?;
        let before = places.len();
        let keep = places.remove(&place)?;
        self.count -= 1;
        self.sizes.remove(&(before, source));
        match places.len() {
            0 => drop(self.sources.remove(&source)),
            left => drop(self.sizes.insert((left, source))),
        }
        Some(keep)
    }

    /// Drops until one more fits in; how many that were.
    fn make_room(&mut self, most: usize) -> u64 {
        let mut dropped = 0;
        while self.count >= most {
            let Some((place, source)) = self.oldest() else {
                break;
            };
            self.remove(source, place);
            dropped += 1;
        }
        dropped
    }

    /// The oldest of the source that has the most; of all such sources, where there are several.
    fn oldest(&self) -> Option<(u64, IpAddr)> {
        let &(size, _) = self.sizes.last()?;
        let largest = self.sizes.range((size, LOWEST)..).map(|(_, source)| source);
        let oldest = |source: &IpAddr| {
            let places = self.sources.get(source)?;
            Some((*places.keys().next()?, *source))
        };
        largest.filter_map(oldest).min()
    }
}

/// Below all addresses.
const LOWEST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address => address,
    }
}
