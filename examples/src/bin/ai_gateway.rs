//! `cargo run --bin ai-gateway`, and then (it prints them with addresses and keys filled in)
//!
//! ```sh
//! # succeeds, and its last event says what it cost
//! curl -N http://ADDRESS/v1/chat/completions -H "Authorization: Bearer $KEY" \
//!   --json '{"model": "small", "stream": true, "max_tokens": 40, "messages": [{"role": "user", "content": "say 40 words"}]}'
//! # fails with 402: no wait brings so much money
//! curl -i http://ADDRESS/v1/chat/completions -H "Authorization: Bearer $KEY" \
//!   --json '{"model": "large", "max_tokens": 100000000, "messages": [{"role": "user", "content": "everything"}]}'
//! ```
//!
//! `--redis URL` counts budgets there, so that several gateways share them; `--config FILE` has
//! other prices and limits than `examples/src/ai_gateway/gateway.toml`; `--listen ADDRESS`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it says what to try"
)]

use std::{process::ExitCode, time::Duration};

use zt_core::clock::SystemClock;
use zt_examples::{
    Result,
    ai_gateway::{Config, Gateway, Options},
};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let audit = std::env::temp_dir().join(format!("zt-ai-gateway-{}", std::process::id()));
    let mut options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        clock: SystemClock,
        audit: audit.clone(),
        config: Config::DEFAULT.parse()?,
        pace: Duration::from_millis(20),
        redis: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--listen", Some(value)) => options.listen = value.parse()?,
            ("--redis", Some(value)) => options.redis = Some(value),
            ("--config", Some(file)) => options.config = std::fs::read_to_string(file)?.parse()?,
            _ => {
                eprintln!("usage: ai-gateway [--listen ADDRESS] [--redis URL] [--config FILE]");
                return Ok(ExitCode::from(2));
            }
        }
    }
    let gateway = Gateway::start(options).await?;
    print_what_to_try(&gateway);
    println!("\nThe audit log is {}.", audit.display());
    gateway.wait().await;
    Ok(ExitCode::SUCCESS)
}

fn print_what_to_try(gateway: &Gateway) {
    let base = format!("http://{}", gateway.address);
    let ask = |key: &str, more: &str, words: &str| {
        let key = gateway.keys.token(key);
        println!(
            "curl -iN {base}/v1/chat/completions -H 'Authorization: Bearer {key}' --json '{{{more}, \
             \"messages\": [{{\"role\": \"user\", \"content\": \"{words}\"}}]}}'"
        );
    };
    println!("# What 40 words cost at most is held, and what they cost is charged.");
    let short = r#""model": "small", "stream": true, "max_tokens": 40"#;
    ask("acme/search/one", short, "say 40 words");
    println!("# 402: no wait brings so much money.");
    let long = r#""model": "large", "max_tokens": 100000000"#;
    ask("acme/search/one", long, "say everything");
    println!("# Nobody knows how long it gets: it is cut where the money ends.");
    let open = r#""model": "small", "stream": true"#;
    ask("acme/support/trial", open, "say 5000 words");
    println!("# How budgets stand, in a browser on this machine:");
    println!("{base}/#token={}", gateway.keys.token("viewer"));
    println!("# The administrator's token, good on this machine:");
    let admin = gateway.keys.token("admin");
    println!(
        "curl -i {base}/budgets/grant -H 'X-Service-Token: {admin}' --json '{{\"whose\": \
         \"acme/support/trial\", \"limit\": \"key-day\", \"name\": \"patience\", \"amount\": \
         \"0.001 USD\", \"minutes\": 60}}'"
    );
}
