//! Which templates a path matches, however many there are.
//!
//! Templates are laid out as a tree, a step for each segment. Looking a path up goes down every branch
//! that its segments allow: the literal one, and the parameter's. Each node has one way to it and is
//! entered at most once, so no path costs more than the tree has nodes, and one that is longer than the
//! templates no more than they are long. Where several templates match, several are found.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{
    bits::{Bit, Bits},
    names::Names,
};
use crate::policy::model::{Atom, Clause, PathPattern, Segment, Text};

#[derive(Debug)]
pub(super) struct Paths {
    nodes: Box<[Node]>,
    /// Rules that ask nothing of the path that is indexed.
    pub(super) others: Bits,
}

type NodeId = usize;

#[derive(Debug)]
struct Node {
    literals: Names<NodeId>,
    parameter: Option<NodeId>,
    /// Of templates that end here.
    end: Bits,
    /// Of templates whose `{rest..}` begins here.
    rest: Bits,
}

/// What a path matched.
pub(super) type Matched<'a> = SmallVec<[&'a Bits; 8]>;

impl Paths {
    /// Pushes the sets of all templates that match. Allocates nothing until more than eight sets are
    /// found, or more than eight branches left for later.
    pub(super) fn find<'a>(&'a self, path: &str, matched: &mut Matched<'a>) {
        self.walk(path, |bits| {
            if !bits.is_empty() {
                matched.push(bits);
            }
        });
    }

    /// Goes to every node that the path leads to.
    fn walk<'a>(&'a self, path: &str, mut enter: impl FnMut(&'a Bits)) {
        let Some(path) = path.strip_prefix('/') else {
            return;
        };
        let mut later: SmallVec<[(NodeId, Option<&str>); 8]> = SmallVec::new();
        let mut next = Some((ROOT, Some(path)));
        while let Some((id, left)) = next.take().or_else(|| later.pop()) {
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            let Some(left) = left else {
                enter(&node.end);
                continue;
            };
            enter(&node.rest);
            let (segment, left) = first_segment(left);
            next = node.literals.get(segment).map(|id| (*id, left));
            if let Some(id) = node.parameter.filter(|_| !segment.is_empty()) {
                match next {
                    Some(_) => later.push((id, left)),
                    None => next = Some((id, left)),
                }
            }
        }
    }
}

/// The first segment, and what is behind the slash that ends it. Segments are short: looking at each
/// byte takes less than a search that is quick in long texts.
fn first_segment(path: &str) -> (&str, Option<&str>) {
    let slash = path.bytes().position(|byte| byte == b'/');
    match slash.and_then(|at| path.split_at_checked(at)) {
        Some((segment, rest)) => (segment, rest.get(1..)),
        None => (path, None),
    }
}

#[cfg(test)]
impl Paths {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn entered(&self, path: &str) -> usize {
        let mut entered = 0;
        self.walk(path, |_| entered += 1);
        entered
    }
}

const ROOT: NodeId = 0;

/// Puts the tree together.
#[derive(Debug)]
pub(super) struct PathsBuilder {
    nodes: Vec<Draft>,
    others: Vec<Bit>,
}

#[derive(Debug, Default)]
struct Draft {
    literals: HashMap<Box<str>, NodeId>,
    parameter: Option<NodeId>,
    end: Vec<Bit>,
    rest: Vec<Bit>,
}

impl PathsBuilder {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Draft::default()],
            others: Vec::new(),
        }
    }

    /// Whether the tree can stand for the whole clause.
    pub(super) fn takes(clause: &Clause) -> bool {
        let indexed = |atom: &Atom| match atom {
            Atom::Path(PathPattern::Template(_)) => true,
            Atom::Path(PathPattern::Text(Text::Exact(text))) => text.starts_with('/'),
            _ => false,
        };
        !clause.negated && !clause.any.is_empty() && clause.any.iter().all(indexed)
    }

    pub(super) fn add(&mut self, clause: Option<&Clause>, bit: Bit) {
        let Some(clause) = clause else {
            self.others.push(bit);
            return;
        };
        for atom in &clause.any {
            match atom {
                Atom::Path(PathPattern::Template(template)) => {
                    let end = template.segments.iter().fold(ROOT, |at, segment| {
                        self.step(
                            at,
                            match segment {
                                Segment::Literal(text) => Some(text),
                                Segment::Parameter(_) => None,
                            },
                        )
                    });
                    if let Some(node) = self.nodes.get_mut(end) {
                        match template.rest {
                            Some(_) => node.rest.push(bit),
                            None => node.end.push(bit),
                        }
                    }
                }
                // A text without any pattern in it is a template of literals.
                Atom::Path(PathPattern::Text(Text::Exact(text))) => {
                    let segments = text.strip_prefix('/').unwrap_or(text).split('/');
                    let end = segments.fold(ROOT, |at, segment| self.step(at, Some(segment)));
                    if let Some(node) = self.nodes.get_mut(end) {
                        node.end.push(bit);
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, from: NodeId, literal: Option<&str>) -> NodeId {
        let fresh = self.nodes.len();
        let Some(node) = self.nodes.get_mut(from) else {
            return from;
        };
        let to = match literal {
            Some(text) => *node.literals.entry(text.into()).or_insert(fresh),
            None => *node.parameter.get_or_insert(fresh),
        };
        if to == fresh {
            self.nodes.push(Draft::default());
        }
        to
    }

    pub(super) fn build(self) -> Paths {
        let nodes = self.nodes.into_iter().map(|draft| Node {
            literals: draft.literals.into_iter().collect(),
            parameter: draft.parameter,
            end: Bits::of(draft.end),
            rest: Bits::of(draft.rest),
        });
        Paths {
            nodes: nodes.collect(),
            others: Bits::of(self.others),
        }
    }
}
