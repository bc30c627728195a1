"""Checks events, one a line on stdin, against OCSF 1.8.0; says what is wrong with each that is."""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

SCHEMA = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
VALIDATORS = {}


def validator(event):
    profiles = tuple(event["metadata"].get("profiles", []))
    key = (event["class_uid"], profiles)
    if key not in VALIDATORS:
        name = SCHEMA.lookup_class_name_from_uid(class_uid=key[0])
        schema = SCHEMA.get_class_schema(class_name=name, profiles=list(profiles))
        VALIDATORS[key] = Draft202012Validator(schema)
    return VALIDATORS[key]


for line in sys.stdin:
    event = json.loads(line)
    errors = [error.message for error in validator(event).iter_errors(event)]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        errors.append("type_uid does not follow from class and activity")
    print(json.dumps(errors), flush=True)
