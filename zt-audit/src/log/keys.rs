//! The signing key of a log, beside it.
//!
//! 1. The keys lie in a folder of their own, never within the log, also not by a link: whoever
//!    carries the log away must not carry its keys.
//! 2. `signing.key` (0600) is made at first, and `vkey` beside it, for whoever verifies. Neither
//!    takes the place of one that is there.
//! 3. A new key lies in `signing.key.next` from before the record that names it until it has taken
//!    the place of the old one: whenever a crash comes, the key in force is there.
//! 4. `signed` is the last checkpoint that the log signed, the same as in the log's own folder or one
//!    of before. A log that has less than it says was cut, or exchanged for an earlier state of
//!    itself, and is not continued ([`OpenError::RolledBack`]): its key would sign two different
//!    trees. Somebody who means it [repairs](crate::repair) the log, which records it. Nor is one that
//!    has other records than it says ([`OpenError::Forked`]).
//! 5. The folder is that of one log: a `signed` of another is refused.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use zeroize::Zeroizing;
use zt_core::random::Entropy;

use super::{OpenError, RotateError};
use crate::{
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    read::small,
    storage::{Folder, Storage},
    verify::MAX_CHECKPOINT,
};

const KEY: &str = "signing.key";
const NEXT: &str = "signing.key.next";
const VKEY: &str = "vkey";
pub(super) const SIGNED: &str = "signed";
/// A key's text is shorter by far.
const MOST: usize = 4096;

#[derive(Debug)]
pub(super) struct Keys {
    folder: Folder,
}

impl Keys {
    /// The folder of the keys of the log at `log`.
    pub(super) fn open(log: &Path, given: Option<&Path>) -> Result<Self, OpenError> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => beside(log),
        };
        let fails = |source| OpenError::File {
            action: "open",
            path: path.clone(),
            source,
        };
        if real(&path)
            .map_err(fails)?
            .starts_with(real(log).map_err(fails)?)
        {
            return Err(OpenError::KeysInside(path));
        }
        let folder = Folder::open(&path).map_err(fails)?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The key that is here.
    pub(super) fn current(&self) -> Result<Option<SigningKey>, OpenError> {
        self.read(KEY)
    }

    /// One that was to come into force.
    pub(super) fn next(&self) -> Result<Option<SigningKey>, OpenError> {
        self.read(NEXT)
    }

    /// A new key for `origin`, kept.
    pub(super) fn generate(
        &self,
        origin: &str,
        entropy: &dyn Entropy,
    ) -> Result<SigningKey, OpenError> {
        let key = SigningKey::generate(origin, entropy)?;
        self.adopt(&key)
            .map_err(|source| self.fails("write", KEY, source))?;
        Ok(key)
    }

    /// Puts `key`, which is in force, in its place, where it is not.
    pub(super) fn keep(&self, key: &SigningKey) -> Result<(), RotateError> {
        let there = self.current().map_err(io::Error::other);
        let there = there.map_err(RotateError::Keep)?;
        if there.is_some_and(|there| there.verifier() == key.verifier()) {
            return Ok(());
        }
        self.adopt(key).map_err(RotateError::Keep)
    }

    /// Keeps `key` for when it will be in force.
    pub(super) fn announce(&self, key: &SigningKey) -> io::Result<()> {
        self.folder.replace(NEXT, text(key).as_bytes())
    }

    /// `key` is in force.
    pub(super) fn adopt(&self, key: &SigningKey) -> io::Result<()> {
        self.folder.replace(KEY, text(key).as_bytes())?;
        let vkey = format!("{}\n", key.verifier());
        self.folder.replace(VKEY, vkey.as_bytes())?;
        match self.folder.remove(NEXT) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<SigningKey>, OpenError> {
        let file = match self.folder.open(name, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.fails("open", name, source)),
        };
        let mut bytes = Zeroizing::new(vec![0; MOST]);
        let length = file
            .read_at(&mut bytes, 0)
            .map_err(|source| self.fails("read", name, source))?;
        let text = bytes
            .get(..length)
            .and_then(|text| str::from_utf8(text).ok());
        let text = text.unwrap_or_default();
        Ok(Some(SigningKey::parse(
            text.strip_suffix('\n').unwrap_or(text),
        )?))
    }

    /// What the log signed last.
    pub(super) fn mark(&self) -> Result<Mark, OpenError> {
        Mark::open(self.folder.path()).map_err(|source| self.fails("open", SIGNED, source))
    }

    pub(super) fn fails(&self, action: &'static str, name: &str, source: io::Error) -> OpenError {
        OpenError::File {
            action,
            path: self.folder.path().join(name),
            source,
        }
    }
}

/// The last checkpoint that a log signed, beside its keys.
#[derive(Debug)]
pub(crate) struct Mark(Folder);

impl Mark {
    /// In a folder of keys, which is made where there is none.
    pub(crate) fn open(keys: &Path) -> io::Result<Self> {
        Folder::open(keys).map(Self)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join(SIGNED)
    }

    /// What it says; nothing where the log never signed.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no checkpoint.
    pub(super) fn get(&self) -> io::Result<Option<Checkpoint>> {
        let Some(bytes) = small(&self.0, SIGNED, MAX_CHECKPOINT)? else {
            return Ok(None);
        };
        let signed = SignedCheckpoint::parse(&bytes).map_err(io::Error::other)?;
        Ok(Some(signed.checkpoint().clone()))
    }

    /// What it says of the log `origin`.
    ///
    /// # Errors
    ///
    /// Also when it is of another log: a folder of keys has one.
    pub(crate) fn get_of(&self, origin: &str) -> io::Result<Option<Checkpoint>> {
        match self.get()? {
            Some(said) if said.origin != origin => {
                let why = format!("it is of another log, `{}`", said.origin);
                Err(io::Error::other(why))
            }
            said => Ok(said),
        }
    }

    /// Makes `note`, a signed checkpoint, what it says.
    pub(crate) fn set(&self, note: &str) -> io::Result<()> {
        self.0.replace(SIGNED, note.as_bytes())
    }
}

fn text(key: &SigningKey) -> Zeroizing<String> {
    let mut text = key.encode();
    text.push('\n');
    text
}

/// `<log>.keys`.
fn beside(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".keys");
    // Of `audit/` too.
    match (log.parent(), log.file_name()) {
        (Some(parent), Some(name)) => {
            let mut name = name.to_owned();
            name.push(".keys");
            parent.join(name)
        }
        _ => PathBuf::from(path),
    }
}

/// Where `path` leads, links followed as far as there is anything.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if path.components().any(|part| part == Component::ParentDir) {
        // What is before it may be a link.
        return path.canonicalize();
    }
    for there in path.ancestors() {
        if let Ok(found) = there.canonicalize() {
            let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
            return Ok(found.join(rest));
        }
    }
    Ok(path)
}
