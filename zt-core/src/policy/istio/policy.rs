//! One document: an AuthorizationPolicy.

use super::{
    IstioOptions,
    fields::{Fields, Problems},
    rule::{self, Setting},
    yaml::{Node, Place},
};
use crate::policy::model::{Clause, Effect};

/// What a policy says, as far as it concerns this workload.
pub(super) struct Policy {
    /// `namespace/name`.
    pub name: String,
    pub at: Place,
    pub action: Action,
    pub dry_run: bool,
    /// None where it is left out.
    pub rules: Vec<RuleText>,
}

/// A rule: its place and its alternatives.
pub(super) struct RuleText {
    pub at: Place,
    pub alternatives: Vec<Vec<Clause>>,
}

pub(super) enum Action {
    Decides(Effect),
    /// It is not for this workload, or decides nothing; why.
    LeftOut(String),
}

/// Reads a document; `None` where that cannot be said of what it is.
pub(super) fn read(node: Node, options: &IstioOptions, problems: &mut Problems) -> Option<Policy> {
    let at = node.at;
    let mut fields = Fields::of("AuthorizationPolicy", node, problems)?;
    check_kind(&mut fields, problems)?;
    let metadata = fields.map("metadata", problems);
    let Some(Metadata {
        name,
        namespace,
        dry_run,
    }) = metadata.and_then(|metadata| read_metadata(metadata, problems))
    else {
        problems.add(at, "a policy needs `metadata` with `name` and `namespace`");
        return None;
    };
    let spec = fields.take("spec");
    fields.ignore(&["status"]);
    fields.finish(&["apiVersion", "kind", "metadata", "spec"], problems);
    let left_out = |why: String| Policy {
        name: format!("{namespace}/{name}"),
        at,
        action: Action::LeftOut(why),
        dry_run,
        rules: Vec::new(),
    };
    if !options.is_in_namespace(&namespace) {
        return Some(left_out(format!(
            "it is for the namespace `{namespace}`, not for `{}`",
            options.namespace
        )));
    }
    let Some(spec) = spec else {
        problems.add_with_hint(at, "a policy needs a `spec`", "`spec: {}` allows nothing");
        return None;
    };
    let mut spec = Fields::of("spec", spec.value, problems)?;
    for key in ["targetRef", "targetRefs"] {
        if let Some(entry) = spec.take(key) {
            let message =
                format!("`{key}` is not supported: a policy is for workloads by `selector`");
            problems.add(entry.at, message);
        }
    }
    if let Some(why) = unselected(&mut spec, options, problems) {
        return Some(left_out(why));
    }
    let (effect, why_not) = read_action(&mut spec, options, problems)?;
    let rules = spec.list_or_none("rules", problems);
    spec.finish(&["selector", "action", "rules"], problems);
    let no_rules = rules.as_ref().is_none_or(Vec::is_empty);
    if effect == Effect::Deny && why_not.is_none() && no_rules {
        problems.add_with_hint(
            at,
            "a DENY policy without rules denies nothing",
            "an empty rule (`- {}`) is for every request",
        );
    }
    let setting = Setting {
        options,
        namespace: &namespace,
        effect,
    };
    let rules = rules
        .unwrap_or_default()
        .into_iter()
        .map(|node| RuleText {
            at: node.at,
            alternatives: rule::read(node, &setting, problems),
        })
        .collect();
    if let Some(why) = why_not {
        return Some(left_out(why));
    }
    Some(Policy {
        name: format!("{namespace}/{name}"),
        at,
        action: Action::Decides(effect),
        dry_run,
        rules,
    })
}

fn check_kind(fields: &mut Fields, problems: &mut Problems) -> Option<()> {
    for (key, known) in [
        (
            "apiVersion",
            &["security.istio.io/v1", "security.istio.io/v1beta1"][..],
        ),
        ("kind", &["AuthorizationPolicy"][..]),
    ] {
        let at = fields.at();
        let Some(word) = fields.text(key, problems) else {
            problems.add(at, format!("a policy needs `{key}`"));
            return None;
        };
        if !known.contains(&&*word.text) {
            problems.add(
                word.at,
                format!(
                    "`{key}` has to be `{}`, not `{}`",
                    known.join("` or `"),
                    word.text
                ),
            );
            return None;
        }
    }
    Some(())
}

struct Metadata {
    name: String,
    namespace: String,
    dry_run: bool,
}

fn read_metadata(mut fields: Fields, problems: &mut Problems) -> Option<Metadata> {
    let name = fields.text("name", problems);
    let namespace = fields.text("namespace", problems);
    let annotations = fields.map("annotations", problems);
    // What the cluster writes into it, and labels of the policy itself.
    fields.ignore(&[
        "labels",
        "uid",
        "generation",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "ownerReferences",
        "finalizers",
        "selfLink",
    ]);
    fields.finish(&["name", "namespace", "annotations", "labels"], problems);
    let mut dry_run = false;
    for (key, value) in annotations
        .map(|annotations| annotations.all_texts(problems))
        .unwrap_or_default()
    {
        if key.text != "istio.io/dry-run" {
            continue;
        }
        match &*value.text {
            "true" => dry_run = true,
            "false" => {}
            other => problems.add(
                value.at,
                format!("`istio.io/dry-run` is \"true\" or \"false\", not `{other}`"),
            ),
        }
    }
    let mut plain = |word: super::fields::Word| {
        // Rules are named after them.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if word.text.len() > 253 || !word.text.bytes().all(fits) {
            problems.add(word.at, format!("`{}` is no name of Kubernetes", word.text));
            return None;
        }
        Some(word.text)
    };
    let (name, namespace) = (name.and_then(&mut plain), namespace.and_then(&mut plain));
    Some(Metadata {
        name: name?,
        namespace: namespace?,
        dry_run,
    })
}

/// Why the selector is not for this workload.
fn unselected(
    spec: &mut Fields,
    options: &IstioOptions,
    problems: &mut Problems,
) -> Option<String> {
    let mut selector = spec.map("selector", problems)?;
    let labels = selector.map("matchLabels", problems);
    selector.finish(&["matchLabels"], problems);
    let mut missing = None;
    for (key, value) in labels?.all_texts(problems) {
        if key.text.is_empty() || key.text.contains('*') || value.text.contains('*') {
            problems.add(key.at, "labels have no `*`, and a key");
        }
        if options.labels.get(&*key.text).map(|label| &**label) != Some(&*value.text) {
            missing.get_or_insert(format!(
                "the workload has no label `{}: {}`",
                key.text, value.text
            ));
        }
    }
    missing
}

/// What its rules do; and why they do nothing after all.
fn read_action(
    spec: &mut Fields,
    options: &IstioOptions,
    problems: &mut Problems,
) -> Option<(Effect, Option<String>)> {
    let action = spec.text("action", problems);
    let provider = spec.take("provider");
    let provider_at = provider.as_ref().map(|entry| entry.at);
    let provider = provider.and_then(|entry| {
        let mut fields = Fields::of("provider", entry.value, problems)?;
        let name = fields.text("name", problems);
        fields.finish(&["name"], problems);
        name
    });
    let is_custom = action.as_ref().is_some_and(|word| word.text == "CUSTOM");
    if let Some(at) = provider_at.filter(|_| !is_custom) {
        problems.add(at, "`provider` is for the action CUSTOM");
    }
    let Some(action) = action else {
        return Some((Effect::Allow, None));
    };
    match &*action.text {
        "ALLOW" => Some((Effect::Allow, None)),
        "DENY" => Some((Effect::Deny, None)),
        "AUDIT" => Some((
            Effect::Deny,
            Some("AUDIT decides nothing; every decision is recorded anyway".to_owned()),
        )),
        "CUSTOM" => {
            match provider {
                Some(name) if options.without_providers.contains(&*name.text) => Some((
                    Effect::Deny,
                    Some(format!("something else asks the provider `{}`", name.text)),
                )),
                Some(name) => {
                    problems.add_with_hint(
                    name.at,
                    format!("the action CUSTOM asks `{}`, which is not asked here", name.text),
                    "write a `Policy` that asks it, and load this file `insecure_without_provider`",
                );
                    None
                }
                None => {
                    problems.add(
                        action.at,
                        "the action CUSTOM needs a `provider` with a `name`",
                    );
                    None
                }
            }
        }
        other => {
            problems.add(
                action.at,
                format!("`{other}` is no action: ALLOW, DENY, AUDIT, CUSTOM"),
            );
            None
        }
    }
}
