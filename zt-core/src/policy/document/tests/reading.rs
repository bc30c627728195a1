//! From files, and what bounds them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::policy::CompiledPolicy;

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-policy-{}-{next}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("inner")).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ALLOW: &str = "[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\n";

fn failure(path: &Path) -> String {
    match CompiledPolicy::read(path, &PolicyOptions::new()) {
        Ok(policy) => panic!("{policy:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_policy_is_named_like_its_file_and_has_the_version_of_its_text() {
    let folder = Folder::new();
    let read = |path| CompiledPolicy::read(path, &PolicyOptions::new()).unwrap();
    let first = read(folder.write("shop.toml", ALLOW));
    assert_eq!(first.name(), "shop");
    assert_eq!(first.version().len(), 16);
    let same = read(folder.write("inner/other.toml", ALLOW));
    assert_eq!(same.version(), first.version());
    let other = read(folder.write("shop.toml", format!("{ALLOW}\n")));
    assert_ne!(other.version(), first.version());
    let named = format!("policy = \"front\"\nversion = \"7\"\n{ALLOW}");
    let named = read(folder.write("shop.toml", named));
    assert_eq!((named.name(), named.version()), ("front", "7"));
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let folder = Folder::new();
    let missing = failure(&folder.0.join("none.toml"));
    assert!(missing.contains("none.toml: cannot be read: "), "{missing}");
    let a_folder = failure(&folder.0);
    assert!(a_folder.contains("it is not a file"), "{a_folder}");
    let broken = folder.write("broken.toml", b"# one\npolicy = \"\xff\"\n");
    assert!(failure(&broken).contains("line 2 is not UTF-8"));
    let large = folder.write("large.toml", vec![b'\n'; LARGEST_FILE + 1]);
    assert!(failure(&large).contains("larger than 16777216 bytes"));
}

#[cfg(unix)]
#[test]
fn cedar_files_lie_in_the_folder_also_where_they_are_links() {
    let folder = Folder::new();
    let outside = Folder::new();
    let secret = outside.write("secret.cedar", "permit(principal, action, resource);");
    std::os::unix::fs::symlink(&secret, folder.0.join("link.cedar")).unwrap();
    let main = format!("[cedar]\nfiles = [\"link.cedar\", \"none.cedar\"]\n{ALLOW}");
    let failure = failure(&folder.write("shop.toml", main));
    let lines: Vec<&str> = failure.lines().collect();
    assert_eq!(lines.len(), 2, "{failure}");
    assert!(
        lines[0].ends_with(
            "shop.toml:2:10: `link.cedar` cannot be read: it leads out of the policy's folder"
        ),
        "{failure}"
    );
    assert!(
        lines[1].contains(":2:24: `none.cedar` cannot be read: "),
        "{failure}"
    );
}

#[test]
fn a_text_names_no_files() {
    let text = format!("[cedar]\nfiles = [\"shop.cedar\"]\n{ALLOW}");
    let errors = CompiledPolicy::from_toml(&text, &PolicyOptions::new()).unwrap_err();
    let expected = "policy.toml:2:10: `shop.cedar` cannot be found from a text";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn the_version_tells_texts_apart_wherever_they_end() {
    let source = |file: &str, text: &str| SourceText {
        file: file.into(),
        text: text.into(),
    };
    let versions = [
        digest(&source("m", "ab"), &[]),
        digest(&source("m", "a"), &[source("b", "")]),
        digest(&source("m", "a"), &[source("", "b")]),
        digest(&source("m", "a"), &[source("b", "c"), source("d", "e")]),
        digest(&source("m", "a"), &[source("d", "e"), source("b", "c")]),
    ];
    for (at, version) in versions.iter().enumerate() {
        assert!(!versions[..at].contains(version));
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_parsed() {
    let text = "[".repeat(LARGEST_FILE + 1);
    let errors = errors(&text);
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].message(),
        "the file is larger than 16777216 bytes"
    );
}

#[test]
fn hostile_nesting_is_an_error_and_not_an_end() {
    let key = "a.".repeat(5_000) + "a = 1\n";
    let array = format!("a = {}1{}\n", "[".repeat(5_000), "]".repeat(5_000));
    let table = format!("a = {}1{}\n", "{ a = ".repeat(5_000), " }".repeat(5_000));
    let both = format!(
        "a = {}1{}\n",
        format!("{{ {}a = ", "a.".repeat(78)).repeat(78),
        " }".repeat(78)
    );
    for text in [key, array, table, both] {
        assert!(errors(&text).iter().all(|error| error.line() == 1));
    }
}

#[test]
fn what_stands_in_texts_and_comments_is_not_deep() {
    let dots = ".[{".repeat(1_000);
    let text = format!(
        "# {dots}\npolicy = \"{dots}\\\" {dots}\" # {dots}\nversion = '{dots}'\n\
         time_zone = \"\"\"{dots}\n\\\"\"\"{dots}\"\"\"\n[a]\nb = '''\n{dots}\n'''\n"
    );
    let source = SourceText {
        file: "policy.toml".into(),
        text: text.as_str().into(),
    };
    assert_eq!(Source::new(&source).too_deep(), None);
    let open = format!("{text}a = {}", "[".repeat(200));
    let source = SourceText {
        text: open.into(),
        ..source
    };
    assert!(Source::new(&source).too_deep().is_some());
    let many = format!("a = [{}]", "[1.5, { a.b = 2 }],\n".repeat(1_000));
    let source = SourceText {
        text: many.into(),
        ..source
    };
    assert_eq!(Source::new(&source).too_deep(), None);
}

#[test]
fn a_hundred_errors_are_told_and_a_million_are_counted() {
    let mut text = String::new();
    for at in 0..1_000 {
        text += &format!("[[rule]]\nid = \"{at}\"\neffect = \"alow\"\n");
    }
    let errors = errors(&text);
    assert_eq!(errors.len(), 201);
    assert_eq!(errors[200].message(), "800 more errors are not shown");
}

#[test]
fn ten_thousand_rules_are_read() {
    let mut text = String::from("[environments.production]\ntrust_domains = [\"shop.example\"]\n");
    for at in 0..10_000 {
        let caller = at % 300;
        text += &format!(
            "[[rule]]\nid = \"rule-{at}\"\neffect = \"allow\"\nmethods = [\"GET\"]\n\
             path = \"/area-{}/{{id}}/thing-{at}\"\n\
             caller = {{ workload = \"spiffe://shop.example/service-{caller}\" }}\n",
            at % 100,
        );
    }
    let options = PolicyOptions::new().environment("production");
    assert_eq!(read_toml(&text, &options).unwrap().rules.len(), 10_000);
}

/// A policy of `count` operations that all match one path, and as many rules: each for another operation,
/// or all for the one that is the least close.
fn overlapping(count: usize, hosts: bool, one: bool) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for at in 0..count {
        let segments: String = (0..10)
            .map(|bit| match (at >> bit) & 1 {
                0 => "/s".to_owned(),
                _ => format!("/{{p{bit}}}"),
            })
            .collect();
        writeln!(text, "[operations.o{at}]\npath = \"{segments}\"").unwrap();
        if hosts {
            writeln!(text, "hosts = [\"h{at}.example\", \"all.example\"]").unwrap();
        }
    }
    for at in 0..count {
        let operation = if one { count - 1 } else { at };
        writeln!(
            text,
            "[[rule]]\nid = \"r{at}\"\neffect = \"allow\"\noperation = \"o{operation}\"\n\
             caller = {{ workload = \"spiffe://s.example/w{at}\" }}"
        )
        .unwrap();
    }
    text
}

/// What each rule leaves out multiplies.
#[test]
fn a_file_whose_operations_all_overlap_is_refused_and_does_not_fill_the_memory() {
    for (count, hosts, one) in [(1_000, false, true), (150, true, false)] {
        let errors = errors(&overlapping(count, hosts, one));
        let [error] = &errors[..] else {
            panic!("{errors:?}")
        };
        let error = error.to_string();
        assert!(error.contains("overlap too much"), "{error}");
        assert!(error.contains("no more than 250000"), "{error}");
    }
    for (hosts, one) in [(false, false), (false, true), (true, false)] {
        let count = if hosts { 20 } else { 150 };
        let document = read_toml(&overlapping(count, hosts, one), &PolicyOptions::new());
        assert!(document.unwrap().rules.len() >= count);
    }
}

#[test]
fn operations_of_other_hosts_are_no_closer_ones() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for host in 0..40 {
        let mut add = |name: &str, path: &str| {
            let name = format!("h{host}-{name}");
            writeln!(
                text,
                "[operations.{name}]\npath = \"{path}\"\nhosts = [\"h{host}.example\"]\n\
                 [[rule]]\nid = \"{name}\"\neffect = \"allow\"\noperation = \"{name}\""
            )
            .unwrap();
        };
        add("all", "/{rest..}");
        for at in 0..25 {
            add(&format!("o{at}"), &format!("/o{at}/{{id}}"));
        }
    }
    let document = read_toml(&text, &PolicyOptions::new()).unwrap();
    assert_eq!(document.rules.len(), 40 * 26);
    let longest = document.rules.iter().map(|rule| rule.clauses.len()).max();
    // Host and path, and the host's own 25.
    assert_eq!(longest, Some(27));
}

#[test]
fn refuses_more_operations_than_it_looks_through() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for at in 0..=10_000 {
        writeln!(text, "[operations.o{at}]\npath = \"/o{at}\"").unwrap();
    }
    let errors = errors(&text);
    let first = errors[0].to_string();
    assert!(first.contains("no more than 10000 operations"), "{first}");
}
