//! The policy that a command is about.

use std::{ffi::OsStr, fs, path::Path};

use serde_json::{Value, json};

use super::{
    Surroundings,
    arguments::{Arguments, shown},
    failure::Failure,
};
use crate::policy::{
    CompiledPolicy, DeclaredFacts, IstioOptions, PolicyErrors, PolicyOptions, text_of,
};

/// Options that say which policy it is, for every command.
pub(super) const OPTIONS: [&str; 11] = [
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
];

pub(super) const HELP: &str = "\
which policy:
      FILE                 a policy file of zt
      --environment NAME   where it runs, for a policy that has environments
      --istio FILE         instead of FILE: AuthorizationPolicies in YAML; may stand there several times
      --namespace NAME     the workload's, with --istio (default `default`)
      --label KEY=VALUE    of the workload, with --istio; may stand there several times
      --root-namespace, --port, --address, --trust-domain, --trust-domain-alias,
      --insecure-normalise-paths, --insecure-without-provider: as in `IstioOptions`
";

/// The policy, and how many of the arguments without a dash are its files.
pub(super) fn policy(
    arguments: &Arguments,
    around: &mut Surroundings<'_>,
) -> Result<(CompiledPolicy, usize), Failure> {
    let mut options = PolicyOptions::new();
    if let Some(name) = arguments.text("--environment")? {
        options = options.environment(name);
    }
    let istio: Vec<&OsStr> = arguments.all("--istio").collect();
    let (loaded, files) = if istio.is_empty() {
        let of_istio = OPTIONS.iter().skip(2);
        if let Some(name) = of_istio
            .copied()
            .find(|name| arguments.all(name).next().is_some())
        {
            return Err(arguments.usage(format!("`{name}` is for policies with `--istio`")));
        }
        let file = arguments.positional(0);
        let file = Path::new(file.ok_or_else(|| arguments.usage("it needs a policy FILE"))?);
        let options = DeclaredFacts::stand_in(options, &text(file)?);
        (CompiledPolicy::read(file, &options), 1)
    } else {
        (of_istio(arguments, istio, options)?, 0)
    };
    match loaded {
        Ok(policy) => Ok((policy, files)),
        Err(errors) => {
            if arguments.flag("--json") {
                around.say(true, "", &refused(&errors))?;
            }
            Err(Failure::refused(&errors))
        }
    }
}

/// `check --istio FILE FILE`: what stands behind are further files.
fn of_istio<'a>(
    arguments: &'a Arguments,
    mut files: Vec<&'a OsStr>,
    options: PolicyOptions,
) -> Result<Result<CompiledPolicy, PolicyErrors>, Failure> {
    if arguments.takes_more() {
        files.extend((0..arguments.positionals()).filter_map(|at| arguments.positional(at)));
    }
    let texts = files
        .iter()
        .map(|file| Ok((shown(file), text(Path::new(file))?)));
    let texts = texts.collect::<Result<Vec<_>, Failure>>()?;
    let mut istio = IstioOptions::new("default");
    for option in OPTIONS.iter().skip(2) {
        for value in arguments.texts(option)? {
            let name = option.trim_start_matches('-');
            istio = istio
                .set(name, value)
                .map_err(|message| arguments.usage(message))?;
        }
    }
    Ok(CompiledPolicy::from_istio(texts, &istio, &options))
}

/// What a file holds; it is no larger than a policy may be.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    let cannot = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("`{}` cannot be read: {why}", file.display()))
    };
    // One that is no file may have no end.
    let found = fs::metadata(file).map_err(|error| cannot(&error))?;
    if !found.is_file() {
        return Err(cannot(&"it is not a regular file"));
    }
    let text = text_of(file).map_err(|error| cannot(&error))?;
    Ok(text.as_ref().to_owned())
}

fn refused(errors: &PolicyErrors) -> Value {
    let errors: Vec<Value> = errors
        .iter()
        .map(|error| {
            json!({
                "file": error.file(),
                "line": error.line(),
                "column": error.column(),
                "message": error.message(),
                "hint": error.hint_text(),
            })
        })
        .collect();
    json!({ "sound": false, "errors": errors })
}
