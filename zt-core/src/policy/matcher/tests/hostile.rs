//! Policies and paths that are made to take long.

use super::*;

/// Every way to write a template of so many segments, each a literal or a parameter: a path of the
/// literals matches all of them.
fn all_of(depth: usize) -> Vec<Rule> {
    (0..1_usize << depth)
        .map(|ways| {
            let segments: Vec<&str> = (0..depth)
                .map(|at| if ways >> at & 1 == 1 { "a" } else { "{x}" })
                .collect();
            allow(ways, [path(&format!("/{}", segments.join("/")))])
        })
        .collect()
}

#[test]
fn a_path_enters_each_node_at_most_once() {
    let (matcher, _) = matcher(all_of(10));
    let nodes = matcher.paths.len();
    assert_eq!(nodes, (1 << 11) - 1);
    for (path, bound) in [
        ("/a".repeat(10), nodes),
        // No longer than the templates, however long the path.
        ("/a".repeat(100_000), nodes),
        ("/b".repeat(100_000), 11),
        (format!("/{}", "a".repeat(100_000)), 2),
    ] {
        let entered = matcher.paths.entered(&path);
        assert!(entered <= bound, "{entered} of {nodes}");
    }
    assert_eq!(matcher.find(&on(&"/a".repeat(10))).allow, Some(0));
    let mut matched = Matched::new();
    matcher.paths.find(&"/a".repeat(10), &mut matched);
    assert_eq!(matched.len(), 1 << 10);
}

#[test]
fn a_template_that_is_very_deep_needs_no_stack() {
    let deep = "/{x}".repeat(200_000);
    let (matcher, _) = matcher(vec![
        allow(0, [path(&deep)]),
        allow(1, [path("/{rest..}")]),
        allow(2, [path(&format!("{}/b/{{rest..}}", "/a".repeat(100_000)))]),
    ]);
    assert_eq!(matcher.find(&on(&"/a".repeat(200_000))).allow, Some(0));
    assert_eq!(matcher.find(&on(&"/a".repeat(199_999))).allow, Some(1));
    drop(matcher);
}

#[test]
fn rests_at_every_depth_are_all_found() {
    let rules: Vec<Rule> = (0..1_000)
        .rev()
        .map(|depth| allow(depth, [path(&format!("{}/{{rest..}}", "/a".repeat(depth)))]))
        .collect();
    let (matcher, rules) = matcher(rules);
    for depth in [0, 1, 500, 999] {
        let path = format!("{}/", "/a".repeat(depth));
        let found = matcher.find(&on(&path)).allow.unwrap();
        assert_eq!(&*rules[found as usize].id, format!("rule-{depth}"));
    }
}

#[test]
fn a_host_of_many_labels_is_looked_up_by_the_ends_that_rules_name() {
    let ends = [".a.example", ".example"];
    let (matcher, _) = matcher(
        ends.iter()
            .enumerate()
            .map(|(at, end)| allow(at, [Atom::Host(Text::Suffix((*end).into()))]))
            .collect(),
    );
    let find = |host: &str| {
        matcher.find(&Facts {
            host: Some(host),
            ..on("/")
        })
    };
    assert_eq!(
        find(&format!("{}a.example", "x.".repeat(120))).allow,
        Some(0)
    );
    assert_eq!(
        find(&format!("{}b.example", "x.".repeat(120))).allow,
        Some(1)
    );
    assert_eq!(find("example").allow, None);
    assert_eq!(find(&"x.".repeat(120)).allow, None);
}

#[test]
fn a_rule_for_a_method_that_is_none_is_not_one_for_all_methods() {
    for method in ["", "GE T", "GET\r\n", "ГЕТ"] {
        let (matcher, _) = matcher(vec![allow(0, [Atom::Method(Text::exact(method))])]);
        assert_eq!(matcher.find(&on("/a")), Found::default(), "{method}");
    }
}
