//! Conditions: whole Cedar policies among which a request has to find its own, beside Cedar itself
//! on all of them and casbin. What is timed is one decision of a request whose context is open and
//! whose body is there.

use std::{fmt::Write as _, hint::black_box, io::Write, path::PathBuf, sync::Arc};

use bytes::Bytes;
use casbin::{CoreApi as _, DefaultModel, Enforcer, MemoryAdapter, MgmtApi as _};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request as CedarRequest,
    RestrictedExpression as Value, Schema,
};
use http::{Request, header, request::Parts};
use zt_benches::{Bar, BenchError, Group, Kind, Options, Outcome, Report};
use zt_core::{
    authorize::{Access, Policy as _, Verdict},
    body::CollectedBody,
    context::SecurityContext,
    gate::{Settings, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
    policy::{CompiledPolicy, LivePolicy, PolicyOptions},
};

type Failed = Box<dyn std::error::Error + Send + Sync>;

const SIZES: [usize; 3] = [10, 100, 1_000];
const OURS: [&str; 3] = ["10 policies", "100 policies", "1,000 policies"];
const CEDAR: [&str; 3] = [
    "cedar-policy, 10 policies",
    "cedar-policy, 100 policies",
    "cedar-policy, 1,000 policies",
];
const CASBIN: [&str; 3] = [
    "casbin, 10 policies",
    "casbin, 100 policies",
    "casbin, 1,000 policies",
];
const NEW: &str = "1,000 policies, a new caller";
const FLOOR: &str = "the body, parsed";
const BODY: &[u8] = br#"{"amount":9999,"currency":"EUR","note":"two chairs"}"#;
/// Policies for one operation.
const EACH: usize = 5;

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let mut group = Group::new("conditions: POST where the body's amount is below a bound");
    group.function(Kind::Base, FLOOR, "serde_json::Value", || {
        serde_json::from_slice::<serde_json::Value>(black_box(BODY)).is_ok()
    });
    for (at, policies) in SIZES.into_iter().enumerate() {
        let named = |names: [&'static str; 3]| names.get(at).copied().unwrap_or_default();
        ours(&mut group, named(OURS), policies)?;
        cedar(&mut group, named(CEDAR), policies)?;
        casbin(&mut group, named(CASBIN), policies)?;
    }
    new_caller(&mut group, NEW, 1_000)?;
    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    for name in OURS {
        report.bar(Bar::new(
            format!("conditions: a decision, {name}"),
            report.nanos(6_000.0),
            measured.over(name, FLOOR)?,
        ));
    }
    Ok(())
}

/// Two that forbid anywhere, and five that permit for each operation.
fn cedar_text(policies: usize) -> String {
    let mut text = String::from(
        "@id(\"suspended\") forbid(principal, action, resource) when { principal.roles.contains(\"suspended\") };\n\
         @id(\"night\") forbid(principal, action, resource) when { context.request.method == \"TRACE\" };\n",
    );
    for policy in 0..policies - 2 {
        let (operation, bound) = (policy / EACH, 10_000 + policy);
        let _ = writeln!(
            text,
            "@id(\"p{policy}\") permit(principal is User, action == Action::\"op{operation}\", resource) \
             when {{ principal.roles.contains(\"clerk{}\") && context.body.amount < {bound} }};",
            policy % EACH,
        );
    }
    text
}

const fn operations(policies: usize) -> usize {
    (policies - 2).div_ceil(EACH)
}

/// Neither the first nor the last.
const fn chosen(policies: usize) -> usize {
    operations(policies) / 2
}

fn ours(group: &mut Group, name: &'static str, policies: usize) -> Outcome {
    let policy = policy(policies)?;
    let (parts, cx) = asked(policies)?;
    let decide = move || {
        let access = Access::new(&parts, &cx);
        matches!(
            policy.decide(black_box(&access)),
            Step::Now(Ok(Verdict::Permit(_)))
        )
    };
    claim(name, decide())?;
    group.function(Kind::Zt, name, "body, slice, Cedar", decide);
    Ok(())
}

fn policy(policies: usize) -> Result<CompiledPolicy, Failed> {
    let mut text = String::from(
        "policy = \"bench\"\nversion = \"1\"\n[cedar]\nfiles = [\"bench.cedar\"]\n\
         [[rule]]\nid = \"health\"\neffect = \"allow\"\nmethods = [\"GET\"]\npath = \"/health\"\n",
    );
    for operation in 0..operations(policies) {
        let _ = write!(
            text,
            "[operations.op{operation}]\nmethod = \"POST\"\npath = \"/service{operation}/orders/{{id}}\"\n\
             body = {{ amount = \"integer\" }}\n"
        );
    }
    let folder: PathBuf =
        std::env::temp_dir().join(format!("zt-bench-policy-{}-{policies}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("bench.toml"), text)?;
    std::fs::write(folder.join("bench.cedar"), cedar_text(policies))?;
    let live = LivePolicy::open(folder.join("bench.toml"), PolicyOptions::new());
    std::fs::remove_dir_all(&folder)?;
    Ok(live?.current())
}

fn asked(policies: usize) -> Result<(Parts, SecurityContext), Failed> {
    let path = format!("/service{}/orders/4711", chosen(policies));
    let request = Request::post(path)
        .header(header::HOST, "shop.example")
        .header(header::CONTENT_TYPE, "application/json");
    let (parts, ()) = request.body(())?.into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    cx.set_principal(Arc::new(ada()));
    cx.show_body(Some(CollectedBody::new(Bytes::from_static(BODY), None)));
    Ok((parts, cx))
}

fn ada() -> Principal {
    Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .issuer("https://id.shop.example")
        .roles(["clerk1", "reader"])
        .finish()
}

/// Nothing is kept with a principal that is made for each request; making it counts.
fn new_caller(group: &mut Group, name: &'static str, policies: usize) -> Outcome {
    let policy = policy(policies)?;
    let (parts, mut cx) = asked(policies)?;
    let mut decide = move || {
        cx.set_principal(Arc::new(ada()));
        let access = Access::new(&parts, &cx);
        matches!(
            policy.decide(black_box(&access)),
            Step::Now(Ok(Verdict::Permit(_)))
        )
    };
    claim(name, decide())?;
    group.function(Kind::Zt, name, "made for each request", decide);
    Ok(())
}

/// As a careful user would: policies, entities and the request are made before, and only the
/// decision is timed.
fn cedar(group: &mut Group, name: &'static str, policies: usize) -> Outcome {
    let (set, entities, request) = plain(policies)?;
    let authorizer = Authorizer::new();
    let decide = move || {
        let response = authorizer.is_authorized(black_box(&request), &set, &entities);
        response.decision() == Decision::Allow && response.diagnostics().errors().next().is_none()
    };
    claim(name, decide())?;
    group.function(Kind::Peer, name, "request made before", decide);
    Ok(())
}

fn plain(policies: usize) -> Result<(PolicySet, Entities, CedarRequest), Failed> {
    let set: PolicySet = cedar_text(policies).parse()?;
    let mut schema = String::from("entity User = { roles: Set<String> }; entity Route;\n");
    for operation in 0..operations(policies) {
        let _ = writeln!(
            schema,
            "action op{operation} appliesTo {{ principal: User, resource: Route, \
             context: {{ body: {{ amount: Long }}, request: {{ method: String }} }} }};"
        );
    }
    let (schema, _) = Schema::from_cedarschema_str(&schema)?;
    let ada: EntityUid = "User::\"ada\"".parse()?;
    let roles = ["clerk1", "reader"].map(|role| Value::new_string(role.to_owned()));
    let attributes = [("roles".to_owned(), Value::new_set(roles))].into();
    let entity = Entity::new(ada.clone(), attributes, Default::default())?;
    let entities = Entities::from_entities([entity], Some(&schema))?;
    let body = Value::new_record([("amount".to_owned(), Value::new_long(9_999))])?;
    let method = Value::new_string("POST".to_owned());
    let request = Value::new_record([("method".to_owned(), method)])?;
    let context =
        Context::from_pairs([("body".to_owned(), body), ("request".to_owned(), request)])?;
    let action: EntityUid = format!("Action::\"op{}\"", chosen(policies)).parse()?;
    let route: EntityUid = "Route::\"/orders\"".parse()?;
    let request = CedarRequest::new(ada, action, route, context, Some(&schema))?;
    Ok((set, entities, request))
}

/// The same rules as far as its language goes: role, operation and a bound on the amount.
fn casbin(group: &mut Group, name: &'static str, policies: usize) -> Outcome {
    #[derive(serde::Serialize, Clone, Debug, Hash)]
    struct Subject {
        role: &'static str,
        amount: i32,
    }
    const MODEL: &str = "[request_definition]\nr = sub, act\n[policy_definition]\np = role, act\n\
         [policy_effect]\ne = some(where (p.eft == allow))\n\
         [matchers]\nm = r.act == p.act && r.sub.role == p.role && r.sub.amount < 10000\n";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(BenchError::from)?;
    let enforcer = runtime.block_on(async {
        let model = DefaultModel::from_str(MODEL).await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        let rules = (0..policies)
            .map(|policy| {
                vec![
                    format!("clerk{}", policy % EACH),
                    format!("op{}", policy / EACH),
                ]
            })
            .collect();
        enforcer.add_policies(rules).await?;
        Ok::<_, casbin::Error>(enforcer)
    });
    let enforcer = enforcer.map_err(|error| Box::new(error) as Failed)?;
    let operation = format!("op{}", chosen(policies));
    let decide = move || {
        let subject = Subject {
            role: "clerk1",
            amount: 9_999,
        };
        enforcer
            .enforce((black_box(subject), operation.as_str()))
            .is_ok_and(|allowed| allowed)
    };
    claim(name, decide())?;
    group.function(Kind::Peer, name, "role, operation, bound", decide);
    Ok(())
}

fn claim(name: &str, permitted: bool) -> Outcome {
    if permitted {
        return Ok(());
    }
    Err(BenchError::Claim {
        candidate: name.to_owned(),
        expected: "a permit".to_owned(),
        found: "none".to_owned(),
    }
    .into())
}
