//! `zt-policy explain`.

use super::{
    Command, Surroundings,
    arguments::{Arguments, Spec},
    failure::Failure,
    load, question, value,
};

pub(super) const COMMAND: Command = Command {
    name: "explain",
    about: "ask about one request, and say why the answer is what it is",
    help: "usage: zt-policy explain FILE REQUEST [OPTIONS]

REQUEST is a method and a target: 'POST /charge', 'POST https://pay.example/charge'. Says which rule
decided, which others matched, and which nearly did and why not. The exit code does not tell whether
it is permitted: the first line does, and `answer.permitted` of the JSON.

options:
      --json               one JSON object

examples:
  zt-policy explain policy.toml 'POST /charge' --workload spiffe://shop.example/orders \\
      --body '{\"amount\": 9999}'
  zt-policy explain policy.toml 'POST /refunds/7' --kind user --subject ada --role auditor \\
      --grant refunds.write
",
    spec: Spec {
        positionals: &["FILE", "REQUEST"],
        more: false,
        flags: &["--json"],
        options: question::ALL,
    },
    run,
};

fn run(arguments: &Arguments, around: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let (policy, files) = load::policy(arguments, around)?;
    let request = question::request(arguments, files, around)?;
    let question = question::read(arguments, request)?;
    let explanation = question::answered(policy.explain(&question))?.map_err(Failure::usage)?;
    around.say(
        arguments.flag("--json"),
        &explanation,
        &value(&explanation)?,
    )?;
    Ok(0)
}
