"""Expands the template on standard input, which is JSON, with AWS's own translator."""

import json
import sys

from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template refers to no managed policy, so the translator has none to look up."""

    def load(self):
        return {}


template = json.load(sys.stdin)
# `sam deploy` would upload the code and set its address.
template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
print(json.dumps(transform(template, {}, NoManagedPolicies())))
