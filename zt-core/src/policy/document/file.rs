//! Policies from files: the main one, and the Cedar files beside it that it names.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{LARGEST_FILE, parse};
use crate::policy::{
    CompiledPolicy, PolicyError, PolicyErrors, PolicyOptions,
    model::{Origin, SourceText},
};

impl CompiledPolicy {
    /// The policy in the file at `path`, which has the form that the [module](crate::policy)
    /// describes, and in the Cedar files that it names: relative to its folder, and in it or below,
    /// also where they are links. Each file is read once.
    ///
    /// It reads while it is called: call it before serving, or where waiting is allowed.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, with lines; files that cannot be read, are larger than
    /// 16 MiB, or not UTF-8.
    pub fn read(path: impl AsRef<Path>, options: &PolicyOptions) -> Result<Self, PolicyErrors> {
        let path = path.as_ref();
        let file: Arc<str> = path.to_string_lossy().into();
        let failed = |message: String| {
            let origin = Origin {
                file: Arc::clone(&file),
                ..Origin::default()
            };
            PolicyErrors::from(PolicyError::new(&origin, message))
        };
        let main = SourceText {
            file: Arc::clone(&file),
            text: text_of(path).map_err(|error| failed(format!("cannot be read: {error}")))?,
        };
        let folder = folder_of(path);
        let beside = |name: &str| {
            text_inside(&folder, name).map_err(|error| format!("`{name}` cannot be read: {error}"))
        };
        Self::compile(parse(&main, &beside, options)?, options)
    }
}

pub(in crate::policy) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file in `folder`, or below it, wherever links lead.
pub(in crate::policy) fn text_inside(folder: &Path, name: &str) -> io::Result<Arc<str>> {
    let folder = folder.canonicalize()?;
    let path = folder.join(name).canonicalize()?;
    if !path.starts_with(&folder) {
        return Err(io::Error::other("it leads out of the policy's folder"));
    }
    text_of(&path)
}

pub(crate) fn text_of(path: &Path) -> io::Result<Arc<str>> {
    // A pipe or a device would never end, and opening one may wait.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let most = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST_FILE {
        return Err(io::Error::other(format!(
            "it is larger than {LARGEST_FILE} bytes"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = sound
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })?;
    Ok(text.into())
}
