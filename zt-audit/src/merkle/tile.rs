//! Tiles of C2SP tlog-tiles: 256 hashes of one level, by the names under which they are published.
//!
//! ```
//! use zt_audit::merkle::tile::Tile;
//!
//! let tile = Tile { level: 0, index: 1_234_067, width: 256 };
//! assert_eq!(tile.path(), "tile/0/x001/x234/067");
//! let tile = Tile { level: 1, index: 0, width: 7 };
//! assert_eq!(tile.path(), "tile/1/000.p/7");
//! assert_eq!(Tile::parse("tile/1/000.p/7"), Some(tile));
//! assert_eq!(Tile::parse("tile/1/000.p/256"), None);
//! ```

use std::fmt::Write as _;

/// How many hashes a tile has that is full.
pub const WIDTH: u16 = 256;

/// The highest level of tiles (C2SP tlog-tiles: `<L>` is between 0 and 5).
pub const MAX_LEVEL: u8 = 5;

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
    /// The tiles of one level of a tree of `size` leaves: the full ones from `first` on, and the
    /// partial one at the end, where there is one.
    pub fn of_level(level: u8, first: u64, size: u64) -> impl Iterator<Item = Self> {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let full = hashes / u64::from(WIDTH);
        let width = u16::from(hashes.to_le_bytes()[0]);
        let partial = (width > 0 && full >= first).then_some(Self {
            level,
            index: full,
            width,
        });
        (first..full)
            .map(move |index| Self {
                level,
                index,
                width: WIDTH,
            })
            .chain(partial)
    }

    /// `tile/<L>/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        self.under(&format!("tile/{}", self.level))
    }

    /// `tile/entries/<N>[.p/<W>]`, for a tile of level 0.
    #[must_use]
    pub fn entries_path(&self) -> String {
        self.under("tile/entries")
    }

    /// Of [`path`](Self::path), and of nothing else: no leading zeros, no empty group.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match level.as_bytes() {
            [digit @ b'0'..=b'5'] => digit - b'0',
            _ => return None,
        };
        let (index, width) = parse_place(rest)?;
        Some(Self {
            level,
            index,
            width,
        })
    }

    /// Of [`entries_path`](Self::entries_path), and of nothing else.
    #[must_use]
    pub fn parse_entries(path: &str) -> Option<Self> {
        let (index, width) = parse_place(path.strip_prefix("tile/entries/")?)?;
        Some(Self {
            level: 0,
            index,
            width,
        })
    }

    /// The place of its first leaf.
    #[must_use]
    pub const fn begin(&self) -> Option<u64> {
        let bits = 8 * (self.level as u32 + 1);
        if bits < self.index.leading_zeros() {
            Some(self.index << bits)
        } else {
            None
        }
    }

    fn under(&self, folder: &str) -> String {
        // Groups of three digits; all but the last have an `x`.
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        let mut path = folder.to_owned();
        for (place, group) in groups.iter().enumerate().rev() {
            let mark = if place == 0 { "" } else { "x" };
            let _ = write!(path, "/{mark}{group:03}");
        }
        if self.width != WIDTH {
            let _ = write!(path, ".p/{}", self.width);
        }
        path
    }
}

/// `<N>[.p/<W>]`.
fn parse_place(text: &str) -> Option<(u64, u16)> {
    let (index, width) = match text.split_once(".p/") {
        Some((index, width)) => (index, parse_width(width)?),
        None => (text, WIDTH),
    };
    let mut groups = index.split('/').rev();
    let mut value = group(groups.next()?)?;
    let mut unit = 1_u64;
    let mut first = None;
    for text in groups {
        let digits = group(text.strip_prefix('x')?)?;
        unit = unit.checked_mul(1000)?;
        value = value.checked_add(digits.checked_mul(unit)?)?;
        first = Some(digits);
    }
    // A group that says nothing would give a tile two names.
    (first != Some(0)).then_some((value, width))
}

/// Three digits.
fn group(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(u64::from(a - b'0') * 100 + u64::from(b - b'0') * 10 + u64::from(c - b'0'))
        }
        _ => None,
    }
}

/// From 1 to 255, without leading zeros.
fn parse_width(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.starts_with('0') || text.len() > 3 {
        return None;
    }
    text.parse().ok().filter(|width| *width < WIDTH)
}
