//! The small servers say what to try: one request that succeeds and one that fails.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::ask;

/// What comes of the two requests that `server` prints.
async fn tried(server: &str) -> Vec<(u16, String)> {
    let mut server = Command::new(server).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let tries: Vec<String> = lines
        .filter(|line| line.starts_with("curl"))
        .take(2)
        .collect();
    let mut statuses = Vec::new();
    for line in &tries {
        let (address, rest) = line
            .split_once("http://")
            .unwrap()
            .1
            .split_once('/')
            .unwrap();
        let (path, header) = rest.split_once(" -H ").unwrap_or((rest, ""));
        let headers: Vec<&str> = [header.trim_matches('\'')]
            .into_iter()
            .filter(|h| !h.is_empty())
            .collect();
        let answer = ask(
            address.parse().unwrap(),
            &format!("GET /{path}"),
            &headers,
            "",
        )
        .await;
        statuses.push((answer.status, answer.code()));
    }
    server.kill().unwrap();
    server.wait().unwrap();
    statuses
}

fn statuses(refused: &str) -> Vec<(u16, String)> {
    vec![(200, "-".to_owned()), (401, refused.to_owned())]
}

#[tokio::test]
async fn the_quickstart_does_what_it_prints() {
    let tried = tried(env!("CARGO_BIN_EXE_quickstart")).await;
    assert_eq!(tried, statuses("credential-missing"));
}

#[tokio::test]
async fn the_resource_server_does_what_it_prints() {
    let tried = tried(env!("CARGO_BIN_EXE_resource_server")).await;
    assert_eq!(tried, statuses("credential-invalid"));
}

#[test]
fn they_are_short() {
    for (name, text) in [
        ("quickstart", include_str!("../../src/bin/quickstart.rs")),
        (
            "resource_server",
            include_str!("../../src/bin/resource_server.rs"),
        ),
    ] {
        let lines = text.lines().count();
        assert!(lines <= 60, "{name}: {lines} lines");
    }
}
