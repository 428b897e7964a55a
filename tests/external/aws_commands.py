"""Reads calls of the AWS command line, [[section, [argument, ...]], ...], and prints what botocore's models of the
services do not know: services, operations, options, required options that are missing, and queries that do not parse.
"""

import json
import sys

import botocore.exceptions
import botocore.session
import jmespath
from botocore import xform_name

# What every command takes.
GLOBAL = {"--query", "--output", "--cli-binary-format"}
# What is written without a dash: the file that an answer goes to.
FILES = {("lambda", "invoke")}

session = botocore.session.get_session()


def problems(service, operation, *arguments):
    try:
        model = session.get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return [f"no service {service}"]
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [f"no operation {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = shape.members if shape else {}
    options = {"--" + xform_name(name, "-"): member for name, member in members.items()}
    known = set(options) | GLOBAL
    # A switch is on by its name, and off by `no-`.
    switches = {name for name, member in options.items() if member.type_name == "boolean"}
    known |= {"--no-" + name[2:] for name in switches}

    found, given, words = [], set(), list(arguments)
    files = 1 if (service, operation) in FILES else 0
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            files -= 1
            if files < 0:
                found.append(f"{word} belongs to no option")
            continue
        if word not in known:
            found.append(f"no option {word}")
        given.add(word)
        if word in switches or word.startswith("--no-"):
            continue
        if not words or words[0].startswith("--"):
            found.append(f"{word} without a value")
            continue
        value = words.pop(0)
        member = options.get(word)
        while member is not None and member.type_name == "list" and words and not words[0].startswith("--"):
            words.pop(0)
        if member is not None and member.type_name == "string" and member.enum and value not in member.enum:
            found.append(f"{word} is not {value}")
        if word == "--query":
            try:
                jmespath.compile(value)
            except jmespath.exceptions.ParseError:
                found.append(f"the query {value} does not parse")
    required = {"--" + xform_name(name, "-") for name in (shape.required_members if shape else [])}
    found += [f"without {name}" for name in sorted(required - given)]
    return found


for section, arguments in json.load(sys.stdin):
    for problem in problems(*arguments):
        print(f"{section}: aws {' '.join(arguments)}: {problem}")
