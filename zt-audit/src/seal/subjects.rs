//! The file `subjects`, and what whoever writes it knows of it.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt::Write as _,
    io,
    sync::Arc,
};

use super::{
    Pseudonym, VaultError,
    pseudonym::ByOwnBytes,
    slot::{Kind, SLOT, Slot},
};
use crate::storage::{Storage, StorageFile};

pub(super) const FILE: &str = "subjects";
/// Which keys are being destroyed: there while that is under way.
const DESTROYING: &str = "destroying";
/// How much is read at once.
const CHUNK: usize = 512 * SLOT;
/// How often a slot is read that another process may be overwriting.
const LOOKS: usize = 3;

/// The file. After an error it is let go, and opened anew for what is written next: all that was
/// not durable is then written again. (A second flush alone may say "done" of what was lost.)
pub(super) struct Slots {
    storage: Arc<dyn Storage>,
    file: Option<Box<dyn StorageFile>>,
}

impl Slots {
    pub(super) fn open(storage: Arc<dyn Storage>) -> io::Result<Self> {
        let file = storage.open(FILE, false)?;
        Ok(Self {
            storage,
            file: Some(file),
        })
    }

    /// A new one, with `first` in it.
    pub(super) fn create(storage: Arc<dyn Storage>, first: &Slot) -> io::Result<Self> {
        let file = match storage.open(FILE, true) {
            // One that has nothing in it: its making was cut short.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                storage.open(FILE, false)?
            }
            opened => opened?,
        };
        let mut slots = Self {
            storage,
            file: Some(file),
        };
        slots.with(|file| {
            file.set_length(0)?;
            write_all(file, &first.write(), 0)?;
            file.sync()
        })?;
        slots.storage.sync_folder("")?;
        Ok(slots)
    }

    /// The slot of this number; `None` where the file ends before it.
    pub(super) fn read(&mut self, number: u32) -> Result<Option<Slot>, VaultError> {
        let mut bytes = [0; SLOT];
        for _ in 0..LOOKS {
            let got = self
                .with(|file| read_full(file, &mut bytes, offset(number)))
                .map_err(VaultError::file("read", FILE))?;
            if got < SLOT {
                return Ok(None);
            }
            if let Some(slot) = Slot::read(&bytes) {
                return Ok(Some(slot));
            }
        }
        Err(damaged(number))
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut dyn StorageFile) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.storage.open(FILE, false)?,
        };
        let done = act(&mut *file)?;
        self.file = Some(file);
        Ok(done)
    }
}

/// What whoever writes the file knows of it.
pub(super) struct Writer {
    /// The slots of persons.
    persons: HashMap<Pseudonym, u32, ByOwnBytes>,
    /// The slots of days.
    days: BTreeMap<u64, (u32, Pseudonym)>,
    /// How many slots are durable.
    durable: u32,
    /// Those that are not, as they will be written.
    pending: Vec<[u8; SLOT]>,
    /// Whether writing them was tried, and failed.
    is_doubtful: bool,
    /// Keys that are destroyed but for the overwriting.
    leaving: Vec<(u32, Pseudonym)>,
    _lock: Box<dyn Send + Sync>,
}

impl Writer {
    /// Finishes what was begun and reads the whole file.
    pub(super) fn open(slots: &mut Slots, lock: Box<dyn Send + Sync>) -> Result<Self, VaultError> {
        let mut writer = Self {
            persons: HashMap::default(),
            days: BTreeMap::new(),
            durable: 0,
            pending: Vec::new(),
            is_doubtful: false,
            leaving: Vec::new(),
            _lock: lock,
        };
        writer.leaving = read_leaving(slots)?;
        writer
            .finish(slots)
            .map_err(VaultError::file("write", FILE))?;
        let found = writer.scan(slots)?;
        writer.mend(slots, &found)?;
        Ok(writer)
    }

    /// The slot of `who`, where there is one: of a person, or of the day.
    pub(super) fn find(&self, who: Pseudonym, day: Option<u64>) -> Option<u32> {
        match day {
            None => self.persons.get(&who).copied(),
            Some(day) => self.days.get(&day).map(|(number, _)| *number),
        }
    }

    /// The slot of `who`, whether a person or a day.
    pub(super) fn find_any(&self, who: Pseudonym) -> Option<u32> {
        let mut days = self.days.values();
        self.persons.get(&who).copied().or_else(|| {
            let day = days.find(|(_, day)| *day == who)?;
            Some(day.0)
        })
    }

    pub(super) fn persons(&self) -> usize {
        self.persons.len()
    }

    pub(super) fn days(&self) -> usize {
        self.days.len()
    }

    /// The number of the next slot.
    pub(super) fn next(&self) -> Option<u32> {
        let pending = u32::try_from(self.pending.len()).ok()?;
        self.durable.checked_add(pending)
    }

    /// Adds a slot, durable after [`append`](Self::append), and answers its number.
    pub(super) fn add(&mut self, mut slot: Slot) -> Result<u32, VaultError> {
        let number = self.next().ok_or(VaultError::Full)?;
        slot.after = self.durable.into();
        self.pending.push(slot.write());
        match slot.kind {
            Kind::Day => {
                self.days.insert(slot.day, (number, slot.who));
            }
            _ => {
                self.persons.insert(slot.who, number);
            }
        }
        Ok(number)
    }

    /// A slot that may not be in the file yet.
    pub(super) fn read(&self, slots: &mut Slots, number: u32) -> Result<Option<Slot>, VaultError> {
        match number.checked_sub(self.durable) {
            None => slots.read(number),
            Some(at) => match self.pending.get(at as usize) {
                Some(bytes) => Slot::read(bytes).map(Some).ok_or_else(|| damaged(number)),
                None => Ok(None),
            },
        }
    }

    /// Makes all slots durable, in one write and one flush.
    pub(super) fn append(&mut self, slots: &mut Slots) -> io::Result<()> {
        let Some(next) = self.next().filter(|next| *next > self.durable) else {
            return Ok(());
        };
        let start = offset(self.durable);
        let is_again = std::mem::replace(&mut self.is_doubtful, true);
        slots.with(|file| {
            if is_again {
                // Also the length is to be written again.
                file.set_length(start)?;
            }
            write_all(file, self.pending.as_flattened(), start)?;
            file.sync()
        })?;
        self.durable = next;
        self.is_doubtful = false;
        self.pending.clear();
        Ok(())
    }

    /// Destroys these keys. Once that is written down, it will be done: now, with the next call of
    /// [`finish`](Self::finish), or at the next opening.
    pub(super) fn destroy(
        &mut self,
        slots: &mut Slots,
        keys: &[(u32, Pseudonym)],
    ) -> io::Result<()> {
        self.finish(slots)?;
        self.append(slots)?;
        let mut lines = String::new();
        for (number, who) in keys {
            // Into memory, which cannot fail.
            let _ = writeln!(lines, "{number} {who}");
        }
        slots.storage.replace(DESTROYING, lines.as_bytes())?;
        for (number, who) in keys {
            self.persons.remove(who);
            self.days.retain(|_, (slot, _)| slot != number);
        }
        self.leaving = keys.to_vec();
        self.finish(slots)
    }

    /// Overwrites what is to be destroyed.
    pub(super) fn finish(&mut self, slots: &mut Slots) -> io::Result<()> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        slots.with(|file| {
            for (number, who) in &self.leaving {
                let gone = Slot::empty(Kind::Gone, *who).write();
                write_all(file, &gone, offset(*number))?;
            }
            file.sync()
        })?;
        // Where that fails or is lost, the next opening overwrites them once more.
        let _ = slots.storage.remove(DESTROYING);
        self.leaving.clear();
        Ok(())
    }

    /// The keys of days from the first one on and before `day`. Day 0 is that of requests without a
    /// time, which nobody can call old.
    pub(super) fn days_before(&self, day: u64) -> Vec<(u32, Pseudonym)> {
        let old = self.days.range(1..day.max(1));
        old.map(|(_, key)| *key).collect()
    }

    /// Reads all slots. Some that are not as they were written can only be among those written last.
    fn scan(&mut self, slots: &mut Slots) -> Result<Scan, VaultError> {
        let mut scan = Scan::default();
        let mut chunk = vec![0; CHUNK];
        loop {
            let got = slots
                .with(|file| read_full(file, &mut chunk, offset(scan.count)))
                .map_err(VaultError::file("read", FILE))?;
            let (whole, rest) = chunk.get(..got).unwrap_or_default().as_chunks::<SLOT>();
            for bytes in whole {
                match Slot::read(bytes) {
                    None => scan.bad.push((scan.count, *bytes == [0; SLOT])),
                    Some(slot) => {
                        scan.durable = scan.durable.max(slot.after);
                        self.know(scan.count, &slot)?;
                    }
                }
                scan.count = scan.count.checked_add(1).ok_or(VaultError::Full)?;
            }
            match scan.bad.first() {
                // It was durable when another was written after it.
                Some((number, _)) if u64::from(*number) < scan.durable => {
                    return Err(damaged(*number));
                }
                _ if got == CHUNK => {}
                _ => {
                    scan.is_cut = !rest.is_empty();
                    return Ok(scan);
                }
            }
        }
    }

    fn know(&mut self, number: u32, slot: &Slot) -> Result<(), VaultError> {
        let twice = match slot.kind {
            Kind::Vault if number == 0 => false,
            Kind::Vault => true,
            Kind::Person => match self.persons.entry(slot.who) {
                Entry::Occupied(_) => true,
                Entry::Vacant(place) => {
                    place.insert(number);
                    false
                }
            },
            Kind::Day => self.days.insert(slot.day, (number, slot.who)).is_some(),
            Kind::Gone | Kind::Void => false,
        };
        match twice {
            true => Err(VaultError::Damaged(format!(
                "slot {number} of `{FILE}` is a key that another slot has too"
            ))),
            false => Ok(()),
        }
    }

    /// Cuts off what is bad and empty at the end, and puts a mark on the rest, so that nothing that
    /// may have been sealed under such a slot is taken for something else. What was written last is
    /// written again: whoever wrote it may have been told that it is not on the disk, and it is read
    /// all the same. One more slot makes sure that the length is written too.
    fn mend(&mut self, slots: &mut Slots, scan: &Scan) -> Result<(), VaultError> {
        self.durable = scan.count;
        let mut bad = scan.bad.as_slice();
        while let Some(((number, true), before)) = bad.split_last()
            && number + 1 == self.durable
        {
            self.durable = *number;
            bad = before;
        }
        let is_torn = scan.is_cut || !scan.bad.is_empty();
        if self.durable <= 1 && !is_torn {
            return Ok(());
        }
        let end = offset(self.durable);
        let first = u32::try_from(scan.durable).unwrap_or(0).min(self.durable);
        let again = usize::try_from(end - offset(first)).unwrap_or_default();
        slots
            .with(|file| {
                if is_torn {
                    file.set_length(end)?;
                }
                let mut last = vec![0; again];
                read_full(file, &mut last, offset(first))?;
                let void = Slot::empty(Kind::Void, Pseudonym::from_bytes([0; 16])).write();
                let (places, _) = last.as_chunks_mut::<SLOT>();
                for (number, _) in bad {
                    if let Some(place) = places.get_mut((number - first) as usize) {
                        *place = void;
                    }
                }
                last.extend_from_slice(&void);
                write_all(file, &last, offset(first))?;
                file.sync()
            })
            .map_err(VaultError::file("mend", FILE))?;
        self.durable += 1;
        if is_torn {
            let slots = scan.bad.len();
            tracing::warn!(
                slots,
                "what was not whole at the end of the vault is dropped"
            );
        }
        Ok(())
    }
}

/// What stands in the file.
#[derive(Default)]
struct Scan {
    /// How many slots.
    count: u32,
    /// Those that are not as they were written, and whether they are empty.
    bad: Vec<(u32, bool)>,
    /// How many were durable for sure when the last one was written.
    durable: u64,
    /// Whether there is a piece of a slot behind them.
    is_cut: bool,
}

/// What was to be destroyed when the machine stopped. A slot may be half overwritten; one that is
/// whole is of whom it should be.
fn read_leaving(slots: &mut Slots) -> Result<Vec<(u32, Pseudonym)>, VaultError> {
    let mut file = match slots.storage.open(DESTROYING, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(VaultError::file("open", DESTROYING))?,
    };
    let fails = VaultError::file("read", DESTROYING);
    let text = read_to_end(&mut *file).map_err(fails)?;
    let line = |line: &str| {
        let (number, who) = line.split_once(' ')?;
        Some((number.parse().ok()?, Pseudonym::from_hex(who.as_bytes())?))
    };
    let leaving: Vec<_> = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.lines().map(line).collect())
        .ok_or_else(|| VaultError::Damaged(format!("`{DESTROYING}` is of another form")))?;
    for (number, who) in &leaving {
        let is_theirs = match slots.read(*number) {
            Ok(found) => found.is_some_and(|slot| slot.who == *who),
            Err(VaultError::Damaged(_)) => true,
            Err(error) => return Err(error),
        };
        if !is_theirs {
            return Err(VaultError::Damaged(format!(
                "`{DESTROYING}` names slot {number}, which is another's"
            )));
        }
    }
    Ok(leaving)
}

pub(super) fn read_to_end(file: &mut dyn StorageFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let got = read_full(file, &mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

fn read_full(file: &mut dyn StorageFile, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = out.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn write_all(file: &mut dyn StorageFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + taken as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => taken += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

const fn offset(number: u32) -> u64 {
    number as u64 * SLOT as u64
}

pub(super) fn damaged(number: u32) -> VaultError {
    VaultError::Damaged(format!(
        "slot {number} of `{FILE}` is not as it was written"
    ))
}
