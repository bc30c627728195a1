//! Istio's own files: each loads, or is refused by the name of what is not supported; and each
//! decides as the Envoy configuration does that Istio makes of it.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde_json::{Value as Json, json};

use super::{
    IstioOptions,
    golden::{self, ADDRESS, Filter, PORT, Rbac, json as json_of},
    httpbin, load_as,
    requests::{Dice, Pools, texts},
};
use crate::{
    decision::Code,
    policy::{CompiledPolicy, istio::yaml},
};

/// Requests for each comparison; `ZT_ISTIO_REQUESTS` says how many.
fn requests() -> usize {
    let asked = env::var("ZT_ISTIO_REQUESTS").ok();
    asked.map_or(2_000, |count| count.parse().unwrap())
}

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/istio"
    ));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

struct Case {
    name: String,
    input: String,
    filters: Vec<Filter>,
    options: IstioOptions,
}

/// All of `cases.json`, read as Istio reads them: what no policy is about is allowed.
fn cases() -> Vec<Case> {
    let Some(folder) = folder() else {
        return Vec::new();
    };
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let all: Json = serde_json::from_str(&read("cases.json")).unwrap();
    assert_eq!(
        all["workload"],
        json!({ "namespace": "foo", "labels": { "app": "httpbin", "version": "v1" } })
    );
    let list = all["cases"].as_array().unwrap();
    assert_eq!(list.len(), 10);
    let case = |case: &Json| {
        let mut options = httpbin()
            .insecure_allow_without_policy()
            .port(PORT)
            .address(ADDRESS.into());
        if let Some(domain) = case["trustDomain"].as_str() {
            options = options.trust_domain(domain);
        }
        for alias in texts(&case["aliases"]) {
            options = options.trust_domain_alias(alias);
        }
        // Their methods are none of HTTP: brackets are no part of a token.
        let plain = |text: String| match case["name"].as_str() {
            Some("trust-domain-one-alias") => ["0", "1"].iter().fold(text, |text, digit| {
                text.replace(&format!(r"\[{digit}\]"), &format!("-{digit}"))
                    .replace(&format!("[{digit}]"), &format!("-{digit}"))
            }),
            _ => text,
        };
        Case {
            name: case["name"].as_str().unwrap().into(),
            input: plain(read(case["input"].as_str().unwrap())),
            filters: texts(&case["outputs"])
                .iter()
                .filter_map(|file| golden::read(file, &plain(read(file))))
                .collect(),
            options,
        }
    };
    list.iter().map(case).collect()
}

fn policies(text: &str) -> Vec<Json> {
    let nodes = yaml::read(&"in.yaml".into(), text).unwrap();
    nodes.iter().map(json_of).collect()
}

/// YAML is a superset of JSON.
fn written(policies: &[Json]) -> String {
    let documents: Vec<String> = policies.iter().map(Json::to_string).collect();
    documents.join("\n---\n")
}

/// What was compared: permits and denials.
#[derive(Debug, Default, Clone, Copy)]
struct Compared {
    permits: usize,
    denials: usize,
    malformed: usize,
}

fn compare(
    name: &str,
    policy: &CompiledPolicy,
    filters: &[Filter],
    pools: &Pools,
    count: usize,
    dice: &mut Dice,
) -> Compared {
    let mut compared = Compared::default();
    for _ in 0..count {
        let ask = pools.ask(dice);
        let answer = ask.put_to(policy);
        if answer == Err(Code::RequestMalformed) {
            compared.malformed += 1;
            continue;
        }
        let expected = golden::allows(filters, &ask);
        assert_eq!(answer.is_ok(), expected, "{name}: {answer:?} for {ask:#?}");
        match expected {
            true => compared.permits += 1,
            false => compared.denials += 1,
        }
    }
    compared
}

#[test]
fn every_vector_file_loads_or_is_refused_by_the_name_of_what_is_not_supported() {
    for case in cases() {
        let refused: &[&str] = match &*case.name {
            "allow-full-rule" => &[
                ":75:16: `connection.sni` is not known here",
                ":78:16: `experimental.envoy.filters.a.b[c]` is experimental",
            ],
            "custom-http-provider" => &[
                ":9:11: the action CUSTOM asks `default`",
                ":27:11: the action CUSTOM asks `default`",
            ],
            _ => &[],
        };
        match load_as(&case.input, &case.options) {
            Ok(_) => assert!(refused.is_empty(), "{}", case.name),
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                assert_eq!(errors.len(), refused.len(), "{}: {errors:?}", case.name);
                for (error, refused) in errors.iter().zip(refused) {
                    assert!(error.contains(refused), "{error}");
                }
            }
        }
    }
}

#[test]
fn every_vector_file_decides_as_istio_does() {
    for mut case in cases() {
        match &*case.name {
            "allow-full-rule" => without_unknown(&mut case),
            "custom-http-provider" => {
                case.options = case.options.insecure_without_provider("default");
            }
            _ => {}
        }
        let policy = load_as(&case.input, &case.options).unwrap();
        let pools = Pools::of(&policies(&case.input));
        let mut dice = Dice::new(8);
        let count = requests();
        let compared = compare(&case.name, &policy, &case.filters, &pools, count, &mut dice);
        println!("{}: {compared:?}", case.name);
        let one_sided = match &*case.name {
            // They allow everything.
            "allow-empty-rule" | "audit-full-rule" | "custom-http-provider" | "dry-run-allow" => {
                compared.denials == 0
            }
            // Every path is in `notPaths: ["*"]`.
            "allow-path" => compared.permits == 0,
            _ => compared.permits * 50 > count && compared.denials * 50 > count,
        };
        assert!(one_sided, "{}: {compared:?}", case.name);
    }
}

/// Takes what cannot be known out of both sides of `allow-full-rule`.
fn without_unknown(case: &mut Case) {
    let mut policies = policies(&case.input);
    let when = policies[0]["spec"]["rules"][1]["when"]
        .as_array_mut()
        .unwrap();
    let keys = ["connection.sni", "experimental.envoy.filters.a.b[c]"];
    when.retain(|when| !keys.contains(&when["key"].as_str().unwrap()));
    case.input = written(&policies);
    let permissions = &mut case.filters[0].policies[1].permissions[0]["andRules"]["rules"];
    let permissions = permissions.as_array_mut().unwrap();
    assert_eq!(permissions.len(), 16);
    permissions.truncate(12);
}

/// The lists of the second rule of `allow-full-rule`, in the order in which Istio writes them.
const OPERATION: [&str; 4] = ["hosts", "methods", "paths", "ports"];
const ABOUT_DESTINATION: [&str; 2] = ["destination.ip", "destination.port"];
const SOURCE: [&str; 5] = [
    "principals",
    "requestPrincipals",
    "namespaces",
    "remoteIpBlocks",
    "ipBlocks",
];

/// One list of values, and where Istio's matcher of it stands.
struct Facet {
    /// `source`, `operation`, or the key of a condition.
    inside: String,
    list: String,
    values: Vec<String>,
    matcher: Json,
    is_principal: bool,
}

fn facets(case: &Case) -> Vec<Facet> {
    let policy = &policies(&case.input)[0];
    let rule = &policy["spec"]["rules"][1];
    let rbac = &case.filters[0].policies[1];
    let permissions = rbac.permissions[0]["andRules"]["rules"].as_array().unwrap();
    let principals = rbac.principals[0]["andIds"]["ids"].as_array().unwrap();
    let (source, operation) = (&rule["from"][0]["source"], &rule["to"][0]["operation"]);
    let when = rule["when"].as_array().unwrap();
    let condition = |when: &Json| when["key"].as_str().unwrap().to_owned();

    let mut lists: Vec<(String, String, Vec<String>, bool)> = Vec::new();
    let mut both = |inside: &str, name: &str, of: &Json, is_principal: bool| {
        let mut rest = name.chars();
        let capital = rest.next().unwrap().to_ascii_uppercase();
        for name in [name.to_owned(), format!("not{capital}{}", rest.as_str())] {
            let values = texts(&of[&name]);
            lists.push((inside.to_owned(), name, values, is_principal));
        }
    };
    for name in OPERATION {
        both("operation", name, operation, false);
    }
    for when in when {
        if ABOUT_DESTINATION.contains(&&*condition(when)) {
            both(&condition(when), "values", when, false);
        }
    }
    for name in SOURCE {
        both("source", name, source, true);
    }
    for when in when {
        if !ABOUT_DESTINATION.contains(&&*condition(when)) {
            both(&condition(when), "values", when, true);
        }
    }
    assert_eq!(lists.len(), permissions.len() + principals.len());
    lists
        .into_iter()
        .zip(permissions.iter().chain(principals))
        .map(|((inside, list, values, is_principal), matcher)| Facet {
            inside,
            list,
            values,
            matcher: matcher.clone(),
            is_principal,
        })
        .collect()
}

/// Leaves of a matcher only the values at `kept`.
fn narrowed(matcher: &Json, kept: &[usize]) -> Json {
    let pick = |list: &Json| -> Json {
        let list = list.as_array().unwrap();
        kept.iter().map(|at| list[*at].clone()).collect()
    };
    let (kind, inner) = matcher.as_object().unwrap().iter().next().unwrap();
    match &**kind {
        "notRule" | "notId" => json!({ kind: narrowed(inner, kept) }),
        "orRules" => json!({ kind: { "rules": pick(&inner["rules"]) } }),
        "orIds" => json!({ kind: { "ids": pick(&inner["ids"]) } }),
        "metadata" => {
            let mut matcher = matcher.clone();
            let both = &mut matcher["metadata"]["value"]["orMatch"]["valueMatchers"];
            for list in [
                "/0/listMatch/oneOf/orMatch/valueMatchers",
                "/1/orMatch/valueMatchers",
            ] {
                let list = both.pointer_mut(list).unwrap();
                *list = pick(list);
            }
            matcher
        }
        other => panic!("{other}"),
    }
}

/// Some of the lists and some of their values: a policy, and what Istio makes of it.
fn variant(facets: &[Facet], action: &str, dice: &mut Dice) -> (Json, Filter) {
    let (mut source, mut operation) = (json!({}), json!({}));
    let mut conditions: BTreeMap<&str, Json> = BTreeMap::new();
    let (mut permissions, mut principals) = (Vec::new(), Vec::new());
    for _ in 0..=dice.below(3) {
        let facet = dice.one(facets);
        let kept: Vec<usize> = (0..facet.values.len())
            .filter(|_| dice.once_in(2))
            .collect();
        let values: Vec<&String> = kept.iter().map(|at| &facet.values[*at]).collect();
        if values.is_empty() {
            continue;
        }
        let inside = match &*facet.inside {
            "source" => &mut source,
            "operation" => &mut operation,
            key => conditions
                .entry(key)
                .or_insert_with(|| json!({ "key": key })),
        };
        if !inside[&facet.list].is_null() {
            continue;
        }
        inside[&facet.list] = json!(values);
        match facet.is_principal {
            true => principals.push(narrowed(&facet.matcher, &kept)),
            false => permissions.push(narrowed(&facet.matcher, &kept)),
        }
    }
    let mut rule = json!({});
    if source != json!({}) {
        rule["from"] = json!([{ "source": source }]);
    }
    if operation != json!({}) {
        rule["to"] = json!([{ "operation": operation }]);
    }
    if !conditions.is_empty() {
        rule["when"] = conditions.into_values().collect();
    }
    let policy = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": { "name": "variant", "namespace": "foo" },
        "spec": { "action": action, "rules": [rule] },
    });
    let filter = Filter {
        action: action.into(),
        policies: vec![Rbac {
            permissions: vec![json!({ "andRules": { "rules": permissions } })],
            principals: vec![json!({ "andIds": { "ids": principals } })],
        }],
    };
    (policy, filter)
}

/// The full rule contradicts itself (`hosts: ["*"]`, `notHosts: ["*"]`), so nothing matches it as a
/// whole; some of it at a time does.
#[test]
fn some_of_the_full_rule_at_a_time_decides_as_istio_does() {
    let Some(mut case) = cases()
        .into_iter()
        .find(|case| case.name == "allow-full-rule")
    else {
        return;
    };
    without_unknown(&mut case);
    let facets = facets(&case);
    let pools = Pools::of(&policies(&case.input));
    let mut dice = Dice::new(88);
    let mut total = Compared::default();
    const EACH: usize = 25;
    for at in 0..requests().div_ceil(EACH) * 2 {
        let action = if at % 2 == 0 { "ALLOW" } else { "DENY" };
        let (policy, filter) = variant(&facets, action, &mut dice);
        let text = written(&[policy]);
        let policy =
            load_as(&text, &case.options).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let compared = compare(&text, &policy, &[filter], &pools, EACH, &mut dice);
        total.permits += compared.permits;
        total.denials += compared.denials;
        total.malformed += compared.malformed;
    }
    println!("{total:?}");
    // The rule's methods are in small letters, which are malformed where a part of it names none of them.
    let enough = requests() / 8;
    assert!(
        total.permits > enough && total.denials > enough,
        "{total:?}"
    );
}

/// That a difference would be found: the first filter of the output is turned around.
#[test]
#[should_panic(expected = "deny-and-allow: ")]
fn a_difference_is_found() {
    let mut cases = cases().into_iter();
    let Some(mut case) = cases.find(|case| case.name == "deny-and-allow") else {
        panic!("deny-and-allow: is not there");
    };
    case.filters[0].action = "ALLOW".into();
    let policy = load_as(&case.input, &case.options).unwrap();
    let pools = Pools::of(&policies(&case.input));
    compare(
        &case.name,
        &policy,
        &case.filters,
        &pools,
        1_000,
        &mut Dice::new(1),
    );
}
