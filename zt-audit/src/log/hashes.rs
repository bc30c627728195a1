//! `tree/`, kept by the keeper.
//!
//! The files are derived: nothing waits for them, and what goes wrong with them is tried again. They
//! are opened, checked and where needed made anew on a thread of their own, since that can take as
//! long as reading the log; leaf hashes gather meanwhile.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::core::Core;
use crate::{
    format::{Pruned, name},
    merkle::{Frontier, Hash},
    read::{LogReader, small},
    storage::Storage,
    tree::TreeFiles,
};

#[derive(Default)]
pub(super) struct TreeKeeper {
    state: State,
    /// Leaf hashes that are not in the files yet, and the index of the first.
    pending: Vec<Hash>,
    from: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Closed,
    Opening(JoinHandle<io::Result<TreeFiles>>, Arc<AtomicBool>),
    Open(TreeFiles),
}

/// So many leaf hashes wait for the files; beyond that they are made from the records.
const MOST: usize = 1 << 20;

/// So many records are read quickly.
const QUICK: u64 = 1 << 16;

impl TreeKeeper {
    /// Takes what became durable.
    pub(super) fn take(&mut self, core: &Arc<Core>) {
        let (tree, leaves) = core.news.take_leaves();
        let first = tree.size().saturating_sub(leaves.len() as u64);
        if self.pending.is_empty() {
            self.from = first;
        }
        let follows = self.from.saturating_add(self.pending.len() as u64) == first;
        if follows && self.pending.len() < MOST {
            self.pending.extend(leaves);
        } else {
            // Too many to keep, or some were not kept.
            self.pending.clear();
            self.from = tree.size();
            self.close();
        }
        self.state = match std::mem::take(&mut self.state) {
            State::Closed => open(core, tree),
            State::Opening(thread, _) if thread.is_finished() => opened(thread),
            state => state,
        };
        if let State::Open(files) = &mut self.state {
            let behind = files.size().checked_sub(self.from);
            let behind = behind.and_then(|skip| usize::try_from(skip).ok());
            match behind.and_then(|skip| self.pending.get(skip..)) {
                Some(leaves) => match files.append(leaves) {
                    Ok(()) => self.pending.clear(),
                    Err(error) => tracing::warn!(%error, "the audit log's tree is not written"),
                },
                None => self.state = State::Closed,
            }
        }
    }

    /// At the end: lets the files be opened where that does not take long, and completes them.
    pub(super) fn finish(&mut self, core: &Arc<Core>) {
        let size = core.news.size();
        self.state = match std::mem::take(&mut self.state) {
            State::Opening(thread, _) if size < QUICK => opened(thread),
            state => state,
        };
        self.take(core);
        self.close();
    }

    /// Ends what is under way, and makes durable what was written.
    fn close(&mut self) {
        match std::mem::take(&mut self.state) {
            State::Opening(thread, stop) => {
                stop.store(true, Ordering::Relaxed);
                // It may hold the log's lock no longer than the keeper does.
                drop(opened(thread));
            }
            State::Open(mut files) => {
                if let Err(error) = files.sync() {
                    tracing::warn!(%error, "the audit log's tree may be made anew");
                }
            }
            State::Closed => {}
        }
    }
}

fn open(core: &Arc<Core>, tree: Frontier) -> State {
    let storage = Arc::clone(&core.storage);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::Builder::new()
        .name("zt-audit-tree".to_owned())
        .spawn(move || read(storage, &tree, &stopped));
    match thread {
        Ok(thread) => State::Opening(thread, stop),
        Err(error) => {
            tracing::warn!(%error, "the audit log's tree is not opened");
            State::Closed
        }
    }
}

fn opened(thread: JoinHandle<io::Result<TreeFiles>>) -> State {
    match thread.join() {
        Ok(Ok(files)) => State::Open(files),
        Ok(Err(error)) => {
            if error.kind() != io::ErrorKind::ConnectionAborted {
                tracing::warn!(%error, "the audit log's tree is not opened");
            }
            State::Closed
        }
        // It has said so itself.
        Err(_) => State::Closed,
    }
}

/// The files over the log's records, until it is told to stop.
fn read(storage: Arc<dyn Storage>, tree: &Frontier, stop: &AtomicBool) -> io::Result<TreeFiles> {
    let pruned = pruned(&*storage)?;
    let records = Arc::clone(&storage);
    TreeFiles::open(storage, tree, pruned, &mut |from, take| {
        let mut reader = LogReader::over(Arc::clone(&records), from).map_err(io::Error::other)?;
        while reader.position() < tree.size() {
            if stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match reader.next().map_err(io::Error::other)? {
                Some(entry) => take(entry.leaf)?,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    })
}

/// The tree over what was pruned.
pub(super) fn pruned(storage: &dyn Storage) -> io::Result<Frontier> {
    match small(storage, name::PRUNED, MOST_PRUNED)? {
        None => Ok(Frontier::new()),
        Some(bytes) => Pruned::parse(&bytes)
            .map(|pruned| pruned.tree)
            .ok_or_else(|| io::Error::other("`pruned` is not what a pruning wrote")),
    }
}

/// 64 hashes and what is around them.
const MOST_PRUNED: usize = 8192;
