//! The quickstart says what to try: one request that succeeds and one that fails.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::ask;

#[tokio::test]
async fn the_quickstart_does_what_it_prints() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
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
    assert_eq!(
        statuses,
        [
            (200, "-".to_owned()),
            (401, "credential-missing".to_owned())
        ]
    );
}

#[test]
fn the_quickstart_is_short() {
    let lines = include_str!("../../src/bin/quickstart.rs").lines().count();
    assert!(lines < 60, "{lines} lines");
}
