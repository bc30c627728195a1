//! Events, a disk that does as it is told, and logs read back.

#![expect(
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "a test that is wrong panics"
)]

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Request, StatusCode};
use serde_json::Value;
use zt_core::{
    clock::Timestamp,
    context::{HandlerRun, SecurityContext, Trail},
    decision::{Code, Denial, Permit},
    gate::{End, Settings},
    random::SeededEntropy,
    state::{Acknowledgement, AdminEvent, DecisionEvent, Event, OutcomeEvent, Verdict},
};

use crate::{
    AuditLog, Options,
    note::SigningKey,
    storage::{Place, Storage, StorageFile},
};

/// A disk in memory; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, File>,
    /// Writes and flushes of records; zeros do not count.
    pub(crate) writes: usize,
    pub(crate) syncs: usize,
    /// At most so many bytes of records are taken at once.
    pub(crate) short: Option<usize>,
    /// How many bytes all files may have together.
    pub(crate) space: Option<usize>,
    pub(crate) fail_write: Option<i32>,
    pub(crate) fail_sync: Option<i32>,
    /// So many writes and flushes of records fail, and then no more.
    pub(crate) fail_next: usize,
    pub(crate) fail_create: Option<i32>,
    pub(crate) fail_replace: Option<i32>,
    /// What the live file is said to be.
    pub(crate) place: Option<Place>,
    pub(crate) panic: bool,
    locked: bool,
    held: bool,
    exchanges_held: bool,
    stalled: bool,
}

#[derive(Default, Clone)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) durable: Vec<u8>,
}

const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

impl Disk {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes of records do not return from now on.
    pub(crate) fn hold(&self) {
        self.state().held = true;
    }

    /// Files are not exchanged for others from now on, until they are released.
    pub(crate) fn hold_exchanges(&self) {
        self.state().exchanges_held = true;
    }

    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.held = false;
        state.exchanges_held = false;
        drop(state);
        self.0.1.notify_all();
    }

    /// Until a flush is under way and does not return.
    pub(crate) fn wait_until_stalled(&self) {
        let mut state = self.state();
        while !state.stalled {
            state = self.0.1.wait(state).unwrap();
        }
    }

    pub(crate) fn segments(&self) -> Vec<String> {
        self.list("log").unwrap()
    }

    /// All durable records: each segment up to its last commit line, and to where the next begins.
    pub(crate) fn all(&self) -> Vec<Value> {
        let state = self.state();
        let segments = state
            .files
            .iter()
            .filter(|(name, _)| name.starts_with("log/"));
        let mut records: Vec<Value> = Vec::new();
        for (name, file) in segments {
            let first = name[4..24].parse::<usize>().unwrap();
            records.truncate(first);
            assert_eq!(records.len(), first, "{name}");
            let text = file.durable.split(|byte| *byte == 0).next().unwrap();
            let mut batch = Vec::new();
            for line in text.split(|byte| *byte == b'\n') {
                match serde_json::from_slice::<Value>(line) {
                    Ok(line) if line["commit"].is_u64() => records.append(&mut batch),
                    Ok(line) => batch.push(line),
                    Err(_) => {}
                }
            }
        }
        records
    }

    /// The durable records of the kinds that tests made.
    pub(crate) fn records(&self) -> Vec<Value> {
        let mut records = self.all();
        records.retain(|record| record["kind"] != "started" && record["kind"] != "key");
        records
    }
}

impl State {
    fn size(&self) -> usize {
        self.files.values().map(|file| file.bytes.len()).sum()
    }

    /// How many of `more` bytes behind what is there have room.
    fn room(&self, more: usize) -> io::Result<usize> {
        let Some(space) = self.space else {
            return Ok(more);
        };
        match space.saturating_sub(self.size()) {
            0 if more > 0 => Err(io::Error::from_raw_os_error(ENOSPC)),
            left => Ok(left.min(more)),
        }
    }

    fn fails(&mut self, with: Option<i32>) -> io::Result<()> {
        assert!(!self.panic, "as it is told");
        if let Some(error) = with {
            return Err(io::Error::from_raw_os_error(error));
        }
        if self.fail_next > 0 {
            self.fail_next -= 1;
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

struct Lock(Disk);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl Storage for Disk {
    fn lock(&self, _name: &str) -> io::Result<Box<dyn Send + Sync>> {
        if std::mem::replace(&mut self.state().locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock(self.clone())))
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        match (state.files.contains_key(name), create) {
            (false, false) => return Err(io::ErrorKind::NotFound.into()),
            (true, true) => return Err(io::ErrorKind::AlreadyExists.into()),
            (true, false) => {}
            (false, true) => {
                if let Some(error) = state.fail_create {
                    return Err(io::Error::from_raw_os_error(error));
                }
                state.files.insert(name.to_owned(), File::default());
            }
        }
        drop(state);
        Ok(Box::new(DiskFile {
            disk: self.clone(),
            name: name.to_owned(),
            has_records: false,
        }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        while state.exchanges_held {
            state.stalled = true;
            self.0.1.notify_all();
            let (next, waited) = self.0.1.wait_timeout(state, PATIENCE).unwrap();
            state = next;
            if waited.timed_out() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        if let Some(error) = state.fail_replace {
            return Err(io::Error::from_raw_os_error(error));
        }
        if state.room(bytes.len())? < bytes.len() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let file = File {
            bytes: bytes.to_vec(),
            durable: bytes.to_vec(),
        };
        state.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let within = |name: &String| match (folder, name.split_once('/')) {
            ("", None) => Some(name.clone()),
            (folder, Some((its, file))) if its == folder => Some(file.to_owned()),
            _ => None,
        };
        Ok(state.files.keys().filter_map(within).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.state().files.remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    name: String,
    has_records: bool,
}

impl StorageFile for DiskFile {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let file = state.files.get(&self.name).ok_or(io::ErrorKind::NotFound)?;
        let rest = file.bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(out.len());
        out[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let mut taken = bytes.len();
        if self.name.starts_with("log/") && bytes.iter().any(|byte| *byte != 0) {
            self.has_records = true;
            state.writes += 1;
            let with = state.fail_write;
            state.fails(with)?;
            taken = taken.min(state.short.unwrap_or(usize::MAX));
        }
        let offset = offset as usize;
        let length = match state.files.get(&self.name) {
            Some(file) => file.bytes.len(),
            None => return Err(io::Error::other("the file was deleted")),
        };
        let more = (offset + taken).saturating_sub(length);
        taken = taken - more + state.room(more)?;
        let file = state.files.get_mut(&self.name).unwrap();
        if file.bytes.len() < offset + taken {
            file.bytes.resize(offset + taken, 0);
        }
        file.bytes[offset..offset + taken].copy_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        if self.has_records {
            state.syncs += 1;
            while state.held {
                state.stalled = true;
                self.disk.0.1.notify_all();
                // A test that failed while the disk was held ends too: its log waits for the disk.
                let (next, waited) = self.disk.0.1.wait_timeout(state, PATIENCE).unwrap();
                state = next;
                if waited.timed_out() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            state.stalled = false;
            let with = state.fail_sync;
            state.fails(with)?;
        }
        if let Some(file) = state.files.get_mut(&self.name) {
            file.durable.clone_from(&file.bytes);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state();
        let file = state.files.get(&self.name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.bytes.len() as u64)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let file = state.files.get_mut(&self.name);
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        file.bytes.resize(length as usize, 0);
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<Place> {
        let state = self.disk.state();
        Ok(match state.place {
            Some(place) => place,
            None if state.files.contains_key(&self.name) => Place::Named,
            None => Place::Gone,
        })
    }
}

/// The key of logs in memory.
pub(crate) fn signing_key() -> SigningKey {
    SigningKey::generate("test/log", &SeededEntropy::new(7)).unwrap()
}

/// A log into a disk in memory.
pub(crate) fn log() -> (AuditLog, Disk) {
    log_with(Options::default())
}

pub(crate) fn log_with(options: Options) -> (AuditLog, Disk) {
    let disk = Disk::default();
    (log_on(&disk, options).unwrap(), disk)
}

pub(crate) fn log_on(disk: &Disk, options: Options) -> Result<AuditLog, crate::OpenError> {
    AuditLog::with_storage(Arc::new(disk.clone()), signing_key(), None, options)
}

pub(crate) fn trail_of(request: http::request::Builder) -> Arc<Trail> {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Arc::clone(SecurityContext::open(&parts, &Arc::new(Settings::default())).trail())
}

pub(crate) fn trail() -> Arc<Trail> {
    trail_of(Request::get("/orders/7?secret=1"))
}

pub(crate) fn decision(trail: &Arc<Trail>, verdict: Verdict, awaited: bool) -> Event {
    Event::Decision(DecisionEvent {
        trail: Arc::clone(trail),
        verdict,
        acknowledge: awaited.then_some(Acknowledgement::Sync),
    })
}

pub(crate) fn permit() -> Event {
    let permit = Permit::assertion("orders.read").finish();
    decision(&trail(), Verdict::Permit(permit), true)
}

pub(crate) fn denial(code: Code) -> Event {
    decision(&trail(), Verdict::Deny(Denial::new(code)), false)
}

pub(crate) fn outcome(handler: HandlerRun) -> Event {
    Event::Outcome(OutcomeEvent {
        trail: trail(),
        end: End::Complete,
        handler,
        status: Some(StatusCode::OK),
        grpc_status: None,
        bytes: 12,
        elapsed: Duration::from_millis(3),
    })
}

pub(crate) fn admin(object: &str) -> Event {
    Event::Admin(AdminEvent {
        at: Timestamp::from_secs(1_893_456_000),
        author: Some("root".into()),
        action: "service-token.mint",
        object: object.into(),
        detail: None,
    })
}
