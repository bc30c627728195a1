//! What `--help` says.

use super::{COMMANDS, Command};

/// Of the program.
pub(super) fn program() -> String {
    let mut text = String::from(
        "zt-audit: reads and checks an audit log of zt

usage: zt-audit COMMAND [ARGUMENTS]

commands:
",
    );
    for command in COMMANDS {
        text.push_str(&format!("  {:<12} {}\n", command.name, command.about));
    }
    text.push_str(
        "
options, for every command:
  -h, --help               what the command does, its exit codes, examples
      --color WHEN         auto (default), always, never; NO_COLOR is respected
  -V, --version            the program's version

LOG is the folder of a log. Its keys are beside it in LOG.keys unless an option says otherwise.

exit codes:
  0  what was asked is so, or was done
  1  the log, or the proof, is not as it should be
  2  not all of it is signed, or its end is torn
  3  the question was not understood, or cannot be answered

examples:
  zt-audit verify audit --key audit.vkey
  zt-audit tail audit -f
",
    );
    text
}

/// Of a command.
pub(super) fn command(command: &Command) -> String {
    format!(
        "zt-audit {}: {}\n\n{}",
        command.name, command.about, command.help
    )
}
