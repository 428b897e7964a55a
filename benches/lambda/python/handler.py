"""The same work in Python, as in the documentation of Powertools: one HMAC, and idempotency in DynamoDB."""

import hashlib
import hmac
import json
import os

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

SECRET = os.environ["PAY_SIGNING_SECRET"].encode()
store = DynamoDBPersistenceLayer(table_name=os.environ["TABLE"], key_attr="pk")
config = IdempotencyConfig(event_key_jmespath="webhook_message_id")


@idempotent_function(data_keyword_argument="message", persistence_store=store, config=config)
def record(message, body):
    # Powertools stores the return value.
    return body


def handler(event, context):
    config.register_lambda_context(context)
    body = event["body"]
    expected = hmac.new(SECRET, body.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, event["headers"].get("pay-signature", "")):
        return answer(401, {"error": "signature"})
    record(message=json.loads(body), body=body)
    return answer(200, {"status": "recorded"})


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
