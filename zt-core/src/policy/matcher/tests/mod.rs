mod callers;
mod differential;
mod hostile;

use std::sync::Arc;

use super::*;
use crate::policy::model::{Condition, Origin, PathPattern, PathTemplate, Segment, Text};

/// SplitMix64: the same throws for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).unwrap()
    }

    pub(super) fn bit(&mut self, limit: usize) -> Bit {
        Bit::try_from(self.below(limit)).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// One time in `of`.
    fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

fn rule(id: usize, effect: Effect, clauses: Vec<Clause>) -> Rule {
    Rule {
        id: format!("rule-{id}").into(),
        effect,
        dry_run: false,
        clauses,
        grant: None,
        when: None,
        origin: Origin::default(),
    }
}

fn allow(id: usize, clauses: impl IntoIterator<Item = Atom>) -> Rule {
    let each = clauses.into_iter().map(|atom| Clause::any([atom]));
    rule(id, Effect::Allow, each.collect())
}

fn matcher(rules: Vec<Rule>) -> (Matcher, Arc<[Rule]>) {
    let rules: Arc<[Rule]> = rules.into();
    (Matcher::new(&rules), rules)
}

fn template(text: &str) -> PathTemplate {
    let mut segments: Vec<&str> = text.strip_prefix('/').unwrap().split('/').collect();
    let rest = segments.pop_if(|last| *last == "{rest..}");
    PathTemplate {
        segments: segments
            .into_iter()
            .map(|segment| match segment.strip_prefix('{') {
                Some(name) => Segment::Parameter(name.trim_end_matches('}').into()),
                None => Segment::Literal(segment.into()),
            })
            .collect(),
        rest: rest.map(|_| "rest".into()),
    }
}

fn path(text: &str) -> Atom {
    Atom::Path(PathPattern::Template(template(text)))
}

fn on(path: &str) -> Facts<'_> {
    Facts {
        path,
        ..Facts::of_nobody()
    }
}
