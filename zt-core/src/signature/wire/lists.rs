//! The lists of `components.json` that must fail as a whole.

use super::*;

#[tokio::test]
async fn whole_lists_that_must_fail_do_over_both_versions() {
    let Some(vectors) = vectors("components.json") else {
        return;
    };
    let vectors = vectors["signatureParams"].as_array().unwrap();
    for transport in Transport::BOTH {
        for vector in vectors {
            refused(transport, vector).await;
        }
        println!("{}: {} lists", transport.name(), vectors.len());
    }
    assert_eq!(vectors.len(), 4);
}

async fn refused(transport: Transport, vector: &Value) {
    let (id, params) = (text(vector, "id"), text(vector, "signatureParams"));
    let sent = Sent::from_vector(&vector["message"]);
    let mut messages = vec![sent];
    if !messages[0]
        .headers
        .iter()
        .all(|(_, value)| value.is_ascii())
    {
        // The same in Latin-1.
        let mut latin = messages[0].clone();
        latin.headers.last_mut().unwrap().1 = b"caf\xe9".to_vec();
        messages.push(latin);
    }
    let first = params.trim_start_matches('(').split([' ', ')']).next();
    let covered = [first.unwrap().parse().unwrap()];
    let policy = SignaturePolicy::insecure_covering_only(covered).unwrap();
    let policy = policy.insecure_without_nonce();
    for message in messages {
        for (params, refusal) in [
            (params.to_owned(), "signature: it has no `keyid`".to_owned()),
            // All that a policy asks for.
            (
                format!("{params};keyid=\"wire\""),
                format!("signature: {}", reason(vector)),
            ),
        ] {
            let sent = sign(message.clone(), "", &params);
            let layer = layer(policy.clone(), vec![]);
            let arrived = deliver(transport, &sent, layer, at(1)).await.unwrap();
            arrived.outcome.invalid(refusal, id);
            let based = arrived.base("sig1", sent.url_scheme());
            assert_eq!(based, Err(reason(vector)), "{id}");
        }
    }
}
