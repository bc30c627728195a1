//! A log's files in memory, to be changed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The files of a folder by their names within it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn load(folder: &Path) -> Self {
        let mut files = Self::default();
        files.load_from(folder, "");
        files
    }

    fn load_from(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.load_from(&entry.path(), &format!("{name}/"));
            } else {
                self.0.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }

    pub(crate) fn store(&self, folder: &Path) {
        match fs::remove_dir_all(folder) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        }
        fs::create_dir_all(folder).unwrap();
        for (name, bytes) in &self.0 {
            let path: PathBuf = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// The names of the segments, in order.
    pub(crate) fn segments(&self) -> Vec<String> {
        let names = self.0.keys();
        names
            .filter(|name| name.starts_with("log/"))
            .cloned()
            .collect()
    }

    pub(crate) fn segment(&self, number: usize) -> String {
        self.segments()[number].clone()
    }

    /// The lines of a segment, each with its newline; what was written ahead is left out.
    pub(crate) fn lines(&self, name: &str) -> Vec<Vec<u8>> {
        let bytes = &self.0[name];
        let end = bytes.iter().position(|byte| *byte == 0);
        bytes[..end.unwrap_or(bytes.len())]
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    }

    pub(crate) fn set_lines(&mut self, name: &str, lines: &[Vec<u8>]) {
        self.0.insert(name.to_owned(), lines.concat());
    }

    /// Changes the lines of a segment.
    pub(crate) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut lines = self.lines(name);
        edit(&mut lines);
        self.set_lines(name, &lines);
    }
}

pub(crate) fn is_commit(line: &[u8]) -> bool {
    line.starts_with(b"{\"commit\":")
}

/// The places of the records among lines.
pub(crate) fn records(lines: &[Vec<u8>]) -> Vec<usize> {
    (0..lines.len())
        .filter(|number| !is_commit(&lines[*number]))
        .collect()
}

/// The places of the commit lines among lines.
pub(crate) fn commits(lines: &[Vec<u8>]) -> Vec<usize> {
    (0..lines.len())
        .filter(|number| is_commit(&lines[*number]))
        .collect()
}

/// Replaces the first `from` in a line.
pub(crate) fn replace(line: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(line.clone()).unwrap();
    assert!(text.contains(from), "`{from}` is not in {text}");
    *line = text.replacen(from, to, 1).into_bytes();
}
