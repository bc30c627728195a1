use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A folder of its own with files in it, removed in the end.
///
/// Everything panics where it cannot be done.
#[derive(Debug)]
pub struct TestFolder {
    path: PathBuf,
    edition: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl TestFolder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-mtls-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Self { path, edition: 0 }
    }

    /// Where a file lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Renames a file into place, as careful writers do.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let new = self.path(&format!(".new-{name}"));
        private(&new, bytes.as_ref()).expect("a file");
        fs::rename(new, self.path(name)).expect("a rename");
    }

    /// Replaces all files at once, as Kubernetes does with a secret: they lie in a folder of their own,
    /// to which `..data` leads, and their names lead through `..data`.
    #[cfg(unix)]
    pub fn swap(&mut self, files: &[(&str, &[u8])]) {
        use std::os::unix::fs::symlink;

        self.edition += 1;
        let folder = format!("..2026_11_23_{}", self.edition);
        fs::create_dir(self.path(&folder)).expect("a folder");
        for (name, bytes) in files {
            private(&self.path(&folder).join(name), bytes).expect("a file");
        }
        let data = self.path("..data");
        let before = fs::read_link(&data).ok();
        symlink(&folder, self.path("..data_tmp")).expect("a link");
        fs::rename(self.path("..data_tmp"), &data).expect("a rename");
        for (name, _) in files {
            if fs::symlink_metadata(self.path(name)).is_err() {
                symlink(Path::new("..data").join(name), self.path(name)).expect("a link");
            }
        }
        if let Some(before) = before {
            fs::remove_dir_all(self.path.join(before)).expect("the folder before");
        }
    }
}

/// Its owner alone may read it.
fn private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

impl Default for TestFolder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        // What is left in the system's folder for such things harms nobody.
        drop(fs::remove_dir_all(&self.path));
    }
}
