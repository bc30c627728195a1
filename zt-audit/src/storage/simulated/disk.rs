//! Names, operations and faults of a simulated disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::Arc,
};

use super::{
    Fault, Kind, Loss, Operation, Place,
    chance::Chance,
    inode::{Inode, PAGE},
};

/// A file, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64);

#[derive(Debug)]
pub(super) struct Disk {
    inodes: BTreeMap<Id, Inode>,
    /// The names as they are seen.
    names: BTreeMap<String, Id>,
    /// The names as they are on the disk for sure.
    durable: BTreeMap<String, Id>,
    /// What was done to names since, in order.
    pending: Vec<Naming>,
    locked: BTreeSet<String>,
    off: bool,
    limit: Option<u64>,
    count: u64,
    faulted: u64,
    faults: BTreeMap<u64, Fault>,
    from: Option<(u64, Fault)>,
    trace: Vec<Operation>,
    next: u64,
    seed: u64,
    chance: Chance,
    pub(super) before_sync: Option<Hook>,
}

/// What a test does in another's place.
#[derive(Clone)]
pub(super) struct Hook(pub(super) Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// A change of names that is there wholly or not at all.
#[derive(Debug, Clone)]
struct Naming {
    folder: String,
    sets: Vec<(String, Option<Id>)>,
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

pub(super) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            locked: BTreeSet::new(),
            off: false,
            limit: None,
            count: 0,
            faulted: 0,
            faults: BTreeMap::new(),
            from: None,
            trace: Vec::new(),
            next: 0,
            seed,
            chance: Chance::new(seed),
            before_sync: None,
        }
    }

    pub(super) fn fail(&mut self, number: u64, fault: Fault) {
        self.faults.insert(number, fault);
    }

    pub(super) fn fail_from(&mut self, number: u64, fault: Fault) {
        self.from = Some((number, fault));
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
        self.from = None;
    }

    pub(super) fn limit(&mut self, bytes: Option<u64>) {
        self.limit = bytes;
    }

    pub(super) const fn operations(&self) -> u64 {
        self.count
    }

    pub(super) const fn faults(&self) -> u64 {
        self.faulted
    }

    pub(super) fn trace(&self) -> &[Operation] {
        &self.trace
    }

    pub(super) const fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn power_off(&mut self) {
        self.off = true;
    }

    /// What would be found if the power went off now.
    pub(super) fn after(&self, loss: Loss) -> Self {
        let mut chance = Chance::new(match loss {
            Loss::Random(seed) => self.seed ^ seed.rotate_left(32),
            Loss::Nothing | Loss::Everything => self.seed,
        });
        let mut names = self.durable.clone();
        for naming in &self.pending {
            let is_kept = match loss {
                Loss::Nothing => true,
                Loss::Everything => false,
                Loss::Random(_) => chance.coin(),
            };
            if is_kept {
                naming.apply(&mut names);
            }
        }
        let mut found = Self::new(chance.next());
        found.limit = self.limit;
        found.next = self.next;
        let kept: BTreeSet<Id> = names.values().copied().collect();
        for (id, inode) in self.inodes.iter().filter(|(id, _)| kept.contains(id)) {
            let bytes = inode.after(loss, &mut chance);
            found.inodes.insert(*id, Inode::durable(bytes));
        }
        found.durable.clone_from(&names);
        found.names = names;
        found
    }

    pub(super) fn content(&self, name: &str) -> Option<Vec<u8>> {
        let id = self.names.get(name)?;
        Some(self.inodes.get(id)?.cached().to_vec())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let id = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.to_owned(), id);
        self.durable.insert(to.to_owned(), id);
        Ok(())
    }

    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        let id = self.new_inode(Inode::durable(bytes.to_vec()));
        self.names.insert(name.to_owned(), id);
        self.durable.insert(name.to_owned(), id);
    }

    pub(super) fn unlink(&mut self, name: &str) {
        self.names.remove(name);
        self.durable.remove(name);
    }

    pub(super) fn lock(&mut self, name: &str) -> io::Result<()> {
        self.begin(Kind::Lock, name)?.or_error()?;
        if self.locked.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    pub(super) fn unlock(&mut self, name: &str) {
        self.locked.remove(name);
    }

    pub(super) fn open(&mut self, name: &str, create: bool) -> io::Result<Id> {
        if create {
            return self.create(name);
        }
        self.begin(Kind::Open, name)?.or_error()?;
        let id = self.names.get(name).copied();
        id.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, name: &str) -> io::Result<Id> {
        let begun = self.begin(Kind::Create, name)?;
        if self.names.contains_key(name) {
            begun.or_error()?;
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if begun.fails() {
            return Err(begun.error());
        }
        let id = self.new_inode(Inode::default());
        self.change(folder_of(name), vec![(name.to_owned(), Some(id))]);
        begun.or_error()?;
        Ok(id)
    }

    pub(super) fn read(
        &mut self,
        id: Id,
        name: &str,
        out: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        self.begin(Kind::Read, name)?.or_error()?;
        let offset = place(offset)?;
        let bytes = self.inode(id)?.cached().get(offset..).unwrap_or_default();
        let mut count = 0;
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = *from;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn write(
        &mut self,
        id: Id,
        name: &str,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<usize> {
        let begun = self.begin(Kind::Write, name)?;
        if begun == Begun(Some(Fault::Interrupted)) {
            return Err(begun.error());
        }
        let offset = place(offset)?;
        let free = self.free();
        let room = self.inode(id)?.fits(offset, bytes.len(), free);
        let taken = match begun.0 {
            None => room,
            Some(Fault::Short) => room.min(1 + self.chance.below(bytes.len().saturating_sub(1))),
            Some(_) => room.min(self.chance.below(bytes.len().saturating_add(1))),
        };
        if let Some(part) = bytes.get(..taken) {
            self.inode(id)?.write(offset, part);
        }
        if begun.fails() || begun.is_power_off() {
            return Err(begun.error());
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(taken)
    }

    /// How many flushes of the file have failed.
    pub(super) fn errors(&self, id: Id) -> u64 {
        self.inodes.get(&id).map_or(0, Inode::errors)
    }

    /// A flush by whoever knows of `seen` that failed.
    pub(super) fn sync(&mut self, id: Id, name: &str, seen: &mut u64) -> io::Result<()> {
        let begun = self.begin(Kind::Sync, name)?;
        if begun.fails()
            && let Some(inode) = self.inodes.get_mut(&id)
        {
            inode.lose(&mut self.chance);
        }
        // Of a flush in which the power goes off, anything may be there; it stays as it was written.
        let known = std::mem::replace(seen, self.errors(id));
        begun.or_error()?;
        self.inode(id)?.sync();
        if *seen > known {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    pub(super) fn length(&mut self, id: Id, name: &str) -> io::Result<u64> {
        self.begin(Kind::Length, name)?.or_error()?;
        u64::try_from(self.inode(id)?.cached().len()).map_err(io::Error::other)
    }

    pub(super) fn set_length(&mut self, id: Id, name: &str, length: u64) -> io::Result<()> {
        let begun = self.begin(Kind::SetLength, name)?;
        if begun.fails() {
            return Err(begun.error());
        }
        let length = place(length)?;
        self.inode(id)?.set_length(length);
        begun.or_error()
    }

    pub(super) fn place(&mut self, id: Id, name: &str) -> io::Result<Place> {
        self.begin(Kind::Place, name)?.or_error()?;
        Ok(match self.names.get(name) {
            None => Place::Gone,
            Some(there) if *there != id => Place::Replaced,
            Some(_) if self.names.values().filter(|there| **there == id).count() > 1 => {
                Place::Linked
            }
            Some(_) => Place::Named,
        })
    }

    pub(super) fn list(&mut self, folder: &str) -> io::Result<Vec<String>> {
        self.begin(Kind::List, folder)?.or_error()?;
        let names = self.names.keys();
        Ok(names
            .filter(|name| folder_of(name) == folder)
            .filter_map(|name| name.rsplit('/').next())
            .map(str::to_owned)
            .collect())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let begun = self.begin(Kind::Rename, to)?;
        if begun.fails() {
            return Err(begun.error());
        }
        let id = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let sets = vec![(to.to_owned(), Some(id)), (from.to_owned(), None)];
        self.change(folder_of(to), sets);
        begun.or_error()
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let begun = self.begin(Kind::Remove, name)?;
        if begun.fails() {
            return Err(begun.error());
        }
        if !self.names.contains_key(name) {
            begun.or_error()?;
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(folder_of(name), vec![(name.to_owned(), None)]);
        begun.or_error()
    }

    pub(super) fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        self.begin(Kind::SyncFolder, folder)?.or_error()?;
        let (synced, others) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|naming| naming.folder == folder);
        self.pending = others;
        let synced: Vec<Naming> = synced;
        for naming in synced {
            naming.apply(&mut self.durable);
        }
        Ok(())
    }

    /// Counts the operation and says what is to go wrong with it.
    fn begin(&mut self, kind: Kind, name: &str) -> io::Result<Begun> {
        if self.off {
            return Err(power_is_off());
        }
        self.count += 1;
        self.trace.push(Operation {
            number: self.count,
            kind,
            name: name.to_owned(),
        });
        let lasting = self
            .from
            .filter(|(number, _)| *number <= self.count && kind.changes())
            .map(|(_, fault)| fault);
        let fault = self.faults.remove(&self.count).or(lasting);
        // What only a write can do is no fault of another operation.
        let fault = fault.filter(|fault| {
            kind == Kind::Write || !matches!(fault, Fault::Short | Fault::Interrupted)
        });
        if fault.is_some() {
            self.faulted += 1;
        }
        if fault == Some(Fault::PowerOff) {
            self.off = true;
        }
        Ok(Begun(fault))
    }

    fn change(&mut self, folder: &str, sets: Vec<(String, Option<Id>)>) {
        let naming = Naming {
            folder: folder.to_owned(),
            sets,
        };
        naming.apply(&mut self.names);
        self.pending.push(naming);
    }

    fn new_inode(&mut self, inode: Inode) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.inodes.insert(id, inode);
        id
    }

    fn inode(&mut self, id: Id) -> io::Result<&mut Inode> {
        self.inodes
            .get_mut(&id)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// How many pages are to be had.
    fn free(&self) -> usize {
        let Some(limit) = self.limit else {
            return usize::MAX;
        };
        let named: BTreeSet<Id> = self.names.values().copied().collect();
        let inodes = self.inodes.iter().filter(|(id, _)| named.contains(id));
        let held: usize = inodes.map(|(_, inode)| inode.held()).sum();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX) / PAGE;
        limit.saturating_sub(held)
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, Id>) {
        for (name, id) in &self.sets {
            match id {
                Some(id) => names.insert(name.clone(), *id),
                None => names.remove(name),
            };
        }
    }
}

/// An operation under way, and what goes wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begun(Option<Fault>);

impl Begun {
    /// Whether it ends in an error while the power is on.
    const fn fails(self) -> bool {
        matches!(self.0, Some(Fault::Io | Fault::NoSpace))
    }

    fn is_power_off(self) -> bool {
        self.0 == Some(Fault::PowerOff)
    }

    fn or_error(self) -> io::Result<()> {
        if self.fails() || self.is_power_off() {
            Err(self.error())
        } else {
            Ok(())
        }
    }

    fn error(self) -> io::Error {
        match self.0 {
            Some(Fault::NoSpace) => io::Error::from_raw_os_error(ENOSPC),
            Some(Fault::Interrupted) => io::ErrorKind::Interrupted.into(),
            Some(Fault::PowerOff) => power_is_off(),
            _ => io::Error::from_raw_os_error(EIO),
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}
