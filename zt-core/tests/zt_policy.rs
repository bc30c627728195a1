//! The program `zt-policy`, run as a program.

#![expect(clippy::unwrap_used, reason = "tests panic where they fail")]

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

const SHOP: &str = r#"policy = "shop"
version = "7"

[operations.charge]
method = "POST"
path = "/charge"
body = { amount = "integer" }

[[rule]]
id = "orders-charge"
effect = "allow"
caller = { workload = "spiffe://shop.example/orders" }
operation = "charge"
when = "context.body.amount < 10000"

[[rule]]
id = "refunds"
effect = "allow"
caller = { kind = "user" }
methods = ["POST"]
path = "/refunds/{id}"
grant = "refunds.write"

[database]
name = "shop"
[database.roles.order_service]
workload = "spiffe://shop.example/orders"
tables.orders = ["select", "insert"]
"#;

const CASES: &str = r#"
[[case]]
name = "orders may charge a little"
allows = "orders-charge"
request = "POST /charge"
workload = "spiffe://shop.example/orders"
body = { amount = 9999 }

[[case]]
denies = true
request = "POST /charge"
workload = "spiffe://shop.example/orders"
body = { amount = 10000 }

[[case]]
denies = true
request = "POST /charge"
workload = "spiffe://shop.example/admin"
body = { amount = 1 }
"#;

const MESH: &str = r#"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: orders, namespace: shop }
spec:
  selector: { matchLabels: { app: orders } }
  rules:
  - from:
    - source: { principals: ["cluster.local/ns/shop/sa/gateway"] }
    to:
    - operation: { methods: ["GET"], paths: ["/orders"] }
"#;

/// A folder of its own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("zt-policy-{}-{next}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zt-policy"));
        command.current_dir(&self.0).args(arguments);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shop() -> Folder {
    Folder::new(&[
        ("policy.toml", SHOP),
        ("cases.toml", CASES),
        ("mesh.yaml", MESH),
    ])
}

#[test]
fn a_policy_that_is_not_sound_is_refused_with_its_lines() {
    let folder = shop();
    let text = SHOP.replace(
        "effect = \"allow\"\ncaller = { kind",
        "efect = \"allow\"\ncaller = { kind",
    );
    fs::write(folder.0.join("policy.toml"), &text).unwrap();
    let (code, out, err) = folder.run(&["check", "policy.toml"]);
    assert_eq!((code, &*out), (1, ""), "{err}");
    assert!(
        err.contains("policy.toml:18:") && err.contains("efect"),
        "{err}"
    );
    let (code, out, _) = folder.run(&["check", "policy.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["sound"]), (1, &serde_json::json!(false)));
    assert!(
        json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["line"] == 18),
        "{out}"
    );
    for command in [
        ["explain", "policy.toml", "GET /"],
        ["who-can", "policy.toml", "GET /"],
    ] {
        assert_eq!(folder.run(&command).0, 1);
    }
}

#[test]
fn a_sound_policy_whose_cases_hold_is_sound() {
    let folder = shop();
    let (code, out, err) = folder.run(&["check", "policy.toml", "--tests", "cases.toml"]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    assert!(
        out.starts_with("`shop`, version `7`, is sound: 2 rules\n3 of 3 cases hold\n"),
        "{out}"
    );
    assert!(
        out.contains("no case is decided by the rule `refunds`"),
        "{out}"
    );
    let (code, out, _) = folder.run(&["check", "--json", "policy.toml"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &json["sound"], &json["rules"]),
        (0, &true.into(), &2.into())
    );
}

#[test]
fn a_case_that_does_not_hold_is_explained_and_refuses() {
    let folder = shop();
    let widened = SHOP.replace("< 10000", "<= 10000");
    fs::write(folder.0.join("policy.toml"), widened).unwrap();
    let arguments = ["check", "policy.toml", "--tests", "cases.toml"];
    let (code, out, _) = folder.run(&arguments);
    assert_eq!(code, 1);
    assert!(
        out.contains("2 of 3 cases hold\n`line 9` should be denied\n"),
        "{out}"
    );
    assert!(
        out.contains("permitted by the rule `orders-charge`"),
        "{out}"
    );
}

#[test]
fn files_that_no_policy_has_are_refused_before_they_are_read_to_their_end() {
    let folder = shop();
    fs::write(
        folder.0.join("latin.toml"),
        b"policy = \"shop\"\n# caf\xe9\n",
    )
    .unwrap();
    let endless = fs::File::create(folder.0.join("endless.toml")).unwrap();
    endless.set_len(1 << 36).unwrap();
    for arguments in [
        &["check", "FILE"][..],
        &["check", "--istio", "FILE"],
        &["check", "policy.toml", "--tests", "FILE"],
        &["explain", "policy.toml", "--question", "FILE"],
    ] {
        for (file, why) in [
            ("latin.toml", "line 2 is not UTF-8"),
            ("endless.toml", "it is larger than 16777216 bytes"),
        ] {
            let arguments: Vec<&str> = arguments
                .iter()
                .map(|text| if *text == "FILE" { file } else { text })
                .collect();
            let (code, out, err) = folder.run(&arguments);
            assert_eq!((code, &*out), (2, ""), "{arguments:?}: {err}");
            let said = format!("zt-policy: `{file}` cannot be read: {why}\n");
            assert_eq!(err, said, "{arguments:?}");
        }
    }
}

#[test]
fn a_method_in_small_letters_is_nobodys() {
    let folder = shop();
    let (code, out, _) = folder.run(&["who-can", "policy.toml", "post /charge"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("is always refused: the method has small letters"),
        "{out}"
    );
    let (_, out, _) = folder.run(&["explain", "policy.toml", "post /charge"]);
    assert!(
        out.contains("denied, by no rule (request-malformed)"),
        "{out}"
    );
    assert!(!out.contains("matched"), "{out}");
}

#[test]
fn what_is_not_understood_or_cannot_be_read_is_said_to_be_so() {
    let folder = shop();
    fs::write(folder.0.join("none.toml"), "[[case]]\nrequest = \"GET /\"").unwrap();
    for (arguments, said) in [
        (&[][..], "usage: zt-policy COMMAND"),
        (&["chek"], "there is no command `chek`"),
        (&["--chek"], "there is no option `--chek`"),
        (&["check"], "it needs a policy FILE"),
        (&["check", "nowhere.toml"], "`nowhere.toml` cannot be read"),
        (&["check", "."], "it is not a regular file"),
        (
            &["check", "policy.toml", "cases.toml"],
            "it takes one policy FILE",
        ),
        (
            &["check", "policy.toml", "--test", "x"],
            "there is no option `--test`",
        ),
        (
            &["check", "policy.toml", "--tests"],
            "`--tests` needs a value",
        ),
        (
            &["check", "policy.toml", "--tests", "nowhere.toml"],
            "cannot be read",
        ),
        (
            &["check", "policy.toml", "--tests", "none.toml"],
            "none.toml:1: ",
        ),
        (
            &["check", "policy.toml", "--label", "a=b"],
            "`--label` is for policies with `--istio`",
        ),
        (
            &["check", "--istio", "mesh.yaml", "--label", "a"],
            "`label`",
        ),
        (&["explain", "policy.toml"], "missing field `request`"),
        (
            &["explain", "policy.toml", "POST"],
            "a request is a method and a target",
        ),
        (
            &["explain", "policy.toml", "GET /", "more"],
            "is one too many",
        ),
        (
            &["explain", "policy.toml", "GET /", "--kind", "admin"],
            "unknown variant `admin`",
        ),
        (
            &["explain", "policy.toml", "GET /", "--role", "x"],
            "the caller needs a kind",
        ),
        (
            &["explain", "policy.toml", "GET /", "--claims", "x"],
            "`--claims` is a JSON object",
        ),
        (
            &["explain", "policy.toml", "GET /", "--header", "x"],
            "`--header` is",
        ),
        (
            &["explain", "policy.toml", "GET /", "--attribute", "x=1"],
            "`--attribute` is",
        ),
        (
            &["explain", "policy.toml", "GET /", "--attribute", "d.x=1"],
            "no attributes `d`",
        ),
        (&["who-can", "policy.toml"], "it needs a REQUEST"),
        (&["what-can", "policy.toml", "GET /"], "is one too many"),
        (
            &["render-sql", "policy.toml"],
            "it needs `--dialect postgres`",
        ),
        (
            &["render-sql", "policy.toml", "--dialect", "oracle"],
            "there is no dialect `oracle`",
        ),
    ] {
        let (code, out, err) = folder.run(arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}

#[test]
fn requests_are_explained() {
    let folder = shop();
    let explain = |more: &[&str]| folder.run(&[&["explain", "policy.toml"], more].concat());
    let orders = ["POST /charge", "--workload", "spiffe://shop.example/orders"];
    let (code, out, _) = explain(&[&orders[..], &["--body", r#"{"amount": 9999}"#]].concat());
    assert_eq!(code, 0);
    assert!(
        out.starts_with("POST /charge: permitted by the rule `orders-charge`\n"),
        "{out}"
    );
    let (code, out, _) = explain(&[&orders[..], &["--body", r#"{"amount": 10000}"#]].concat());
    assert_eq!(code, 0);
    assert!(
        out.contains("    - when `context.body.amount < 10000` is false\n"),
        "{out}"
    );
    let ada = ["POST /refunds/7", "--kind", "user", "--subject", "ada"];
    let (_, out, _) = explain(&ada);
    assert!(
        out.contains("    - the grant `refunds.write` is not held\n"),
        "{out}"
    );
    let held = [&ada[..], &["--grant", "refunds.write", "--json"]].concat();
    let json: serde_json::Value = serde_json::from_str(&explain(&held).1).unwrap();
    assert_eq!(
        (&json["answer"]["permitted"], &json["answer"]["rule"]),
        (&true.into(), &"refunds".into())
    );
    fs::write(
        folder.0.join("question.toml"),
        "request = \"POST /refunds/7\"\nnow = 2026-01-01T00:00:00Z\ncaller = { kind = \"user\", subject = \"ada\" }",
    )
    .unwrap();
    let (code, out, err) = explain(&["--question", "question.toml", "--grant", "refunds.write"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("permitted by the rule `refunds`"), "{out}");
    // What comes from outside commands no terminal.
    let (_, out, err) = explain(&["GET /", "--workload", "spiffe://x/\u{1b}[31m\u{202e}"]);
    assert!(!(out + &err).contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn access_is_reviewed() {
    let folder = shop();
    let (code, out, _) = folder.run(&["who-can", "policy.toml", "POST /charge"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("where caller.workload is `spiffe://shop.example/orders`"),
        "{out}"
    );
    let arguments = [
        "what-can",
        "policy.toml",
        "--workload",
        "spiffe://shop.example/orders",
        "--json",
    ];
    let (code, out, _) = folder.run(&arguments);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(json["allow"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["allow"][0]["rule"], &json["allow"][0]["paths"][0]),
        (&"orders-charge".into(), &"/charge".into())
    );
}

#[test]
fn policies_of_istio_are_checked_and_asked() {
    let folder = shop();
    let mesh = [
        "--istio",
        "mesh.yaml",
        "--namespace",
        "shop",
        "--label",
        "app=orders",
    ];
    let (code, out, err) = folder.run(&[&["check"], &mesh[..]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("is sound"), "{out}");
    let gateway = [
        "GET /orders",
        "--workload",
        "spiffe://cluster.local/ns/shop/sa/gateway",
        "--host",
        "orders",
    ];
    let (_, out, _) = folder.run(&[&["explain"], &mesh[..], &gateway].concat());
    assert!(out.starts_with("GET /orders: permitted"), "{out}");
    fs::write(
        folder.0.join("typo.yaml"),
        MESH.replace("methods:", "method:")
            .replace("name: orders", "name: two"),
    )
    .unwrap();
    let more = [&["check"], &mesh[..], &["typo.yaml"]].concat();
    let (code, _, err) = folder.run(&more);
    assert_eq!(code, 1);
    assert!(err.contains("typo.yaml:11:"), "{err}");
}

#[test]
fn database_roles_are_rendered() {
    let folder = shop();
    for (dialect, line) in [
        (
            "postgres",
            "GRANT SELECT, INSERT ON TABLE \"public\".\"orders\" TO \"order_service\";",
        ),
        (
            "mysql",
            "GRANT SELECT, INSERT ON `shop`.`orders` TO `order_service`@`%`;",
        ),
    ] {
        let (code, out, err) = folder.run(&["render-sql", "policy.toml", "--dialect", dialect]);
        assert_eq!((code, &*err), (0, ""));
        assert!(out.lines().any(|one| one == line), "{out}");
    }
    let without = SHOP.split("[database]").next().unwrap();
    fs::write(folder.0.join("policy.toml"), without).unwrap();
    let (code, _, err) = folder.run(&["render-sql", "policy.toml", "--dialect", "mysql"]);
    assert_eq!(code, 1);
    assert!(err.contains("no section `[database]`"), "{err}");
}

#[test]
fn help_is_there_for_every_command() {
    let folder = shop();
    let (code, out, _) = folder.run(&["--help"]);
    assert_eq!(code, 0);
    for command in ["check", "explain", "who-can", "what-can", "render-sql"] {
        assert!(out.contains(command));
        let (code, own, _) = folder.run(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(own.starts_with(&format!("zt-policy {command}: ")), "{own}");
        assert_eq!(folder.run(&["help", command]).1, own);
    }
    assert_eq!(folder.run(&["--version"]).0, 0);
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let mut text = SHOP.to_owned();
    for at in 0..5_000 {
        text.push_str(&format!(
            "[database.roles.r{at}]\nworkload = \"spiffe://shop.example/orders\"\ntables.t = [\"select\"]\n"
        ));
    }
    let folder = Folder::new(&[("policy.toml", &text)]);
    let mut command = folder.command(&["render-sql", "policy.toml", "--dialect", "mysql"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn cases_that_do_not_hold_refuse_also_where_the_reader_has_left() {
    let case = "[[case]]\nallows = \"refunds\"\nrequest = \"GET /x\"\n";
    let cases = case.repeat(200);
    let folder = Folder::new(&[("policy.toml", SHOP), ("cases.toml", &cases)]);
    let (code, out, err) = folder.run(&["check", "policy.toml", "--tests", "cases.toml"]);
    assert_eq!(code, 1, "{err}");
    assert!(out.len() > 16 * 1024, "{}", out.len());
    for json in [&[][..], &["--json"]] {
        let arguments = [&["check", "policy.toml", "--tests", "cases.toml"], json].concat();
        let mut command = folder.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}
