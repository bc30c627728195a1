//! Methods and hosts.

use std::collections::HashMap;

use http::Method;

use super::{
    bits::{Bit, Bits},
    names::Names,
};
use crate::policy::model::{Atom, Clause, Text};

/// Rules by the method that they name.
#[derive(Debug)]
pub(super) struct Methods {
    is_empty: bool,
    /// With those that ask nothing of it. There are few, and comparing the usual ones takes less than
    /// comparing texts.
    named: Box<[(Method, Bits)]>,
    /// Rules that ask nothing of the method that is indexed.
    others: Bits,
}

impl Methods {
    pub(super) fn find(&self, method: &Method) -> &Bits {
        let named = self.named.iter().find(|(own, _)| own == method);
        named.map_or(&self.others, |(_, bits)| bits)
    }

    /// Whether no rule is indexed by its method.
    pub(super) const fn is_empty(&self) -> bool {
        self.is_empty
    }
}

#[derive(Debug, Default)]
pub(super) struct MethodsBuilder {
    named: HashMap<Box<str>, Vec<Bit>>,
    others: Vec<Bit>,
}

impl MethodsBuilder {
    pub(super) fn takes(clause: &Clause) -> bool {
        let indexed = |atom: &Atom| matches!(atom, Atom::Method(Text::Exact(_)));
        !clause.negated && !clause.any.is_empty() && clause.any.iter().all(indexed)
    }

    pub(super) fn add(&mut self, clause: Option<&Clause>, bit: Bit) {
        let Some(clause) = clause else {
            self.others.push(bit);
            return;
        };
        for atom in &clause.any {
            if let Atom::Method(Text::Exact(name)) = atom {
                self.named.entry((&**name).into()).or_default().push(bit);
            }
        }
    }

    pub(super) fn build(self) -> Methods {
        let with_others = |own: Vec<Bit>| {
            let others = self.others.iter().copied();
            Bits::of(own.into_iter().chain(others).collect())
        };
        let is_empty = self.named.is_empty();
        // What is no method no request has; rules that name nothing else are not among the others.
        let named = self.named.into_iter().filter_map(|(name, own)| {
            let method = Method::from_bytes(name.as_bytes()).ok()?;
            Some((method, with_others(own)))
        });
        Methods {
            is_empty,
            named: named.collect(),
            others: Bits::of(self.others),
        }
    }
}

/// Rules by the host that they name, or by the end of it from a dot on.
#[derive(Debug)]
pub(super) struct Hosts {
    /// With the rules of every end that it has.
    exact: Names<Bits>,
    /// By an end that begins with a dot, with the rules of every shorter one.
    ends: Names<Bits>,
    longest_end: usize,
    /// Rules that ask nothing of the host that is indexed.
    pub(super) others: Bits,
}

impl Hosts {
    /// Whether no rule is indexed by its host.
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.ends.is_empty()
    }

    pub(super) fn find(&self, host: &str) -> Option<&Bits> {
        // All of it: hosts are short, and nearly none has one.
        let capitals = |any, byte: u8| any | byte.is_ascii_uppercase();
        if host.bytes().fold(false, capitals) {
            return self.find_in_lower_case(&host.to_ascii_lowercase());
        }
        self.find_in_lower_case(host)
    }

    fn find_in_lower_case(&self, host: &str) -> Option<&Bits> {
        self.exact.get(host).or_else(|| {
            if self.longest_end == 0 {
                return None;
            }
            dotted_ends(host)
                .filter(|end| end.len() <= self.longest_end)
                .find_map(|end| self.ends.get(end))
        })
    }
}

/// What a host ends with, from each dot on, the longest first.
fn dotted_ends(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter_map(|(at, _)| host.get(at..))
}

#[derive(Debug, Default)]
pub(super) struct HostsBuilder {
    exact: HashMap<Box<str>, Vec<Bit>>,
    ends: HashMap<Box<str>, Vec<Bit>>,
    others: Vec<Bit>,
}

impl HostsBuilder {
    pub(super) fn takes(clause: &Clause) -> bool {
        let indexed = |atom: &Atom| match atom {
            Atom::Host(Text::Exact(_)) => true,
            Atom::Host(Text::Suffix(text)) => text.starts_with('.'),
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
            let (names, text) = match atom {
                Atom::Host(Text::Exact(text)) => (&mut self.exact, text),
                Atom::Host(Text::Suffix(text)) => (&mut self.ends, text),
                _ => continue,
            };
            let name = text.to_ascii_lowercase().into_boxed_str();
            names.entry(name).or_default().push(bit);
        }
    }

    pub(super) fn build(self) -> Hosts {
        let with_ends = |name: &str, own: &[Bit]| {
            let ends = dotted_ends(name).filter(|end| *end != name);
            let inherited = ends.filter_map(|end| self.ends.get(end)).flatten();
            Bits::of(own.iter().chain(inherited).copied().collect())
        };
        let named = |names: &HashMap<Box<str>, Vec<Bit>>| {
            let each = names.iter();
            each.map(|(name, bits)| (name.clone(), with_ends(name, bits)))
                .collect()
        };
        // `.example` is the end of a host that is written so, too.
        let exact = self
            .exact
            .iter()
            .map(|(name, own)| {
                let whole = self.ends.get(name).into_iter().flatten();
                let own: Vec<Bit> = own.iter().chain(whole).copied().collect();
                (name.clone(), with_ends(name, &own))
            })
            .collect();
        Hosts {
            exact,
            ends: named(&self.ends),
            longest_end: self.ends.keys().map(|end| end.len()).max().unwrap_or(0),
            others: Bits::of(self.others),
        }
    }
}
