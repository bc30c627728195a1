//! What the fuzz targets reach of the inside. Not part of the library.

use crate::counter::{Snapshot, SnapshotError};

/// What stands in the file of a snapshot.
pub fn snapshot(file: &[u8]) -> Result<Snapshot, SnapshotError> {
    Snapshot::parse(file)
}

#[cfg(feature = "redis")]
pub use crate::counter::redis::fuzzing::{adjustment, answer, cell_key};
