//! What `--help` says.

use super::{COMMANDS, Command, load, question};

/// Of the program.
pub(super) fn program() -> String {
    let mut text = String::from(
        "zt-policy: checks, explains and reviews policies of zt

usage: zt-policy COMMAND [ARGUMENTS]

commands:
",
    );
    for command in COMMANDS {
        text.push_str(&format!("  {:<12} {}\n", command.name, command.about));
    }
    text.push_str(
        "
options, for every command:
  -h, --help               what the command does, its options, examples
  -V, --version            the program's version

exit codes:
  0  the policy is sound and its cases hold; the question was answered
  1  the policy is refused, or a case does not hold
  2  the command line was not understood, or a file cannot be read

examples:
  zt-policy check policy.toml --tests cases.toml
  zt-policy who-can policy.toml 'POST /charge'
",
    );
    text
}

/// Of a command.
pub(super) fn command(command: &Command) -> String {
    let mut text = format!(
        "zt-policy {}: {}\n\n{}",
        command.name, command.about, command.help
    );
    if command.spec.options.contains(&"--istio") {
        text.push('\n');
        text.push_str(load::HELP);
    }
    if command.spec.options.contains(&"--workload") {
        text.push('\n');
        text.push_str(question::HELP);
    }
    text
}
