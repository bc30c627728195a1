//! Addresses in the text of a condition that no request can have.

use std::net::IpAddr;

use cedar_policy::Policy;
use ipnet::IpNet;
use serde_json::Value;

use super::{load::Load, place::Source};
use crate::policy::PolicyError;

impl Load<'_> {
    /// An IPv4 address in IPv6 form (RFC 4291 section 2.5.5.2) is read as the IPv4 address that it is,
    /// wherever it comes from; a literal of that form would never be equal to any, nor have any in
    /// its range.
    pub(super) fn check_addresses(&mut self, policy: &Policy, source: &Source<'_>) {
        // One that cannot be said in JSON is refused where it is made into what is run.
        let mut found = Vec::new();
        if let Ok(policy) = policy.to_json() {
            mapped(&policy, &mut found);
        }
        for (literal, usual) in found {
            let at = source.text.find(&format!("\"{literal}\""));
            let origin = at.map_or_else(|| source.start(), |at| source.at(at));
            let why = format!("no address is ever `{literal}`: each is read in its usual form");
            self.fail(PolicyError::new(&origin, why).hint(format!("write `ip(\"{usual}\")`")));
        }
    }
}

/// The literals `ip(..)` inside of it that are of that form, and what they should be.
fn mapped(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            let literal = members.get("ip").and_then(|arguments| arguments.get(0));
            let literal = literal.and_then(|literal| literal.get("Value")?.as_str());
            if let Some((literal, usual)) = literal.and_then(|text| Some((text, usual(text)?))) {
                found.push((literal.to_owned(), usual));
            }
            members.values().for_each(|value| mapped(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| mapped(value, found)),
        _ => {}
    }
}

/// How an IPv4 address, or a network of them, is written that stands there in IPv6 form.
fn usual(literal: &str) -> Option<String> {
    if let Ok(IpAddr::V6(address)) = literal.parse() {
        return Some(address.to_ipv4_mapped()?.to_string());
    }
    let Ok(IpNet::V6(network)) = literal.parse::<IpNet>() else {
        return None;
    };
    let bits = network.prefix_len().checked_sub(96)?;
    Some(format!("{}/{bits}", network.addr().to_ipv4_mapped()?))
}

#[cfg(test)]
mod tests {
    use super::usual;

    #[test]
    fn ipv4_in_ipv6_form_has_a_usual_form() {
        for (literal, wanted) in [
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("::FFFF:102:304", Some("1.2.3.4")),
            ("0:0:0:0:0:ffff:1.2.3.4", Some("1.2.3.4")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("1.2.3.4", None),
            ("10.0.0.0/8", None),
            ("::1", None),
            ("::1.2.3.4", None),
            ("2001:db8::/32", None),
            // It has others as well.
            ("::/0", None),
            ("x", None),
        ] {
            assert_eq!(usual(literal).as_deref(), wanted, "{literal}");
        }
    }
}
