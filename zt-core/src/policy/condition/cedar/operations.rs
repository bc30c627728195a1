//! Which operation a request is: the one with the closest template, as routers rank them.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use crate::policy::{
    facts::Facts,
    model::{Operation, PathTemplate, Segment, Text},
};

/// Templates as a tree. A search goes through each node at most once, and allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Operations {
    root: Node,
    /// Whether any of them asks for the host.
    pub(super) reads_host: bool,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Arc<str>, Node>,
    parameter: Option<Box<Node>>,
    /// Operations whose template ends here, the closest first.
    ends: Vec<End>,
    /// Operations with the rest of the path.
    rests: Vec<End>,
}

#[derive(Debug)]
struct End {
    place: usize,
    methods: Vec<Method>,
    hosts: Vec<Text>,
}

impl Operations {
    pub(super) fn new(operations: &[Operation]) -> Self {
        let mut all = Self::default();
        for (place, operation) in operations.iter().enumerate() {
            all.reads_host |= !operation.hosts.is_empty();
            let mut node = &mut all.root;
            for segment in &operation.path.segments {
                node = match segment {
                    Segment::Literal(text) => node.literals.entry(Arc::clone(text)).or_default(),
                    Segment::Parameter(_) => node.parameter.get_or_insert_default(),
                };
            }
            let ends = match operation.path.rest {
                Some(_) => &mut node.rests,
                None => &mut node.ends,
            };
            ends.push(End {
                place,
                methods: operation.methods.clone(),
                hosts: operation.hosts.clone(),
            });
            // With a method before without, with a host before without.
            ends.sort_by_key(|end| (end.methods.is_empty(), host_rank(&end.hosts)));
        }
        all
    }

    /// Of several with the closest template, the one that says most of method and host; where that is
    /// equal there is [one](same). A HEAD without an operation of its own is that of GET.
    pub(super) fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        self.root.find(facts.path.strip_prefix('/'), facts)
    }
}

impl Node {
    fn find(&self, left: Option<&str>, facts: &Facts<'_>) -> Option<usize> {
        let Some(left) = left else {
            return pick(&self.ends, facts);
        };
        let (segment, rest) = match left.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (left, None),
        };
        let literal = || self.literals.get(segment)?.find(rest, facts);
        let parameter = || {
            let node = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
            node.find(rest, facts)
        };
        literal()
            .or_else(parameter)
            .or_else(|| pick(&self.rests, facts))
    }
}

fn pick(ends: &[End], facts: &Facts<'_>) -> Option<usize> {
    let of = |method: &Method| {
        ends.iter().find(|end| {
            let host = |text: &Text| text.is_some_ignoring_case(facts.host);
            (end.methods.is_empty() || end.methods.contains(method))
                && (end.hosts.is_empty() || end.hosts.iter().any(host))
        })
    };
    let own = of(facts.method);
    let end = match own {
        Some(end) if !end.methods.is_empty() => own,
        // RFC 9110 section 9.3.2.
        _ if facts.method == Method::HEAD => of(&Method::GET)
            .filter(|end| !end.methods.is_empty())
            .or(own),
        _ => own,
    };
    end.map(|end| end.place)
}

/// Two operations that the same request could be, with nothing to say which is closer: what is said of
/// the second would not be asked.
pub(super) fn same(operations: &[Operation]) -> Option<(&Operation, &Operation)> {
    let mut known: HashMap<(Vec<Option<&str>>, bool), Vec<&Operation>> = HashMap::new();
    for operation in operations {
        let segments = operation.path.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            Segment::Parameter(_) => None,
        });
        let shape = (segments.collect(), operation.path.rest.is_some());
        let alike = known.entry(shape).or_default();
        if let Some(before) = alike.iter().find(|before| overlap(before, operation)) {
            return Some((before, operation));
        }
        alike.push(operation);
    }
    None
}

fn overlap(one: &Operation, other: &Operation) -> bool {
    let host = |one: &Text, other: &Text| match (one, other) {
        (Text::Exact(exact), pattern) | (pattern, Text::Exact(exact)) => {
            pattern.is_some_ignoring_case(Some(exact))
        }
        (Text::Suffix(one), Text::Suffix(other)) => {
            one.ends_with(&**other) || other.ends_with(&**one)
        }
        _ => true,
    };
    let hosts = one.hosts.is_empty()
        || (one.hosts.iter()).any(|one| other.hosts.iter().any(|other| host(one, other)));
    let methods = one.methods.is_empty()
        || one
            .methods
            .iter()
            .any(|method| other.methods.contains(method));
    one.methods.is_empty() == other.methods.is_empty()
        && host_rank(&one.hosts) == host_rank(&other.hosts)
        && methods
        && hosts
}

const fn host_rank(hosts: &[Text]) -> u8 {
    match hosts {
        [] => 2,
        [Text::Exact(_), ..] => 0,
        _ => 1,
    }
}

/// What stands in a path for the parameters of a template that it matches.
pub(super) fn parameters<'t, 'p>(
    template: &'t PathTemplate,
    path: &'p str,
) -> impl Iterator<Item = (&'t Arc<str>, &'p str)> {
    let mut left = path.strip_prefix('/');
    let mut segments = template.segments.iter();
    let mut rest = template.rest.as_ref();
    std::iter::from_fn(move || {
        for segment in segments.by_ref() {
            let whole = left?;
            let (found, after) = match whole.split_once('/') {
                Some((found, after)) => (found, Some(after)),
                None => (whole, None),
            };
            left = after;
            if let Segment::Parameter(name) = segment {
                return Some((name, found));
            }
        }
        Some((rest.take()?, left?))
    })
}

/// The names of a template's parameters.
pub(super) fn names(template: &PathTemplate) -> impl Iterator<Item = &Arc<str>> {
    let segments = template
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Literal(_) => None,
        });
    segments.chain(&template.rest)
}
