//! The tour ends well, and badly as soon as one layer is left out.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use zt_examples::shop::Omit;

fn tour(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tour"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_tour_has_no_surprise() {
    let output = tour(&["--json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let requests = lines.iter().filter(|line| line["code"] != "fact").count();
    let attacks = lines.iter().filter(|line| line["attack"] == true).count();
    assert!(requests >= 100, "{requests} requests");
    assert!(attacks >= 80, "{attacks} attacks");
    assert!(lines.iter().all(|line| line["good"] == true));
    for (code, times) in [
        ("replayed", 2),
        ("signature-invalid", 10),
        ("budget-exhausted", 4),
        ("CertificateRequired", 1),
        ("CertificateRevoked", 1),
    ] {
        let told = lines.iter().filter(|line| line["code"] == code).count();
        assert!(told >= times, "{code}: {told}");
    }
}

#[test]
fn the_tour_fails_as_soon_as_one_layer_is_left_out() {
    // All at once: most of the time they wait.
    let running = Omit::ALL.map(|omit| {
        let child = Command::new(env!("CARGO_BIN_EXE_tour"))
            .args(["--leave-out", &format!("{omit:?}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        (omit, child)
    });
    for (omit, child) in running {
        let output = child.wait_with_output().unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "without {omit:?}:\n{table}");
        assert!(table.contains("SURPRISE"), "without {omit:?}:\n{table}");
    }
}
