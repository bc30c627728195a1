//! Where a key is kept in the memory of one process.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Keys are hashes already, but whoever sends a message chooses its nonce, and can try many. So the
/// place of a key depends on numbers that only this memory knows: `a * x + b * y + c` over 128 bits,
/// of which the upper half counts, is strongly universal (M. Thorup, "High Speed Hashing for Integers
/// and Strings", section 3.5). Any two keys meet in one of `n` places once in `n` times, however they
/// were made.
#[derive(Clone, Copy)]
pub(super) struct Seed {
    factors: [u128; 2],
    offset: u128,
}

impl Seed {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        let half = |number: u8| u128::from(random.hash_one(number));
        let whole = |number| half(number) << 64 | half(number + 1);
        Self {
            factors: [whole(0), whole(2)],
            offset: whole(4),
        }
    }

    #[inline]
    pub(super) fn place(&self, key: u128) -> u64 {
        let [first, second] = self.factors;
        let (upper, lower) = (key >> 64, key & u128::from(u64::MAX));
        let sum = first
            .wrapping_mul(upper)
            .wrapping_add(second.wrapping_mul(lower))
            .wrapping_add(self.offset);
        // The upper half of 128 bits.
        (sum >> 64) as u64
    }
}

impl BuildHasher for Seed {
    type Hasher = Placing;

    #[inline]
    fn build_hasher(&self) -> Placing {
        Placing {
            seed: *self,
            place: 0,
        }
    }
}

/// Of one key; of anything else it takes 16 bytes after the other.
pub(super) struct Placing {
    seed: Seed,
    place: u64,
}

impl Hasher for Placing {
    #[inline]
    fn write_u128(&mut self, key: u128) {
        self.place = self.seed.place(key ^ u128::from(self.place));
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(16) {
            let mut key = [0; 16];
            key.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            self.write_u128(u128::from_ne_bytes(key));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.place
    }
}
