/// SplitMix64: small, seeded, good enough to choose what is lost.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..bound`; zero where there is nothing to choose.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let chosen = u64::try_from(bound)
            .ok()
            .and_then(|bound| self.next().checked_rem(bound));
        chosen
            .and_then(|chosen| usize::try_from(chosen).ok())
            .unwrap_or(0)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of these; `None` of none.
    pub(super) fn one_of<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
