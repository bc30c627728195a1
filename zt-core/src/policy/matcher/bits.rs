//! Sets of rules, and what several of them have in common.

use std::ops::ControlFlow;

use smallvec::SmallVec;

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
}

/// The union of some sets, read once from the front to the end.
pub(super) struct Union<'a>(SmallVec<[&'a [Word]; 3]>);

impl<'a> Union<'a> {
    pub(super) fn of(sets: impl IntoIterator<Item = &'a Bits>) -> Self {
        let sets = sets.into_iter().filter(|bits| !bits.is_empty());
        Self(sets.map(|bits| &*bits.0).collect())
    }

    fn len(&self) -> usize {
        self.0.iter().map(|set| set.len()).sum()
    }

    /// The first word at `from` or behind it.
    fn seek(&mut self, from: u32) -> Option<Word> {
        let mut found: Option<Word> = None;
        for set in &mut self.0 {
            *set = skip(set, from);
            let Some(first) = set.first() else { continue };
            found = match found {
                Some(word) if word.place < first.place => Some(word),
                Some(word) if word.place == first.place => Some(Word {
                    bits: word.bits | first.bits,
                    ..word
                }),
                _ => Some(*first),
            };
        }
        found
    }
}

/// What is left of `set` from the word `from` on.
fn skip(set: &[Word], from: u32) -> &[Word] {
    match set {
        [first, ..] if first.place >= from => set,
        // One step, in most cases; else a search.
        [_, rest @ ..] if rest.first().is_none_or(|next| next.place >= from) => rest,
        _ => {
            let at = set.partition_point(|word| word.place < from);
            set.get(at..).unwrap_or_default()
        }
    }
}

/// Visits the bits that all of `unions` have, in order. Where one has nothing near, the others are not
/// looked through there: what it takes goes by the smallest.
pub(super) fn in_all(unions: &mut [Union<'_>], mut visit: impl FnMut(Bit) -> ControlFlow<()>) {
    if unions.is_empty() {
        return;
    }
    unions.sort_unstable_by_key(Union::len);
    let mut place = 0;
    'words: loop {
        let mut bits = u64::MAX;
        for union in &mut *unions {
            let Some(word) = union.seek(place) else {
                return;
            };
            if word.place > place {
                place = word.place;
                continue 'words;
            }
            bits &= word.bits;
        }
        while bits != 0 {
            let bit = place * u64::BITS + bits.trailing_zeros();
            bits &= bits - 1;
            if visit(bit).is_break() {
                return;
            }
        }
        place += 1;
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
            for _ in 0..=dice.below(4) {
                let sets: Vec<Vec<Bit>> = (0..=dice.below(3))
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
            let mut unions: Vec<Union<'_>> = bits.iter().map(Union::of).collect();
            let mut found = Vec::new();
            in_all(&mut unions, |bit| {
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
        in_all(&mut [Union::of([&bits])], |bit| {
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
        in_all(&mut [], |_| panic!("a bit of no union"));
        let bits = Bits::of(vec![1]);
        let mut unions = [Union::of([&bits]), Union::of([])];
        in_all(&mut unions, |_| panic!("a bit of an empty union"));
    }
}
