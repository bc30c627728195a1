use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zt_core::{random::Entropy, secret::Secret};

use super::{
    DataSubject, Pseudonym, VaultError, VaultOptions,
    cache::Cache,
    master::{KEY, KeyBytes, Master, aead, day_of},
    pseudonym::holder,
    slot::{Kind, SLOT, Slot},
    subjects::{self, FILE, Slots, Writer},
};
use crate::storage::{Folder, Storage};

const LOCK: &str = "LOCK";
const SEALING_KEY: &str = "sealing.key";

/// The keys of subjects; see the [module](super). Shared by the writer, which seals, and by whoever
/// reads or erases; each process opens its own, and only one may seal or erase at a time (it locks
/// the folder).
pub struct Vault {
    master: Master,
    options: VaultOptions,
    state: Mutex<State>,
}

struct State {
    slots: Slots,
    cache: Cache,
    nonces: Nonces,
    /// `None` where it was opened to read.
    writer: Option<Writer>,
    /// The key of a new day was made, or the vault opened: older ones may have to go.
    has_new_day: bool,
}

/// What [`Vault::open_sealed`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sealed {
    /// The fields, as a JSON object's text.
    Open(Vec<u8>),
    /// The key was destroyed.
    Erased,
    /// This vault has no such key.
    Unknown,
}

/// What was destroyed to forget somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgotten {
    /// Under which pseudonyms they stand in records.
    pub pseudonyms: Vec<Pseudonym>,
    /// How many keys there were.
    pub keys: u64,
}

impl Vault {
    /// The vault in `folder`, made with new keys where there is none; locked for writing.
    ///
    /// # Errors
    ///
    /// When it cannot be read or made, another process has it, it is damaged, or the sealing key is
    /// not its own or can be read by others.
    pub fn open(folder: impl AsRef<Path>, options: VaultOptions) -> Result<Self, VaultError> {
        let path = folder.as_ref();
        let storage = Folder::open(path).map_err(VaultError::file("open", &named(path)))?;
        is_private(path)?;
        Self::with_storage(Arc::new(storage), options)
    }

    /// Whether there is one in `folder`, well or not.
    pub(crate) fn is_in(folder: &Path) -> bool {
        [SEALING_KEY, FILE]
            .iter()
            .any(|file| folder.join(file).symlink_metadata().is_ok())
    }

    /// The same to read from only, also while another process writes.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read_only(folder: impl AsRef<Path>) -> Result<Self, VaultError> {
        Self::read_only_with(folder, VaultOptions::default())
    }

    /// The same, where the application keeps the sealing key.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or the sealing key is not its own.
    pub fn read_only_with(
        folder: impl AsRef<Path>,
        options: VaultOptions,
    ) -> Result<Self, VaultError> {
        let path = folder.as_ref();
        let storage = Folder::read_only(path).map_err(VaultError::file("open", &named(path)))?;
        is_private(path)?;
        Self::read_only_storage(Arc::new(storage), options)
    }

    /// The vault in `storage`, as [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with_storage(
        storage: Arc<dyn Storage>,
        options: VaultOptions,
    ) -> Result<Self, VaultError> {
        let lock = storage.lock(LOCK).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => VaultError::InUse,
            _ => VaultError::file("lock", LOCK)(error),
        })?;
        let kept = match &options.sealing_key {
            Some(given) => Some(given.clone()),
            None => read_sealing_key(&*storage)?,
        };
        let found = found(&*storage)?;
        let is_new = match (&kept, &options.sealing_key) {
            (Some(_), Some(_)) => found <= Found::Begun,
            // The file is made before the key: it was there.
            (Some(_), None) if found == Found::Nothing => {
                let gone = format!("`{FILE}` is missing, and `{SEALING_KEY}` is there");
                return Err(VaultError::Damaged(gone));
            }
            (Some(_), None) => false,
            // A new one would open nothing, and hide that the old one is gone.
            (None, _) if found == Found::Keys => {
                return Err(VaultError::SealingKey("is missing, and keys are there"));
            }
            (None, _) => true,
        };
        let secret = match &kept {
            Some(kept) => kept.clone(),
            None => Secret::new(new_key(&*options.entropy)?.to_vec()),
        };
        let master = Master::new(&secret)?;
        let mut nonces = Nonces::default();
        let mut slots = if is_new {
            let first = own_slot(&master, &mut nonces, &*options.entropy)?;
            Slots::create(Arc::clone(&storage), &first).map_err(VaultError::file("make", FILE))?
        } else {
            Slots::open(Arc::clone(&storage)).map_err(VaultError::file("open", FILE))?
        };
        if kept.is_none() {
            storage
                .replace(SEALING_KEY, secret.expose())
                .map_err(VaultError::file("make", SEALING_KEY))?;
        }
        is_its_own(&master, &mut slots)?;
        let writer = Writer::open(&mut slots, lock)?;
        Ok(Self {
            master,
            options,
            state: Mutex::new(State {
                slots,
                cache: Cache::new(),
                nonces,
                writer: Some(writer),
                has_new_day: true,
            }),
        })
    }

    fn read_only_storage(
        storage: Arc<dyn Storage>,
        options: VaultOptions,
    ) -> Result<Self, VaultError> {
        let secret = match &options.sealing_key {
            Some(given) => given.clone(),
            None => read_sealing_key(&*storage)?.ok_or(VaultError::SealingKey("is missing"))?,
        };
        let master = Master::new(&secret)?;
        let mut slots = Slots::open(storage).map_err(VaultError::file("open", FILE))?;
        is_its_own(&master, &mut slots)?;
        Ok(Self {
            master,
            options,
            state: Mutex::new(State {
                slots,
                cache: Cache::new(),
                nonces: Nonces::default(),
                writer: None,
                has_new_day: false,
            }),
        })
    }

    /// The pseudonym of `subject`.
    #[must_use]
    pub fn pseudonym(&self, subject: DataSubject<'_>) -> Pseudonym {
        self.master.pseudonym(subject)
    }

    /// All pseudonyms under which `subject` stands in records: that of the name with its issuer, that
    /// of the name alone, and that of a budget's holder, `issuer name`.
    #[must_use]
    pub fn pseudonyms(&self, subject: DataSubject<'_>) -> Vec<Pseudonym> {
        let mut all = vec![self.pseudonym(subject)];
        if let DataSubject::Principal {
            issuer,
            subject: name,
        } = subject
        {
            for other in [name, &holder(issuer, name)] {
                let other = self.pseudonym(DataSubject::Named(other));
                if !all.contains(&other) {
                    all.push(other);
                }
            }
        }
        all
    }

    /// Seals `fields` (a JSON object's text) under the key of `subject`, made where there is none, and
    /// writes the number of the key, nonce, ciphertext and tag to `out`. `bound` is bound to it: the
    /// record's origin and index. Under whose key it is now, which is the day's where there is no room
    /// for another person. A new key is durable only after [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// When there is no randomness, or what is there of the key cannot be read.
    pub(crate) fn seal(
        &self,
        subject: DataSubject<'_>,
        bound: &[u8],
        fields: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Pseudonym, VaultError> {
        let named = self.pseudonym(subject);
        let mut state = self.state();
        let (number, who) = self.place(&mut state, subject, named)?;
        let nonce = state.nonces.next(&*self.options.entropy)?;
        let key = self.key(&mut state, number, who)?;
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(fields);
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound),
                out.get_mut(start..).unwrap_or_default(),
            )
            .map_err(|_| VaultError::Sealed)?;
        out.extend_from_slice(tag.as_ref());
        Ok(who)
    }

    /// Makes keys made since the last call durable; no system call where there are none. With the
    /// first key of a day, those of days that are over long enough are destroyed.
    ///
    /// # Errors
    ///
    /// When they may be lost: what they seal must not be written. The next call tries again.
    pub(crate) fn commit(&self) -> std::io::Result<()> {
        let mut state = self.state();
        let State {
            slots,
            cache,
            writer: Some(writer),
            has_new_day,
            ..
        } = &mut *state
        else {
            return Ok(());
        };
        writer.finish(slots)?;
        writer.append(slots)?;
        if std::mem::take(has_new_day)
            && let Ok(now) = self.options.clock.now()
        {
            let kept = u64::from(self.options.day_keys);
            let old = writer.days_before(day_of(now).saturating_sub(kept));
            if !old.is_empty() {
                old.iter().for_each(|(number, _)| cache.drop_key(*number));
                if let Err(error) = writer.destroy(slots, &old) {
                    *has_new_day = true;
                    tracing::warn!(%error, "keys of past days could not be destroyed yet");
                }
            }
        }
        Ok(())
    }

    /// Opens what was sealed in a record: the second text of a part, decoded.
    ///
    /// # Errors
    ///
    /// When it is not what was sealed for `who` and `bound`, or the key's slot is damaged.
    pub fn open_sealed(
        &self,
        who: Pseudonym,
        bound: &[u8],
        sealed: &[u8],
    ) -> Result<Sealed, VaultError> {
        let (number, rest) = sealed.split_first_chunk().ok_or(VaultError::Sealed)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(VaultError::Sealed)?;
        let number = u32::from_be_bytes(*number);
        let mut state = self.state();
        // Always what the file says now: another process may have destroyed it.
        let Some(slot) = state.read(number)? else {
            return Ok(Sealed::Unknown);
        };
        match slot.kind {
            Kind::Void => return Err(subjects::damaged(number)),
            Kind::Vault => return Err(VaultError::Sealed),
            _ if slot.who != who => return Err(VaultError::Sealed),
            Kind::Gone => {
                state.cache.drop_key(number);
                return Ok(Sealed::Erased);
            }
            Kind::Person | Kind::Day => {}
        }
        let key = self.key(&mut state, number, who)?;
        let mut fields = rest.to_vec();
        let length = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(bound),
                &mut fields,
            )
            .map_err(|_| VaultError::Sealed)?
            .len();
        fields.truncate(length);
        Ok(Sealed::Open(fields))
    }

    /// Destroys the key of `who`, durably. Whether there was one. Sealing for them again begins with
    /// another key.
    ///
    /// # Errors
    ///
    /// When it may still be there.
    pub(crate) fn destroy(&self, who: Pseudonym) -> Result<bool, VaultError> {
        let mut state = self.state();
        let State {
            slots,
            cache,
            writer,
            ..
        } = &mut *state;
        let writer = writer.as_mut().ok_or(VaultError::ReadOnly)?;
        let Some(number) = writer.find_any(who) else {
            return writer
                .finish(slots)
                .map_err(VaultError::file("write", FILE))
                .map(|()| false);
        };
        cache.drop_key(number);
        writer
            .destroy(slots, &[(number, who)])
            .map_err(VaultError::file("write", FILE))?;
        Ok(true)
    }

    /// Destroys all keys of `subject`, durably.
    ///
    /// # Errors
    ///
    /// When one may still be there; to be called again.
    pub(crate) fn forget(&self, subject: DataSubject<'_>) -> Result<Forgotten, VaultError> {
        let pseudonyms = self.pseudonyms(subject);
        let mut keys = 0;
        for who in &pseudonyms {
            keys += u64::from(self.destroy(*who)?);
        }
        Ok(Forgotten { pseudonyms, keys })
    }

    /// Under which slot `subject` is sealed, made where there is none.
    fn place(
        &self,
        state: &mut State,
        subject: DataSubject<'_>,
        named: Pseudonym,
    ) -> Result<(u32, Pseudonym), VaultError> {
        let (who, day) = match subject {
            DataSubject::Anonymous(at) => (named, Some(day_of(at))),
            _ => {
                let writer = state.writer.as_ref().ok_or(VaultError::ReadOnly)?;
                if let Some(number) = writer.find(named, None) {
                    return Ok((number, named));
                }
                if writer.persons() < self.options.max_subjects as usize {
                    (named, None)
                } else {
                    let now = self.options.clock.now()?;
                    let today = DataSubject::Anonymous(now);
                    (self.pseudonym(today), Some(day_of(now)))
                }
            }
        };
        let writer = state.writer.as_mut().ok_or(VaultError::ReadOnly)?;
        if let Some(number) = writer.find(who, day) {
            return Ok((number, who));
        }
        let key = new_key(&*self.options.entropy)?;
        let kind = if day.is_some() {
            Kind::Day
        } else {
            Kind::Person
        };
        let nonce = state.nonces.next(&*self.options.entropy)?;
        let about = Slot::about(kind, who, day.unwrap_or_default());
        let slot = Slot {
            day: day.unwrap_or_default(),
            wrapped: self.master.wrap(&key, nonce, &about)?,
            ..Slot::empty(kind, who)
        };
        let number = writer.add(slot)?;
        state.has_new_day |= day.is_some();
        state.cache.put(number, aead(&key)?);
        Ok((number, who))
    }

    /// The key in a slot that is `who`'s.
    fn key<'s>(
        &self,
        state: &'s mut State,
        number: u32,
        who: Pseudonym,
    ) -> Result<&'s LessSafeKey, VaultError> {
        if state.cache.get(number).is_none() {
            let slot = state.read(number)?.filter(|slot| slot.who == who);
            let slot = slot.ok_or_else(|| subjects::damaged(number))?;
            let about = Slot::about(slot.kind, slot.who, slot.day);
            let key = self
                .master
                .unwrap(&slot.wrapped, &about)
                .map_err(|_| subjects::damaged(number))?;
            state.cache.put(number, key);
        }
        state.cache.get(number).ok_or(VaultError::Sealed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(&mut self, number: u32) -> Result<Option<Slot>, VaultError> {
        match &self.writer {
            Some(writer) => writer.read(&mut self.slots, number),
            None => self.slots.read(number),
        }
    }
}

/// How many keys there are; nothing else is anybody's business.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Vault");
        if let Some(writer) = &self.state().writer {
            shown.field("subjects", &writer.persons());
            shown.field("days", &writer.days());
        }
        shown.finish_non_exhaustive()
    }
}

/// Nonces drawn in advance: they are no secret, and asking for each costs a system call.
struct Nonces {
    drawn: [[u8; NONCE_LEN]; Self::MANY],
    left: usize,
}

impl Nonces {
    const MANY: usize = 64;

    fn next(&mut self, entropy: &dyn Entropy) -> Result<[u8; NONCE_LEN], VaultError> {
        if self.left == 0 {
            entropy.fill(self.drawn.as_flattened_mut())?;
            self.left = Self::MANY;
        }
        self.left -= 1;
        self.drawn.get(self.left).copied().ok_or(VaultError::Full)
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Self {
            drawn: [[0; NONCE_LEN]; Self::MANY],
            left: 0,
        }
    }
}

fn new_key(entropy: &dyn Entropy) -> Result<KeyBytes, VaultError> {
    let mut key = KeyBytes::default();
    entropy.fill(&mut *key)?;
    Ok(key)
}

/// What there is of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// There is none.
    Nothing,
    /// Its making was cut short.
    Begun,
    /// There is no key in it but the vault's own.
    Empty,
    /// There are, or were, keys in it.
    Keys,
}

fn found(storage: &dyn Storage) -> Result<Found, VaultError> {
    match storage.open(FILE, false) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(VaultError::file("open", FILE)(error)),
        Ok(mut file) => {
            let length = file.length().map_err(VaultError::file("read", FILE))?;
            if length > SLOT as u64 {
                return Ok(Found::Keys);
            }
            let bytes =
                subjects::read_to_end(&mut *file).map_err(VaultError::file("read", FILE))?;
            match bytes.as_array().and_then(Slot::read) {
                Some(_) => Ok(Found::Empty),
                None => Ok(Found::Begun),
            }
        }
    }
}

fn own_slot(
    master: &Master,
    nonces: &mut Nonces,
    entropy: &dyn Entropy,
) -> Result<Slot, VaultError> {
    let nobody = Pseudonym::from_bytes([0; 16]);
    let about = Slot::about(Kind::Vault, nobody, 0);
    let key = new_key(entropy)?;
    Ok(Slot {
        wrapped: master.wrap(&key, nonces.next(entropy)?, &about)?,
        ..Slot::empty(Kind::Vault, nobody)
    })
}

/// Whether the sealing key is this vault's.
fn is_its_own(master: &Master, slots: &mut Slots) -> Result<(), VaultError> {
    let first = slots.read(0)?.filter(|slot| slot.kind == Kind::Vault);
    let first = first.ok_or_else(|| subjects::damaged(0))?;
    let about = Slot::about(Kind::Vault, first.who, first.day);
    match master.unwrap(&first.wrapped, &about) {
        Ok(_) => Ok(()),
        Err(_) => Err(VaultError::SealingKey("belongs to another vault")),
    }
}

fn read_sealing_key(storage: &dyn Storage) -> Result<Option<Secret>, VaultError> {
    let mut file = match storage.open(SEALING_KEY, false) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(VaultError::file("open", SEALING_KEY))?,
    };
    let fails = VaultError::file("read", SEALING_KEY);
    // Taken over, and wiped when it goes.
    let secret = Secret::new(subjects::read_to_end(&mut *file).map_err(fails)?);
    match secret.len() {
        KEY => Ok(Some(secret)),
        _ => Err(VaultError::SealingKey("is not 32 bytes long")),
    }
}

/// What is in the vault is its owner's alone.
fn is_private(folder: &Path) -> Result<(), VaultError> {
    match fs::metadata(folder.join(SEALING_KEY)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(VaultError::file("read", SEALING_KEY)(error)),
        Ok(found) if found.mode() & 0o077 != 0 => Err(VaultError::SealingKey(
            "can be read by others than its owner",
        )),
        Ok(_) => Ok(()),
    }
}

fn named(folder: &Path) -> String {
    folder.display().to_string()
}
