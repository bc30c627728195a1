//! `zt-policy check`.

use std::path::Path;

use serde_json::json;

use super::{
    Command, Surroundings,
    arguments::{Arguments, Spec},
    failure::{Failure, REFUSED},
    load, question, value,
};
use crate::policy::PolicyTest;

pub(super) const COMMAND: Command = Command {
    name: "check",
    about: "load a policy as an application would, and ask its cases",
    help: "usage: zt-policy check FILE [OPTIONS]
       zt-policy check --istio FILE.. [OPTIONS]

Says what is wrong with a policy, each with its line; or that it is sound. With cases it asks them,
and prints the explanation of each that does not hold. Rules that decided no case are named.

options:
      --tests FILE         cases: `[[case]]` with `allows` or `denies`, and a question; may stand
                           there several times
      --json               one JSON object

examples:
  zt-policy check policy.toml --environment production --tests cases.toml
  zt-policy check --istio mesh.yaml --namespace shop --label app=orders
",
    spec: Spec {
        positionals: &["FILE"],
        more: true,
        flags: &["--json"],
        options: &[
            "--tests",
            "--environment",
            "--istio",
            "--namespace",
            "--root-namespace",
            "--label",
            "--port",
            "--address",
            "--trust-domain",
            "--trust-domain-alias",
            "--insecure-normalise-paths",
            "--insecure-without-provider",
        ],
    },
    run,
};

fn run(arguments: &Arguments, around: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let (policy, files) = load::policy(arguments, around)?;
    if files > 0 && arguments.positionals() > files {
        return Err(arguments.usage("it takes one policy FILE"));
    }
    let warnings: Vec<String> = policy.warnings().map(ToString::to_string).collect();
    for warning in &warnings {
        around.remark(format_args!("warning: {warning}"));
    }
    let mut test = PolicyTest::new(&policy);
    let mut asks = false;
    for file in arguments.all("--tests") {
        let file = Path::new(file);
        test = test.cases(&load::text(file)?).map_err(|error| {
            Failure::usage(format!(
                "{}:{}: {}",
                file.display(),
                error.line(),
                error.message()
            ))
        })?;
        asks = true;
    }
    let report = match asks {
        true => Some(question::answered(test.run())?),
        false => None,
    };
    let holds = report
        .as_ref()
        .is_none_or(|report| report.failed.is_empty());
    let rules = policy.document().rules.len();
    let mut text = format!(
        "`{}`, version `{}`, is sound: {rules} rules\n",
        policy.name(),
        policy.version()
    );
    if let Some(report) = &report {
        text.push_str(&report.to_string());
        for rule in &report.untested {
            text.push_str(&format!("no case is decided by the rule `{rule}`\n"));
        }
    }
    let json = json!({
        "sound": true,
        "policy": policy.name(),
        "version": policy.version(),
        "rules": rules,
        "warnings": warnings,
        "tests": value(&report)?,
    });
    let said = around.say(arguments.flag("--json"), text, &json);
    // Also where whoever reads has left before the end.
    match holds {
        true => said.map(|()| 0),
        false => Ok(REFUSED),
    }
}
