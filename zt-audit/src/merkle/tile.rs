//! Tiles of C2SP tlog-tiles: 256 hashes of one level, by the names under which they are published.

/// A tile: at most 256 hashes in a row of tree level 8 × `level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// The tile level, 0 for leaves; at most 5.
    pub level: u8,
    /// Its place within the level.
    pub index: u64,
    /// How many hashes it has: 256, or 1 to 255 where it is partial.
    pub width: u16,
}

impl Tile {
    /// `tile/<L>/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        todo!()
    }

    /// `tile/entries/<N>[.p/<W>]`, for a tile of level 0.
    #[must_use]
    pub fn entries_path(&self) -> String {
        todo!()
    }
}
