//! `<folder>/<name>.cursor`: the last record that a sink has taken.
//!
//! ```text
//! zt-audit cursor 1
//! <origin>
//! <index>
//! <leaf hash, 64 hexadecimal digits>
//! ```

use std::io;

use super::FollowError;
use crate::{
    merkle::Hash,
    read::small,
    storage::{Folder, Storage},
};

/// The last record that a sink has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) origin: String,
    pub(super) index: u64,
    pub(super) leaf: Hash,
}

const FIRST_LINE: &str = "zt-audit cursor 1";
/// More than any cursor has.
const LARGEST: usize = 4096;

impl Cursor {
    pub(super) fn encode(&self) -> String {
        let Self {
            origin,
            index,
            leaf,
        } = self;
        format!("{FIRST_LINE}\n{origin}\n{index}\n{leaf}\n")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let origin = lines.next().filter(|origin| !origin.is_empty())?;
        let digits = lines.next()?;
        let index: u64 = digits.parse().ok()?;
        let leaf = Hash::from_hex(lines.next()?.as_bytes())?;
        let found = Self {
            origin: origin.to_owned(),
            index,
            leaf,
        };
        // Exactly what is written: no sign, no leading zeros, nothing after it.
        (found.encode().as_bytes() == bytes).then_some(found)
    }
}

/// Where a cursor is kept; nobody else has it as long as this lives.
pub(super) struct CursorFile {
    folder: Folder,
    name: String,
    _lock: Box<dyn Send + Sync>,
}

impl CursorFile {
    /// Takes the cursor `name` in `folder`.
    pub(super) fn lock(folder: Folder, name: &str) -> Result<Self, FollowError> {
        let lock = folder.lock(&format!("{name}.lock"));
        let lock = lock.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => FollowError::InUse(name.to_owned()),
            _ => FollowError::file("lock", folder.path(), error),
        })?;
        Ok(Self {
            folder,
            name: format!("{name}.cursor"),
            _lock: lock,
        })
    }

    /// What was saved; `None` where nothing was yet.
    pub(super) fn load(&self) -> io::Result<Option<Cursor>> {
        let Some(bytes) = small(&self.folder, &self.name, LARGEST)? else {
            return Ok(None);
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is not a cursor");
        Cursor::decode(&bytes).map(Some).ok_or_else(damaged)
    }

    /// Makes `cursor` the one that is found, durably.
    pub(super) fn save(&self, cursor: &Cursor) -> io::Result<()> {
        self.folder.replace(&self.name, cursor.encode().as_bytes())
    }
}
