//! `cargo run --bin interop -- --listen 127.0.0.1:0 --keys DIR` starts one endpoint a layer, writes
//! `DIR/interop.json`, which says how to use them, and serves until it is killed. For testing only.
//! `--redis URL` counts budgets there, so that several of these share them; `--mtls` adds a port for
//! mutual TLS.
#![expect(clippy::print_stderr, reason = "it says how it is used")]

use std::{path::PathBuf, process::ExitCode};

use zt_examples::{Result, interop};

const USAGE: &str = "usage: interop [--listen ADDRESS] [--redis URL] [--mtls] --keys DIR";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut listen = "127.0.0.1:0".to_owned();
    let (mut keys, mut redis, mut mtls) = (None, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--mtls" {
            mtls = true;
            continue;
        }
        match (argument.as_str(), arguments.next()) {
            ("--listen", Some(value)) => listen = value,
            ("--keys", Some(value)) => keys = Some(PathBuf::from(value)),
            ("--redis", Some(value)) => redis = Some(value),
            _ => {
                eprintln!("{USAGE}");
                return Ok(ExitCode::from(2));
            }
        }
    }
    let Some(keys) = keys else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    interop::serve(listen.parse()?, &keys, redis.as_deref(), mtls).await?;
    Ok(ExitCode::SUCCESS)
}
