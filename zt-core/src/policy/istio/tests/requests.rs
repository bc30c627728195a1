//! Random requests, made of the values that a policy names, so that rules match often.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde_json::{Map, Value as Json};

use super::Ask;

/// The same numbers each time.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What a policy names, by what it is.
#[derive(Debug, Default)]
pub(super) struct Pools {
    principals: Vec<String>,
    namespaces: Vec<String>,
    accounts: Vec<String>,
    domains: Vec<String>,
    request_principals: Vec<String>,
    hosts: Vec<String>,
    methods: Vec<String>,
    paths: Vec<String>,
    networks: Vec<String>,
    headers: Vec<(String, Vec<String>)>,
    claims: Vec<(Vec<String>, Vec<String>)>,
}

const WORDS: [&str; 8] = ["a", "ns", "sa", "x-y", "txt", "http", "z9", "not"];

impl Pools {
    /// Of policies as [`json`](super::golden::json) gives them.
    pub(super) fn of(policies: &[Json]) -> Self {
        let mut pools = Self::default();
        for policy in policies {
            for rule in list(&policy["spec"]["rules"]) {
                for from in list(&rule["from"]) {
                    pools.take(&from["source"]);
                }
                for to in list(&rule["to"]) {
                    pools.take(&to["operation"]);
                }
                for when in list(&rule["when"]) {
                    pools.take_condition(when);
                }
            }
        }
        pools
            .domains
            .extend(["td1", "foobar", "cluster.local"].map(String::from));
        pools
    }

    fn take(&mut self, lists: &Json) {
        for (key, values) in lists.as_object().unwrap() {
            let pool = match &*key.trim_start_matches("not").to_ascii_lowercase() {
                "principals" => &mut self.principals,
                "requestprincipals" => &mut self.request_principals,
                "namespaces" => &mut self.namespaces,
                "serviceaccounts" => &mut self.accounts,
                "trustdomains" => &mut self.domains,
                "ipblocks" | "remoteipblocks" => &mut self.networks,
                "hosts" => &mut self.hosts,
                "methods" => &mut self.methods,
                "paths" => &mut self.paths,
                "ports" => continue,
                other => panic!("{other}"),
            };
            pool.extend(texts(values));
        }
    }

    fn take_condition(&mut self, when: &Json) {
        let mut values = texts(&when["values"]);
        values.extend(texts(&when["notValues"]));
        let key = when["key"].as_str().unwrap();
        let pool = match key {
            "source.ip" | "remote.ip" => &mut self.networks,
            "source.principal" => &mut self.principals,
            "source.namespace" => &mut self.namespaces,
            "request.auth.principal" => &mut self.request_principals,
            "request.auth.audiences" => return self.claims.push((vec!["aud".into()], values)),
            "request.auth.presenter" => return self.claims.push((vec!["azp".into()], values)),
            "destination.ip" | "destination.port" => return,
            _ => {
                let inside = key.split_once('[').unwrap().1.trim_end_matches(']');
                let path: Vec<String> = inside.split("][").map(String::from).collect();
                if key.starts_with("request.headers") {
                    return self.headers.push((path.concat(), values));
                }
                return self.claims.push((path, values));
            }
        };
        pool.extend(values);
    }

    pub(super) fn ask(&self, dice: &mut Dice) -> Ask {
        // A dot at the end is no part of a host to zt.
        let mut host = instance(&self.hosts, dice);
        if host.ends_with('.') {
            host.push('x');
        }
        let host = if dice.once_in(2) {
            host.to_ascii_uppercase()
        } else {
            host
        };
        Ask {
            method: match dice.below(4) {
                0 => "GET".into(),
                // Small letters that no rule names are malformed.
                _ if self.methods.is_empty() => ["POST", "PUT", "HEAD"][dice.below(3)].into(),
                _ => instance(&self.methods, dice),
            },
            host: (!dice.once_in(20)).then_some(host),
            path: self.path(dice),
            headers: self.headers(dice),
            peer: (!dice.once_in(8)).then(|| self.peer(dice)),
            token: (!dice.once_in(6)).then(|| self.token(dice)),
            direct: (!dice.once_in(12)).then(|| self.address(dice)),
            remote: self.address(dice),
        }
    }

    fn path(&self, dice: &mut Dice) -> String {
        if self.paths.is_empty() || dice.once_in(6) {
            return format!("/{}", WORDS[dice.below(WORDS.len())]);
        }
        let pattern = dice.one(&self.paths).clone();
        let any = ["", "a", "a/b", "path"][dice.below(4)];
        let mut path = pattern
            .replace("{**}", any)
            .replace("{*}", dice.one::<&str>(&WORDS));
        if path.contains('*') {
            path = instance(&[path], dice);
        }
        match dice.below(8) {
            0 => path.push('/'),
            1 => path.push_str("/x"),
            2 => path = path.to_ascii_uppercase(),
            _ => {}
        }
        if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        }
    }

    fn peer(&self, dice: &mut Dice) -> String {
        let namespace = instance(&self.namespaces, dice);
        let account = instance(&self.accounts, dice);
        let (namespace, account) = match account.split_once('/') {
            Some((namespace, account)) => (namespace.to_owned(), account.to_owned()),
            None if dice.once_in(2) => ("foo".to_owned(), account),
            None => (namespace, account),
        };
        let domain = instance(&self.domains, dice);
        let principal = instance(&self.principals, dice);
        let between = ["", "", "", "k/v/"][dice.below(4)];
        let behind = ["", "", "", "/k/v"][dice.below(4)];
        match dice.below(4) {
            0 => format!("spiffe://{principal}"),
            1 => format!("spiffe://{principal}/ns/{namespace}/sa/{account}"),
            2 => format!("spiffe://{domain}/ns/{namespace}/{between}sa/{account}{behind}"),
            // So that an end is one after all.
            _ => format!("spiffe://{domain}/ns/{namespace}/{principal}"),
        }
    }

    fn token(&self, dice: &mut Dice) -> Json {
        let principal = instance(&self.request_principals, dice);
        let (issuer, subject) = match principal.rsplit_once('/') {
            Some((issuer, subject)) => (issuer.to_owned(), subject.to_owned()),
            None => match dice.below(3) {
                0 => (principal, "sub".to_owned()),
                1 => ("https://issuer.example".to_owned(), principal),
                _ => (principal, String::new()),
            },
        };
        let mut payload = Map::new();
        payload.insert("sub".into(), subject.into());
        if !dice.once_in(10) {
            payload.insert("iss".into(), issuer.into());
        }
        for (path, values) in &self.claims {
            if dice.once_in(5) {
                continue;
            }
            let value = match dice.below(6) {
                0 => Json::from(5),
                1 => Json::from(vec![instance(values, dice), instance(values, dice)]),
                2 => Json::Array(vec![5.into(), instance(values, dice).into()]),
                _ => Json::from(instance(values, dice)),
            };
            match &path[..] {
                // Issuers are texts, and the context's issuer is the token's.
                [name] if name == "iss" => {
                    payload.insert(name.clone(), instance(values, dice).into());
                }
                [name] => {
                    payload.insert(name.clone(), value);
                }
                [outer, inner] => {
                    payload.insert(outer.clone(), serde_json::json!({ inner: value }));
                }
                _ => unreachable!(),
            }
        }
        Json::Object(payload)
    }

    fn headers(&self, dice: &mut Dice) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for (name, values) in &self.headers {
            for _ in 0..[0, 1, 1, 1, 2][dice.below(5)] {
                let value = match dice.below(10) {
                    0 => String::new(),
                    _ => instance(values, dice),
                };
                headers.push((name.clone(), value));
            }
        }
        headers
    }

    fn address(&self, dice: &mut Dice) -> IpAddr {
        if self.networks.is_empty() || dice.once_in(3) {
            return Ipv4Addr::from(u32::try_from(dice.below(1 << 32)).unwrap()).into();
        }
        let text = dice.one(&self.networks);
        let network: IpNet = match text.parse() {
            Ok(network) => network,
            Err(_) => text.parse::<IpAddr>().unwrap().into(),
        };
        let IpNet::V4(network) = network else {
            unreachable!()
        };
        let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
        // Now and then the one behind.
        let size = usize::try_from(last - first).unwrap() + 2;
        Ipv4Addr::from(first + u32::try_from(dice.below(size)).unwrap()).into()
    }
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], |list| &list[..])
}

pub(super) fn texts(value: &Json) -> Vec<String> {
    let texts = list(value)
        .iter()
        .map(|text| text.as_str().unwrap().to_owned());
    texts.collect()
}

/// A text that one of the patterns matches, mostly.
fn instance(patterns: &[String], dice: &mut Dice) -> String {
    if patterns.is_empty() || dice.once_in(10) {
        return dice.one::<&str>(&WORDS).to_string();
    }
    let word = if dice.once_in(3) {
        ""
    } else {
        dice.one(&WORDS)
    };
    let pattern = dice.one(patterns).clone();
    if pattern == "*" {
        return dice.one::<&str>(&WORDS).to_string();
    }
    let mut text = match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => format!("{word}{end}"),
        (_, Some(beginning)) => format!("{beginning}{word}"),
        _ => pattern,
    };
    match dice.below(20) {
        0 => text.push('q'),
        1 => text.insert(0, 'q'),
        _ => {}
    }
    text
}
