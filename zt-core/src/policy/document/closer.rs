//! A request is one operation: the one with the closest template. What is allowed for an operation is
//! therefore not allowed for a request that is a closer one.

use http::Method;

use crate::policy::{
    lint::overlap,
    model::{Atom, Clause, Operation, PathPattern, PathTemplate, Segment, Text},
};

/// With more ways than these the paths of closer operations are left out whatever the host is.
const MOST_WAYS: usize = 64;

/// What a request has to be so that it is `own` and no closer operation: in several ways, each beside
/// its hosts and its path.
pub(super) fn ways(own: &Operation, all: &[Operation]) -> Vec<Vec<Clause>> {
    let is_own = |one: &Operation| std::ptr::eq(one, own);
    let place = all.iter().position(is_own).unwrap_or(all.len());
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
        found.extend(without(own, clause, &before));
    }
    if own.methods.is_empty() {
        let others = closer.iter().copied();
        let before: Vec<_> = others.filter(|other| other.methods.is_empty()).collect();
        let clause = Clause::none(methods.into_iter().map(exact));
        found.extend(without(own, clause, &before));
    }
    found
}

/// `first`, and none of the operations `before`.
fn without(own: &Operation, first: Clause, before: &[&Operation]) -> Vec<Vec<Clause>> {
    let first = if first.any.is_empty() {
        Vec::new()
    } else {
        vec![first]
    };
    let mut ways = vec![first];
    for other in before {
        let path = PathPattern::Template(other.path.clone());
        let elsewhere = Clause::none([Atom::Path(path)]);
        let hosts = Clause::none(other.hosts.iter().cloned().map(Atom::Host));
        let same = rank(&other.path) == rank(&own.path) && is_same(&other.path, &own.path);
        let choices = match (other.hosts.is_empty(), same) {
            (true, _) => vec![elsewhere],
            (false, true) => vec![hosts],
            (false, false) if ways.len() * 2 > MOST_WAYS => vec![elsewhere],
            (false, false) => vec![hosts, elsewhere],
        };
        ways = ways
            .iter()
            .flat_map(|way| {
                let longer =
                    |choice: &Clause| [way.as_slice(), std::slice::from_ref(choice)].concat();
                choices.iter().map(longer).collect::<Vec<_>>()
            })
            .collect();
    }
    ways
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
    overlap(&other.path, &own.path) && (order(other), at) < (order(own), place)
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
