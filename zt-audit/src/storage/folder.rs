use std::path::{Path, PathBuf};

/// A folder of the file system. Files are readable and writable for their owner alone.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, made where there is none (its parent must be there).
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(_path: impl AsRef<Path>) -> std::io::Result<Self> {
        todo!()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}
