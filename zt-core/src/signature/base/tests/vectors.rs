//! RFC 9421 as data.

use super::*;

#[test]
fn components_of_the_vectors_are_what_they_say() {
    let Some(vectors) = vectors("http-signatures/components.json") else {
        return;
    };
    // `;tr` is refused (RFC 9421 section 2.1.4): intermediaries may drop trailers.
    let trailers = ["2.1.4-2", "r-tr-on-header-only"];
    let (mut values, mut errors, mut seen_trailers) = (0, 0, Vec::new());
    for vector in vectors["components"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        let built = Built::from_vector(&vector["message"], vector.get("request"));
        let component = vector["component"].as_str().unwrap();
        let found = built.component_of(component, &types_of(vector));
        if trailers.contains(&id) {
            assert_eq!(found, Err(BaseError::Trailer), "{id}");
            seen_trailers.push(id);
        } else if let Some(value) = vector["value"].as_str() {
            assert_eq!(found.as_deref(), Ok(value), "{id}");
            let params = format!("({component})");
            if vector.get("fieldTypes").is_none() {
                let base = format!("{component}: {value}\n\"@signature-params\": {params}");
                assert_eq!(built.base(&params), Ok(base), "{id}");
            }
            values += 1;
        } else {
            assert_eq!(found, Err(reason(vector)), "{id}");
            errors += 1;
        }
    }
    assert_eq!(
        (values, errors, seen_trailers.as_slice()),
        (62, 17, trailers.as_slice())
    );
}

#[test]
fn whole_lists_of_the_vectors_that_must_fail_do() {
    let Some(vectors) = vectors("http-signatures/components.json") else {
        return;
    };
    let mut count = 0;
    for vector in vectors["signatureParams"].as_array().unwrap() {
        let mut built = Built::from_vector(&vector["message"], None);
        let params = vector["signatureParams"].as_str().unwrap();
        assert_eq!(built.base(params), Err(reason(vector)), "{}", vector["id"]);
        if let Some(value) = built.headers.get_mut("x-a") {
            // The same in Latin-1.
            if !value.as_bytes().is_ascii() {
                *value = HeaderValue::from_bytes(b"caf\xe9").unwrap();
                assert_eq!(built.base(params), Err(BaseError::NotAscii));
            }
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn fields_of_the_vectors_have_their_components_and_parameters_in_order() {
    let Some(vectors) = vectors("http-signatures/fields.json") else {
        return;
    };
    let mut count = 0;
    for vector in vectors["fields"].as_array().unwrap() {
        count += 1;
        let value = vector["value"].as_str().unwrap();
        let names = vector["components"].as_array().unwrap();
        let wanted: Vec<_> = names.iter().map(|name| name.as_str().unwrap()).collect();
        let parameters = vector["parameters"].as_array().unwrap();
        if vector["kind"] == "Accept-Signature" {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_SIGNATURE, value.try_into().unwrap());
            let asked = AcceptSignature::read(Fields::new(&headers), &LIMITS).unwrap();
            let [asked] = asked.as_slice() else { panic!() };
            assert_eq!(asked.label(), vector["label"]);
            assert_eq!(asked.components().len(), wanted.len());
            assert!(asked.components().iter().map(Component::as_str).eq(wanted));
            let found: Vec<_> = asked.parameters().collect();
            assert_eq!(found.len(), parameters.len());
            for parameter in parameters {
                let name = parameter[0].as_str().unwrap();
                assert!(found.contains(&(name, parameter[1].as_str())), "{name}");
            }
            continue;
        }
        let input = if vector["kind"] == "Signature-Input" {
            value.to_owned()
        } else {
            format!("sig1={value}")
        };
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_INPUT, input.as_str().try_into().unwrap());
        headers.insert(SIGNATURE, HeaderValue::from_static("sig1=::"));
        let mut scratch = Scratch::default();
        let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
        let candidate = signatures.unwrap().unwrap().candidates().next().unwrap();
        assert!(candidate.components().eq(wanted.iter().copied()));
        assert_eq!(format!("sig1={}", candidate.signature_params()), input);
        let params = candidate.params();
        for parameter in parameters {
            let (integer, text) = match parameter[0].as_str().unwrap() {
                "created" => (params.created, None),
                "expires" => (params.expires, None),
                "keyid" => (None, params.keyid),
                "alg" => (None, params.alg),
                other => panic!("{other}"),
            };
            assert_eq!(
                (integer, text),
                (parameter[1].as_i64(), parameter[1].as_str())
            );
        }
        let builder = InputBuilder::new(wanted.iter().map(|name| name.parse().unwrap())).unwrap();
        let builder = parameters.iter().fold(builder, |builder, parameter| {
            let (integer, text) = (parameter[1].as_i64(), parameter[1].as_str());
            match parameter[0].as_str().unwrap() {
                "created" => builder.created(integer.unwrap()),
                "expires" => builder.expires(integer.unwrap()),
                "keyid" => builder.keyid(text.unwrap()).unwrap(),
                _ => builder.alg(text.unwrap()).unwrap(),
            }
        });
        let built = builder.build();
        assert_eq!(built.signature_params(), candidate.signature_params());
        assert_eq!(built.signature_input("sig1").unwrap(), input);
    }
    assert_eq!(count, 3);
}

#[test]
fn bases_of_the_vectors_are_those_that_were_signed() {
    let Some(vectors) = vectors("http-signatures/signatures.json") else {
        return;
    };
    let cases = vectors["cases"].as_array().unwrap();
    // What was signed, for those where something was changed afterwards.
    let signed = |id: &str| {
        let id = match id {
            "4.3-client-after-proxy" => "4.3-client",
            "B.4-4" | "B.4-5" => "B.4-0",
            id => id,
        };
        let case = cases.iter().find(|case| case["id"] == id).unwrap();
        case["signatureBase"].as_str().unwrap()
    };
    let (mut valid, mut invalid) = (0, 0);
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let built = Built::from_vector(&case["message"], case.get("request"));
        let mut scratch = Scratch::default();
        let signatures = Signatures::read(built.fields(), &LIMITS, &mut scratch);
        let signatures = signatures.unwrap().unwrap();
        let mut candidates = signatures.candidates();
        let candidate = candidates.find(|one| one.label() == case["label"]).unwrap();
        assert_eq!(
            candidate.signature_params(),
            case["signatureParams"],
            "{id}"
        );
        let mut signature = String::new();
        bare::write_bytes(candidate.signature(), &mut signature);
        assert_eq!(signature.trim_matches(':'), case["signature"], "{id}");
        assert_eq!(candidate.params().keyid, case["keyid"].as_str(), "{id}");

        let mut base = Vec::new();
        let types = FieldTypes::default();
        candidate
            .write_base(&built.message(), &types, &mut base)
            .unwrap();
        let base = String::from_utf8(base).unwrap();
        assert_eq!(base, case["signatureBase"].as_str().unwrap(), "{id}");
        if case["expect"] == "valid" {
            valid += 1;
        } else {
            assert_ne!(base, signed(id), "{id}");
            invalid += 1;
        }

        // A signer that says the same writes the same.
        let components = candidate.components().map(|one| one.parse().unwrap());
        let mut builder = InputBuilder::new(components).unwrap();
        let params = candidate.params();
        for part in candidate
            .signature_params()
            .rsplit(')')
            .next()
            .unwrap()
            .split(';')
            .skip(1)
        {
            builder = match part.split_once('=').unwrap().0 {
                "created" => builder.created(params.created.unwrap()),
                "expires" => builder.expires(params.expires.unwrap()),
                "nonce" => builder.nonce(params.nonce.unwrap()).unwrap(),
                "alg" => builder.alg(params.alg.unwrap()).unwrap(),
                "keyid" => builder.keyid(params.keyid.unwrap()).unwrap(),
                "tag" => builder.tag(params.tag.unwrap()).unwrap(),
                other => panic!("{other}"),
            };
        }
        let mut again = Vec::new();
        let input = builder.build();
        input
            .write_base(&built.message(), &types, &mut again)
            .unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), base, "{id}");
    }
    assert_eq!((valid, invalid), (17, 3));
}

fn reason(vector: &Value) -> BaseError {
    match vector["error"].as_str().unwrap() {
        "field not in the message" => BaseError::FieldAbsent,
        "component names are lowercase" => BaseError::Name,
        "unknown derived component" => BaseError::UnknownDerived,
        "parameter not understood" => BaseError::UnknownParameter,
        "incompatible parameters" => BaseError::IncompatibleParameters,
        "req in a signature that targets a request" => BaseError::ReqInRequest,
        "@status names a response component" => BaseError::StatusInRequest,
        "request component without req in a response" => BaseError::RequestComponentInResponse,
        "member not in the dictionary" => BaseError::KeyAbsent,
        "field is not a dictionary" => BaseError::NotADictionary,
        "structured field type not known" => BaseError::FieldTypeUnknown,
        "value does not parse" => BaseError::FieldValue,
        "parameter not in the query" => BaseError::QueryParamAbsent,
        "parameter occurs more than once" => BaseError::QueryParamRepeated,
        "name is required" => BaseError::QueryParamWithoutName,
        "parameter does not apply" => BaseError::ParameterNotApplicable,
        "component identifier occurs twice" => BaseError::DuplicateComponent,
        "@signature-params must not be listed" => BaseError::SignatureParamsListed,
        "the base must be ASCII" => BaseError::NotAscii,
        other => panic!("{other}"),
    }
}
