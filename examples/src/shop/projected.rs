//! A token in a file, written as Kubernetes writes them.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// A folder in which `token` is a link through `..data`, which is swapped whole: whoever reads has
/// the old token or the new one, and nothing between.
#[derive(Clone)]
pub(super) struct Projected(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    mint: Box<dyn Fn() -> String + Send + Sync>,
    generation: AtomicU32,
}

impl Projected {
    pub(super) fn new(folder: PathBuf, mint: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            folder,
            mint: Box::new(mint),
            generation: AtomicU32::new(0),
        }))
    }

    /// Where the token is.
    pub(super) fn path(&self) -> PathBuf {
        self.0.folder.join("token")
    }

    /// Puts a new token into the place of the one that is there.
    pub(super) fn write(&self) -> io::Result<()> {
        let folder = &*self.0.folder;
        let number = self.0.generation.fetch_add(1, Ordering::SeqCst);
        let (data, next) = (folder.join("..data"), folder.join("..data_tmp"));
        let before = fs::read_link(&data).ok();
        let generation = format!("..{number}");
        fs::create_dir_all(folder.join(&generation))?;
        write_private(&folder.join(&generation).join("token"), &(self.0.mint)())?;
        symlink(&generation, &next)?;
        fs::rename(next, data)?;
        match before {
            Some(before) => fs::remove_dir_all(folder.join(before)),
            None => symlink("..data/token", self.path()),
        }
    }
}

impl fmt::Debug for Projected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Projected").field(&self.0.folder).finish()
    }
}

/// Writes a file that nobody else may read. One that is there already is replaced: it may be
/// somebody else's to read.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}
