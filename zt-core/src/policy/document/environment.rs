//! Environments: where this process runs, and where callers belong.

use std::{collections::HashMap, sync::Arc};

use toml::de::DeValue;

use super::{
    hint,
    pattern::{is_name, is_trust_domain, shared},
    request::all,
    source::Source,
    table::{Str, Table, Value},
};
use crate::policy::{
    PolicyOptions,
    model::{Atom, Clause, Effect, Text},
};

/// What the file says of environments.
#[derive(Default)]
pub(super) struct Environments {
    all: Vec<Environment>,
    /// The one that this process runs in.
    own: Option<usize>,
}

struct Environment {
    name: Arc<str>,
    trust_domains: Vec<Arc<str>>,
    issuers: Vec<Arc<str>>,
}

/// The callers that a rule is for.
#[derive(Clone)]
pub(super) enum Callers {
    /// From anywhere, and from nowhere.
    Anyone,
    /// Of these environments.
    Of(Vec<usize>),
}

impl Environments {
    pub(super) fn read(
        table: Option<Table<'_>>,
        source: &Source<'_>,
        options: &PolicyOptions,
    ) -> Self {
        let Some(table) = table else {
            return Self::default();
        };
        let mut found = Self::default();
        let mut taken: HashMap<(&str, &str), Arc<str>> = HashMap::new();
        for (name, value) in table.entries() {
            let Some(mut inner) = value.table(name.text) else {
                continue;
            };
            is_name(&name, "an environment");
            if name.text == "*" {
                name.refuse("`*` is no name of an environment");
            }
            let mut members = |key: &'static str, check: &dyn Fn(&Str<'_>) -> bool| {
                let texts = inner.get(key).and_then(|value| value.texts(key));
                let mut members = Vec::new();
                for text in texts.unwrap_or_default() {
                    if text.text.contains('*') {
                        text.refuse_with(
                            format!("`{}` has a star", text.text),
                            "what belongs to an environment is named to the letter",
                        );
                    } else if check(&text) {
                        match taken.insert((key, text.text), shared(&name)) {
                            Some(other) if *other != *name.text => text.refuse_with(
                                format!("`{}` belongs to `{other}` already", text.text),
                                "a caller belongs to one environment",
                            ),
                            _ => members.push(shared(&text)),
                        }
                    }
                }
                members
            };
            let trust_domains = members("trust_domains", &|text| is_trust_domain(text, text.text));
            let issuers = members("issuers", &|_| true);
            if inner.is_empty() {
                value.source.refuse_with(
                    &value.at,
                    format!("nobody belongs to the environment `{}`", name.text),
                    "say its `trust_domains` or `issuers`",
                );
            }
            inner.finish(&format!("the environment `{}`", name.text));
            found.all.push(Environment {
                name: shared(&name),
                trust_domains,
                issuers,
            });
        }
        let names = || found.all.iter().map(|one| &*one.name);
        match &options.environment {
            _ if found.all.is_empty() => {
                source.refuse(&table.at, "`environments` is empty");
            }
            Some(own) => {
                found.own = names().position(|name| name == &**own);
                if found.own.is_none() {
                    source.refuse_with(
                        &table.at,
                        format!("this process runs in `{own}`, which is not declared here"),
                        hint::among(own, names()),
                    );
                }
            }
            None => source.refuse_with(
                &table.at,
                "this policy has environments, and the process does not say in which it runs",
                hint::among("", names()),
            ),
        }
        found
    }

    fn find(&self, name: &Str<'_>) -> Option<usize> {
        let found = self.all.iter().position(|one| *one.name == *name.text);
        if found.is_none() {
            name.refuse_with(
                format!("the environment `{}` is not defined", name.text),
                hint::among(name.text, self.all.iter().map(|one| &*one.name)),
            );
        }
        found
    }

    /// A rule's own `environment`: whether it is in force here.
    pub(super) fn is_here(&self, value: Option<&Value<'_>>) -> bool {
        let Some(texts) = value.map(|value| value.texts("environment")) else {
            return true;
        };
        let found: Vec<_> = texts
            .unwrap_or_default()
            .iter()
            .map(|name| self.find(name))
            .collect();
        self.own.is_some() && found.contains(&self.own)
    }

    /// `caller.environment`, or what holds where nothing is said.
    pub(super) fn callers(&self, value: Option<&Value<'_>>, effect: Effect) -> Callers {
        let Some(value) = value else {
            return match (effect, self.own) {
                (Effect::Allow, Some(own)) => Callers::Of(vec![own]),
                _ => Callers::Anyone,
            };
        };
        if matches!(value.value, DeValue::String(text) if text == "*") {
            return Callers::Anyone;
        }
        let texts = value.texts("environment").unwrap_or_default();
        match all(texts.iter().map(|name| self.find(name))) {
            Some(places) if !places.is_empty() => Callers::Of(places),
            // It was refused.
            _ => Callers::Anyone,
        }
    }

    /// What callers have to be, in several ways.
    ///
    /// An allowing rule asks that all that is known of a caller belongs to the environment: a token
    /// of production over a workload of staging belongs to neither. A denying rule asks for one
    /// thing that does.
    pub(super) fn ways(&self, callers: &Callers, effect: Effect) -> Vec<Vec<Clause>> {
        let Callers::Of(places) = callers else {
            return vec![Vec::new()];
        };
        let ways = places.iter().filter_map(|place| {
            let one = self.all.get(*place)?;
            Some(match effect {
                Effect::Deny => vec![vec![Clause::any(
                    one.domain_atoms().chain(one.issuers_and_workloads()),
                )]],
                Effect::Allow => self.ways_into(*place, one),
            })
        });
        ways.flatten().collect()
    }

    fn ways_into(&self, place: usize, one: &Environment) -> Vec<Vec<Clause>> {
        let domain = || Clause::any(one.domain_atoms());
        let issuer = || Clause::any(one.issuers_and_workloads());
        let no_workload = Clause::none([Atom::TrustDomain(Text::Present)]);
        let no_issuer = Clause::none([Atom::Issuer(Text::Present)]);
        let others = || {
            let others = self.all.iter().enumerate();
            others
                .filter(move |(at, _)| *at != place)
                .map(|(_, one)| one)
        };
        let no_foreign_issuer = Clause::none(others().flat_map(Environment::issuers_and_workloads));
        let no_foreign_workload = Clause::none(others().flat_map(Environment::domain_atoms));
        let narrowed = |mut clauses: Vec<Clause>, last: Clause| {
            if !last.any.is_empty() {
                clauses.push(last);
            }
            clauses
        };
        match (one.trust_domains.is_empty(), one.issuers.is_empty()) {
            (false, true) => vec![narrowed(vec![domain()], no_foreign_issuer)],
            (true, _) => vec![narrowed(vec![issuer()], no_foreign_workload)],
            (false, false) => vec![
                vec![domain(), issuer()],
                vec![domain(), no_issuer],
                vec![no_workload, issuer()],
            ],
        }
    }
}

impl Environment {
    fn domain_atoms(&self) -> impl Iterator<Item = Atom> {
        self.trust_domains.iter().map(exactly(Atom::TrustDomain))
    }

    /// A workload may be the principal too; its issuer is then its trust domain.
    fn issuers_and_workloads(&self) -> impl Iterator<Item = Atom> {
        let issuers = self.issuers.iter().chain(&self.trust_domains);
        issuers.map(exactly(Atom::Issuer))
    }
}

fn exactly(atom: fn(Text) -> Atom) -> impl Fn(&Arc<str>) -> Atom {
    move |text| atom(Text::Exact(Arc::clone(text)))
}
