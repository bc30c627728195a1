//! Sets of rules, and what several of them have in common.

use std::{ops::ControlFlow, sync::LazyLock};

/// A rule's place in the order of decision.
pub(super) type Bit = u32;

/// Bits by the word; words without any are left out. As large as the set, not as the policy.
#[derive(Debug, Default)]
pub(super) struct Bits(Box<[Word]>);

#[derive(Debug, Clone, Copy)]
struct Word {
    place: u32,
    bits: u64,
}

impl Bits {
    /// No rule.
    pub(super) fn none() -> &'static Self {
        static NONE: LazyLock<Bits> = LazyLock::new(Bits::default);
        &NONE
    }

    /// In any order, and any number of times.
    pub(super) fn of(mut members: Vec<Bit>) -> Self {
        members.sort_unstable();
        let mut words: Vec<Word> = Vec::new();
        for bit in members {
            let (place, bits) = (bit / u64::BITS, 1 << (bit % u64::BITS));
            match words.last_mut() {
                Some(last) if last.place == place => last.bits |= bits,
                _ => words.push(Word { place, bits }),
            }
        }
        Self(words.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first word at `place` or behind it.
    fn from(&self, place: u32) -> Option<&Word> {
        let first = self.0.first()?;
        let Some(distance) = place.checked_sub(first.place) else {
            return Some(first);
        };
        // Where no word is left out before it, that is where it stands; else it stands before that.
        let distance = distance as usize;
        match self.0.get(distance) {
            Some(word) if word.place == place => Some(word),
            _ => {
                let before = self.0.get(..distance).unwrap_or(&self.0);
                self.0
                    .get(before.partition_point(|word| word.place < place))
            }
        }
    }

    fn at(&self, place: u32) -> u64 {
        match self.from(place) {
            Some(word) if word.place == place => word.bits,
            _ => 0,
        }
    }
}

/// The union of two sets; where one has to do, the other is [none](Bits::none).
pub(super) type Pair<'a> = [&'a Bits; 2];

/// Visits the bits that the union of `many` and all of `pairs` have, in order. The smallest leads, and the
/// others are asked where it has something.
pub(super) fn in_all(
    many: &[&Bits],
    pairs: &[Pair<'_>],
    mut visit: impl FnMut(Bit) -> ControlFlow<()>,
) {
    let size = |union: &[&Bits]| union.iter().map(|set| set.0.len()).sum::<usize>();
    let (mut lead, mut least) = (many, size(many));
    for pair in pairs {
        let size = size(pair);
        if size < least {
            (lead, least) = (pair, size);
        }
    }
    let next = |from| {
        let words = lead.iter().filter_map(|set| set.from(from));
        words.map(|word| word.place).min()
    };
    let mut from = 0;
    while let Some(place) = next(from) {
        let mut bits = many.iter().fold(0, |all, set| all | set.at(place));
        for [one, other] in pairs {
            if bits == 0 {
                break;
            }
            bits &= one.at(place) | other.at(place);
        }
        while bits != 0 {
            let bit = place * u64::BITS + bits.trailing_zeros();
            bits &= bits - 1;
            if visit(bit).is_break() {
                return;
            }
        }
        from = place + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::matcher::tests::Dice;

    #[test]
    fn what_all_unions_have_is_what_sets_say() {
        let mut dice = Dice::new(7);
        let mut visited = 0;
        for _ in 0..500 {
            let limit = [10, 200, 5_000][dice.below(3)];
            let mut unions = Vec::new();
            for number in 0..=dice.below(4) {
                let most = if number == 0 { 4 } else { 2 };
                let sets: Vec<Vec<Bit>> = (0..=dice.below(most))
                    .map(|_| {
                        let members = dice.below(limit / 2);
                        (0..members).map(|_| dice.bit(limit)).collect()
                    })
                    .collect();
                unions.push(sets);
            }
            let expected = unions
                .iter()
                .map(|sets| sets.iter().flatten().copied().collect::<BTreeSet<Bit>>())
                .reduce(|all, set| &all & &set)
                .unwrap();
            let bits: Vec<Vec<Bits>> = unions
                .into_iter()
                .map(|sets| sets.into_iter().map(Bits::of).collect())
                .collect();
            // One union of many sets, and others of two.
            let many: Vec<&Bits> = bits.first().into_iter().flatten().collect();
            let pairs: Vec<Pair<'_>> = bits
                .iter()
                .skip(1)
                .map(|sets| [&sets[0], sets.get(1).unwrap_or(Bits::none())])
                .collect();
            let mut found = Vec::new();
            in_all(&many, &pairs, |bit| {
                found.push(bit);
                ControlFlow::Continue(())
            });
            visited += found.len();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
        assert!(visited > 5_000, "{visited}");
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let bits = Bits::of((0..1_000).collect());
        let mut seen = 0;
        in_all(&[&bits], &[], |bit| {
            seen += 1;
            match bit {
                700 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        assert_eq!(seen, 701);
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        let (none, bits) = (Bits::none(), Bits::of(vec![1]));
        in_all(&[], &[], |_| panic!("a bit of no set"));
        in_all(&[], &[[&bits, none]], |_| panic!("a bit of no set"));
        in_all(&[&bits], &[[none, none]], |_| panic!("a bit of no set"));
    }
}
