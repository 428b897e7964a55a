"""Checks calls of the AWS command line, [[section, [argument, ...]], ...] on standard input, against botocore's models.

Prints one line for each unknown service, operation or option, missing option or value, and invalid value or query.
"""

import json
import sys

import botocore.exceptions
import botocore.session
import jmespath
from botocore import xform_name

# Options of every command.
GLOBAL_OPTIONS = {"--query", "--output", "--cli-binary-format"}
# Commands with one argument that is not an option: the file for the answer.
WITH_OUTPUT_FILE = {("lambda", "invoke")}

session = botocore.session.get_session()


def find_errors(service, operation, *arguments):
    try:
        model = session.get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return [f"unknown service {service}"]
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [f"unknown operation {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = shape.members if shape else {}
    options = {"--" + xform_name(name, "-"): member for name, member in members.items()}
    known = set(options) | GLOBAL_OPTIONS
    # A boolean option is switched off by the prefix `no-`.
    switches = {name for name, member in options.items() if member.type_name == "boolean"}
    known |= {"--no-" + name[2:] for name in switches}

    errors, given, words = [], set(), list(arguments)
    files = 1 if (service, operation) in WITH_OUTPUT_FILE else 0
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            files -= 1
            if files < 0:
                errors.append(f"unexpected argument {word}")
            continue
        if word not in known:
            errors.append(f"unknown option {word}")
        given.add(word)
        if word in switches or word.startswith("--no-"):
            continue
        if not words or words[0].startswith("--"):
            errors.append(f"missing value of {word}")
            continue
        value = words.pop(0)
        member = options.get(word)
        while member is not None and member.type_name == "list" and words and not words[0].startswith("--"):
            words.pop(0)
        if member is not None and member.type_name == "string" and member.enum and value not in member.enum:
            errors.append(f"invalid value {value} of {word}")
        if word == "--query":
            try:
                jmespath.compile(value)
            except jmespath.exceptions.ParseError:
                errors.append(f"invalid query {value}")
    required = {"--" + xform_name(name, "-") for name in (shape.required_members if shape else [])}
    errors += [f"missing option {name}" for name in sorted(required - given)]
    return errors


for section, arguments in json.load(sys.stdin):
    for error in find_errors(*arguments):
        print(f"{section}: aws {' '.join(arguments)}: {error}")
