//! The tour ends well, and badly as soon as one layer is left out.

use std::process::{Command, Output};

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
    assert!(requests >= 25, "{requests} requests");
    assert!(attacks >= 15, "{attacks} attacks");
    assert!(lines.iter().all(|line| line["good"] == true));
}

#[test]
fn the_tour_fails_as_soon_as_one_layer_is_left_out() {
    for omit in Omit::ALL {
        let output = tour(&["--leave-out", &format!("{omit:?}")]);
        let table = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "without {omit:?}:\n{table}");
        assert!(table.contains("SURPRISE"), "without {omit:?}:\n{table}");
    }
}
