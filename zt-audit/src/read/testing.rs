//! A disk in memory, and logs on it of any shape.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zt_core::{clock::Timestamp, random::OsEntropy};

use crate::{
    format::{name, write_commit},
    merkle::{Frontier, Hash, leaf_hash},
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    storage::{Place, Storage, StorageFile},
    verify::endorsed_text,
};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    files: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl Memory {
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files()[name].lock().unwrap().clone()
    }

    pub(crate) fn edit<T>(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let file = Arc::clone(self.files().entry(name.to_owned()).or_default());
        edit(&mut file.lock().unwrap())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        let file = self.files().remove(from).unwrap();
        self.files().insert(to.to_owned(), file);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files().keys().cloned().collect()
    }

    /// Another disk with the same bytes.
    pub(crate) fn copy(&self) -> Self {
        let files = self
            .files()
            .iter()
            .map(|(name, bytes)| {
                let bytes = bytes.lock().unwrap().clone();
                (name.clone(), Arc::new(Mutex::new(bytes)))
            })
            .collect();
        Self {
            files: Arc::new(Mutex::new(files)),
        }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.files.lock().unwrap()
    }
}

impl Storage for Memory {
    fn lock(&self, _name: &str) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let mut files = self.files();
        if create {
            if files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            files.insert(name.to_owned(), Bytes::default());
        }
        let bytes = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile(Arc::clone(bytes))))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files()
            .insert(name.to_owned(), Arc::new(Mutex::new(bytes.to_vec())));
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let within = |name: &String| match folder {
            "" => Some(name.clone()).filter(|name| !name.contains('/')),
            folder => Some(name.strip_prefix(folder)?.strip_prefix('/')?.to_owned()),
        };
        Ok(self.files().keys().filter_map(within).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.files().remove(name) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn sync_folder(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile(Bytes);

impl StorageFile for MemoryFile {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = bytes
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap();
        let begin = usize::try_from(offset).unwrap();
        let end = begin + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[begin..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.0.lock().unwrap().resize(length, 0);
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<Place> {
        Ok(Place::Named)
    }
}

/// Writes a log as the writer does, byte for byte, but as the test says.
#[derive(Debug, Clone)]
pub(crate) struct TestLog {
    pub(crate) disk: Memory,
    pub(crate) origin: String,
    pub(crate) tree: Frontier,
    pub(crate) last: Hash,
    pub(crate) micros: u64,
    pub(crate) segment: u64,
    pub(crate) key: Arc<SigningKey>,
    leaves: Vec<Hash>,
}

pub(crate) const ORIGIN: &str = "test/log";

/// A new key for the log.
pub(crate) fn key() -> SigningKey {
    SigningKey::generate(ORIGIN, &OsEntropy).unwrap()
}

impl TestLog {
    /// A log without a record.
    pub(crate) fn new() -> Self {
        let log = Self {
            disk: Memory::default(),
            origin: ORIGIN.to_owned(),
            tree: Frontier::new(),
            last: Hash::from_bytes([0; 32]),
            micros: 1_893_456_000_000_000,
            segment: 0,
            key: Arc::new(key()),
            leaves: Vec::new(),
        };
        log.disk.edit(&log.file(), |_| ());
        log
    }

    /// The name of the segment that is written.
    pub(crate) fn file(&self) -> String {
        name::segment(self.segment)
    }

    /// A record without a commit line; `fields` begins with a comma or is empty.
    pub(crate) fn record(&mut self, kind: &str, fields: &str) -> &mut Self {
        let line = format!(
            r#"{{"v":2,"idx":{},"ts":{},"kind":"{kind}","origin":"{}","prev":"{}"{fields}}}"#,
            self.tree.size(),
            self.micros,
            self.origin,
            self.last
        );
        self.micros += 1_000;
        self.last = leaf_hash(line.as_bytes());
        self.tree.append(self.last);
        self.leaves.push(self.last);
        self.write(line.as_bytes());
        self.write(b"\n");
        self
    }

    pub(crate) fn commit(&mut self) -> &mut Self {
        let mut line = Vec::new();
        write_commit(&mut line, self.tree.size(), &self.tree.root());
        self.write(&line);
        self
    }

    /// A batch of `count` records.
    pub(crate) fn batch(&mut self, count: u64) -> &mut Self {
        for _ in 0..count {
            self.record("decision", r#","decision":"permit","rule":"orders.read""#);
        }
        self.commit()
    }

    /// Goes on in another segment.
    pub(crate) fn roll(&mut self) -> &mut Self {
        self.segment = self.tree.size();
        self.disk.edit(&self.file(), |_| ());
        self
    }

    /// The beginning of a log: that it was started, and its key.
    pub(crate) fn begun() -> Self {
        let mut log = Self::new();
        let vkey = log.key.verifier();
        log.record("started", "")
            .record("key", &format!(r#","action":"first","vkey":"{vkey}""#))
            .commit();
        log
    }

    /// A `key` record by which the key in force endorses `next`, which signs from then on.
    pub(crate) fn rotate(&mut self, next: SigningKey) -> &mut Self {
        let (by, vkey) = (self.key.verifier(), next.verifier());
        let text = endorsed_text(&self.origin, &vkey.to_string(), self.tree.size());
        let signature = BASE64_STANDARD.encode(self.key.sign(text.as_bytes()));
        let fields = format!(
            r#","action":"rotated","vkey":"{vkey}","endorsed_by":"{by}","endorsement":"{signature}""#
        );
        self.key = Arc::new(next);
        self.record("key", &fields).commit()
    }

    /// Signs what there is.
    pub(crate) fn sign(&mut self) -> SignedCheckpoint {
        let signed = self.signed();
        self.disk
            .replace(name::CHECKPOINT, signed.encode().as_bytes())
            .unwrap();
        signed
    }

    /// A checkpoint that is not in the log's folder.
    pub(crate) fn signed(&self) -> SignedCheckpoint {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.tree.size(),
            root: self.tree.root(),
        };
        SignedCheckpoint::sign(checkpoint, &self.key, Timestamp::from_micros(self.micros))
    }

    /// NULs that are written ahead.
    pub(crate) fn ahead(&mut self, count: usize) -> &mut Self {
        self.disk.edit(&self.file(), |bytes| {
            let length = text_length(bytes) + count;
            bytes.resize(length, 0);
        });
        self
    }

    /// Writes `tree/` as far as it can.
    pub(crate) fn tree_files(&mut self) -> &mut Self {
        for level in 0..3_u32 {
            let leaves = 256_usize.pow(level);
            let bytes: Vec<u8> = self
                .leaves
                .chunks_exact(leaves)
                .flat_map(|leaves| {
                    let mut tree = Frontier::new();
                    leaves.iter().for_each(|leaf| tree.append(*leaf));
                    *tree.root().as_bytes()
                })
                .collect();
            self.disk.replace(&format!("tree/{level}"), &bytes).unwrap();
        }
        self
    }

    /// Bytes after those that are there.
    pub(crate) fn write(&self, new: &[u8]) {
        self.disk.edit(&self.file(), |bytes| {
            let end = text_length(bytes);
            if bytes.len() < end + new.len() {
                bytes.resize(end + new.len(), 0);
            }
            bytes[end..end + new.len()].copy_from_slice(new);
        });
    }
}

/// How many bytes stand before the NULs at the end.
pub(crate) fn text_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}
