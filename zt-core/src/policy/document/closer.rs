//! A request is one operation: the one with the closest template. What is allowed for an operation is
//! therefore not allowed for a request that is a closer one.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use http::Method;

use crate::policy::{
    lint::overlap,
    model::{Atom, Clause, Operation, PathPattern, PathTemplate, Segment, Text},
};

/// With more ways than these the paths of closer operations are left out whatever the host is.
const MOST_WAYS: usize = 64;

/// All rules together leave out closer operations no more often than that.
pub(super) const MOST_CLOSER: usize = 250_000;

/// Operations, and how often rules may still leave out closer ones.
pub(super) struct Operations<'o> {
    pub(super) all: &'o [Operation],
    places: HashMap<&'o str, usize>,
    ways: RefCell<HashMap<usize, Rc<Vec<Vec<Clause>>>>>,
    left: Cell<Option<usize>>,
}

/// The rules leave out closer operations too often.
#[derive(Debug)]
pub(super) struct TooMany {
    /// Nobody was told before.
    pub(super) is_first: bool,
}

impl<'o> Operations<'o> {
    pub(super) fn new(all: &'o [Operation]) -> Self {
        Self {
            all,
            places: (0..)
                .zip(all)
                .map(|(place, one)| (&*one.id, place))
                .collect(),
            ways: RefCell::default(),
            left: Cell::new(Some(MOST_CLOSER)),
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&'o Operation> {
        self.all.get(*self.places.get(id)?)
    }

    /// What a request has to be so that it is `own` and no closer operation: in several ways, each
    /// beside its hosts and its path.
    pub(super) fn ways(&self, own: &Operation) -> Result<Rc<Vec<Vec<Clause>>>, TooMany> {
        let place = self.places.get(&*own.id).copied().unwrap_or_default();
        let left = self.left.get();
        let left = left.ok_or(TooMany { is_first: false })?;
        let known = self.ways.borrow().get(&place).cloned();
        let found = known.or_else(|| ways((place, own), self.all, left).map(Rc::new));
        let found = found.and_then(|ways| Some((left.checked_sub(size(&ways))?, ways)));
        self.left.set(found.as_ref().map(|(left, _)| *left));
        let (_, ways) = found.ok_or(TooMany { is_first: true })?;
        self.ways.borrow_mut().insert(place, Rc::clone(&ways));
        Ok(ways)
    }

    /// Whether as much again, and so many times, is not too much: callers that are several things.
    pub(super) fn again(&self, ways: &[Vec<Clause>], times: usize) -> Result<(), TooMany> {
        let left = self.left.get().ok_or(TooMany { is_first: false })?;
        let left = left.checked_sub(size(ways).saturating_mul(times));
        self.left.set(left);
        left.map(drop).ok_or(TooMany { is_first: true })
    }
}

/// How often closer operations are left out: each way begins with its methods.
fn size(ways: &[Vec<Clause>]) -> usize {
    ways.iter().map(|way| way.len().saturating_sub(1)).sum()
}

/// `None` where they are more than `most`.
fn ways(
    (place, own): (usize, &Operation),
    all: &[Operation],
    most: usize,
) -> Option<Vec<Vec<Clause>>> {
    let closer: Vec<&Operation> = all
        .iter()
        .enumerate()
        .filter(|(at, other)| *at != place && is_closer((*at, *other), (place, own)))
        .map(|(_, other)| other)
        .collect();
    let mut methods: Vec<&Method> = own.methods.iter().collect();
    if own.methods.is_empty() {
        methods = closer.iter().flat_map(|other| &other.methods).collect();
        if methods.contains(&&Method::GET) {
            methods.push(&Method::HEAD);
        }
        methods.sort_by_key(|method| method.as_str());
        methods.dedup();
    }
    let exact = |method: &Method| Atom::Method(Text::exact(method.as_str()));
    // Methods with the same closer operations stand in one rule.
    let mut groups: Vec<(Vec<&Method>, Vec<&Operation>)> = Vec::new();
    for method in &methods {
        let before = closer.iter().copied();
        let before: Vec<_> = before.filter(|other| takes(other, own, method)).collect();
        let alike = |(_, others): &&mut (Vec<&Method>, Vec<&Operation>)| {
            others.len() == before.len()
                && others
                    .iter()
                    .zip(&before)
                    .all(|(one, two)| std::ptr::eq(*one, *two))
        };
        match groups.iter_mut().find(alike) {
            Some((methods, _)) => methods.push(method),
            None => groups.push((vec![method], before)),
        }
    }
    let mut found = Vec::new();
    for (methods, before) in groups {
        let clause = Clause::any(methods.into_iter().map(exact));
        found.extend(without(own, clause, &before, most)?);
        if size(&found) > most {
            return None;
        }
    }
    if own.methods.is_empty() {
        let others = closer.iter().copied();
        let before: Vec<_> = others.filter(|other| other.methods.is_empty()).collect();
        let clause = Clause::none(methods.into_iter().map(exact));
        found.extend(without(own, clause, &before, most)?);
    }
    Some(found)
}

/// `first`, and none of the operations `before`; `None` where that takes more than `most`.
fn without(
    own: &Operation,
    first: Clause,
    before: &[&Operation],
    most: usize,
) -> Option<Vec<Vec<Clause>>> {
    let first = if first.any.is_empty() {
        Vec::new()
    } else {
        vec![first]
    };
    let mut ways = vec![first];
    for other in before {
        if size(&ways) > most {
            return None;
        }
        let path = PathPattern::Template(other.path.clone());
        let elsewhere = Clause::none([Atom::Path(path)]);
        let hosts = Clause::none(other.hosts.iter().cloned().map(Atom::Host));
        let same = rank(&other.path) == rank(&own.path) && is_same(&other.path, &own.path);
        let two = !other.hosts.is_empty() && !same && ways.len() * 2 <= MOST_WAYS;
        if two {
            let mut others = ways.clone();
            others.iter_mut().for_each(|way| way.push(hosts.clone()));
            ways.iter_mut().for_each(|way| way.push(elsewhere.clone()));
            // Beside each way its other one.
            ways = others
                .into_iter()
                .zip(ways)
                .flat_map(<[_; 2]>::from)
                .collect();
            continue;
        }
        let choice = if other.hosts.is_empty() || !same {
            elsewhere
        } else {
            hosts
        };
        ways.iter_mut().for_each(|way| way.push(choice.clone()));
    }
    Some(ways)
}

/// Whether a request that both match may be `other` and not `own`.
fn is_closer((at, other): (usize, &Operation), (place, own): (usize, &Operation)) -> bool {
    let order = |one: &Operation| {
        (
            rank(&one.path),
            one.methods.is_empty(),
            host_rank(&one.hosts),
        )
    };
    overlap(&other.path, &own.path)
        && share_a_host(&other.hosts, &own.hosts)
        && (order(other), at) < (order(own), place)
}

/// Whether one host may be among both; no hosts at all are all of them.
fn share_a_host(some: &[Text], others: &[Text]) -> bool {
    let meet = |one: &Text, other: &Text| match (one, other) {
        (Text::Exact(exact), text) | (text, Text::Exact(exact)) => {
            text.is_some_ignoring_case(Some(exact))
        }
        (Text::Suffix(one), Text::Suffix(other)) => {
            one.ends_with(&**other) || other.ends_with(&**one)
        }
        _ => true,
    };
    some.is_empty()
        || others.is_empty()
        || some
            .iter()
            .any(|one| others.iter().any(|other| meet(one, other)))
}

/// Whether a request with this method may be `other`. A HEAD is a GET where it has no operation of its
/// own (RFC 9110 section 9.3.2).
fn takes(other: &Operation, own: &Operation, method: &Method) -> bool {
    let named = other.methods.contains(method);
    let as_get = *method == Method::HEAD
        && other.methods.contains(&Method::GET)
        && (own.methods.is_empty() || rank(&other.path) < rank(&own.path));
    other.methods.is_empty() || named || as_get
}

/// Of two templates that match one path the one with the lesser rank is closer.
fn rank(path: &PathTemplate) -> Vec<u8> {
    let segments = path.segments.iter().map(|segment| match segment {
        Segment::Literal(_) => 0,
        Segment::Parameter(_) => 1,
    });
    segments.chain(path.rest.iter().map(|_| 2)).collect()
}

/// But for the names of parameters.
fn is_same(one: &PathTemplate, two: &PathTemplate) -> bool {
    let alike = |(one, two): (&Segment, &Segment)| match (one, two) {
        (Segment::Literal(one), Segment::Literal(two)) => one == two,
        (Segment::Parameter(_), Segment::Parameter(_)) => true,
        _ => false,
    };
    one.segments.len() == two.segments.len()
        && one.rest.is_some() == two.rest.is_some()
        && one.segments.iter().zip(&two.segments).all(alike)
}

/// One exact host before patterns, and both before none.
const fn host_rank(hosts: &[Text]) -> u8 {
    match hosts {
        [] => 2,
        [Text::Exact(_), ..] => 0,
        _ => 1,
    }
}
