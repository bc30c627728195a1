//! `zt-policy who-can` and `zt-policy what-can`.

use super::{
    Command, Surroundings,
    arguments::{Arguments, Spec},
    failure::Failure,
    load, question, value,
};
use crate::policy::Review;

pub(super) const WHO_CAN: Command = Command {
    name: "who-can",
    about: "say who may send a request, and by which rules",
    help: "usage: zt-policy who-can FILE REQUEST [OPTIONS]

REQUEST is a method and a target; where it has no host, it may be any. Lists every rule that may permit
it with what it asks of the caller, and every rule that may still deny it.

options:
      --json               one JSON object

examples:
  zt-policy who-can policy.toml 'POST /charge'
",
    spec: Spec {
        positionals: &["FILE", "REQUEST"],
        more: false,
        flags: &["--json"],
        options: &load::OPTIONS,
    },
    run: who_can,
};

pub(super) const WHAT_CAN: Command = Command {
    name: "what-can",
    about: "say what a caller may do, and by which rules",
    help: "usage: zt-policy what-can FILE [OPTIONS]

Lists every rule that may permit the caller something: methods, hosts, templates of paths, and what
else has to hold; and every rule that may still deny it.

options:
      --json               one JSON object

examples:
  zt-policy what-can policy.toml --workload spiffe://shop.example/orders
  zt-policy what-can policy.toml --kind user --issuer https://id.shop.example --subject ada --role clerk
",
    spec: Spec {
        positionals: &["FILE"],
        more: false,
        flags: &["--json"],
        options: question::ALL,
    },
    run: what_can,
};

fn who_can(arguments: &Arguments, around: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let (policy, files) = load::policy(arguments, around)?;
    let request = question::request(arguments, files, around)?;
    let request = request.ok_or_else(|| arguments.usage("it needs a REQUEST"))?;
    let review = policy.who_can(request).map_err(Failure::usage)?;
    say(&review, arguments, around)
}

fn what_can(arguments: &Arguments, around: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let (policy, files) = load::policy(arguments, around)?;
    if arguments.positionals() > files {
        return Err(arguments.usage("one argument is too many"));
    }
    // Which request it is does not matter.
    let question = question::read(arguments, Some("GET /"))?;
    let review = policy.what_can(&question).map_err(Failure::usage)?;
    say(&review, arguments, around)
}

fn say(
    review: &Review,
    arguments: &Arguments,
    around: &mut Surroundings<'_>,
) -> Result<u8, Failure> {
    around.say(arguments.flag("--json"), review, &value(review)?)?;
    Ok(0)
}
