"""The template on standard input, as JSON, expanded by AWS's own translator."""

import json
import sys

from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """No role of the template names a managed policy for SAM to look up."""

    def load(self):
        return {}


template = json.load(sys.stdin)
# `sam deploy` uploads the code first.
template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
print(json.dumps(transform(template, {}, NoManagedPolicies())))
