"""Creates the stack of template.yaml on MiniStack, which enforces its policies, with every front and destination.

AWS's own translator expands the template. For each variant the script creates the stack, posts a signed notification
to the front, reads its event from the destination, and deletes the stack. Then it removes a statement from each of
three policies, one at a time, and checks that no event arrives.

    python stack.py MINISTACK_URL BOOTSTRAP TEMPLATE
"""

import copy
import hashlib
import hmac
import http.client
import io
import json
import logging
import os
import sys
import time
import urllib.parse
import zipfile

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-west-2")

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ENDPOINT, BOOTSTRAP, TEMPLATE = sys.argv[1:4]
SECRET = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu"
# Seconds. Only a failing stack takes so long.
STACK_TIMEOUT = 60
# Seconds to wait for an event. The stream delivers within a second or two.
EVENT_TIMEOUT = 6


def client(service):
    return boto3.client(service, endpoint_url=ENDPOINT)


cloudformation, s3, secrets, sqs, events = map(client, ["cloudformation", "s3", "secretsmanager", "sqs", "events"])
# The translator's own warnings need no action.
logging.disable(logging.WARNING)
logs, lambdas = client("logs"), client("lambda")

# What MiniStack cannot create.
NOT_CREATED = [
    ("the association of the firewall", lambda it: it["Type"] == "AWS::WAFv2::WebACLAssociation"),
    ("alarms on an expression", lambda it: it["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in it["Properties"]),
    ("the dashboard, which names them", lambda it: it["Type"] == "AWS::CloudWatch::Dashboard"),
]

# What MiniStack evaluates differently from AWS, or not at all.
NOT_TESTED = [
    "conditions on dynamodb:LeadingKeys, which MiniStack evaluates as if there were no key",
    "the destination https, which is refused on loopback",
    "gradual deployments, which need CodeDeploy",
    "alarms, beyond their creation, and metrics out of log lines",
]


def build_archive(path):
    """Returns the archive of a function."""
    whole, name = io.BytesIO(), zipfile.ZipInfo("bootstrap")
    name.external_attr = 0o100755 << 16
    with zipfile.ZipFile(whole, "w") as archive, open(path, "rb") as file:
        archive.writestr(name, file.read())
    return whole.getvalue()


def translate(parameters):
    """Returns the template as SAM would give it to CloudFormation."""
    with open(TEMPLATE) as file:
        template = yaml_parse(file.read())
    template["Globals"]["Function"]["CodeUri"] = "s3://artefacts/bootstrap.zip"
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"].pop("CodeUri", None)
            resource.get("Metadata", {}).clear()
    values = {name: it["Default"] for name, it in template["Parameters"].items()}
    values.update(parameters)
    session = boto3.Session(region_name="eu-west-2")
    whole = Translator({}, Parser(), boto_session=session).translate(template, {k: str(v) for k, v in values.items()})
    whole = json.loads(json.dumps(whole))
    resources = whole["Resources"]
    secret = [name for name, it in resources.items() if it["Type"] == "AWS::SecretsManager::Secret"]
    for _, is_not_created in NOT_CREATED:
        for name in [name for name, it in resources.items() if is_not_created(it)]:
            del resources[name]
    return with_bus_described(without_leading_keys(with_arns(whole, secret)))


def with_arns(value, names):
    """The same template with the ARN of each secret in place of its reference, which MiniStack resolves to the name."""
    if isinstance(value, dict):
        if value.get("Ref") in names:
            return {"Fn::GetAtt": [value["Ref"], "Arn"]}
        return {key: with_arns(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [with_arns(item, names) for item in value]
    if isinstance(value, str):
        for name in names:
            value = value.replace("${" + name + "}", "${" + name + ".Arn}")
    return value


def without_leading_keys(value):
    """The same template without the conditions that MiniStack evaluates as if the key were absent."""
    if isinstance(value, dict):
        condition = json.dumps(value.get("Condition", ""))
        kept = {key: item for key, item in value.items() if key != "Condition" or "LeadingKeys" not in condition}
        return {key: without_leading_keys(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [without_leading_keys(item) for item in value]
    return value


def with_bus_described(template):
    """The same template, with the ARN that MiniStack checks for events:DescribeEventBus."""
    for resource in template["Resources"].values():
        for policy in resource["Properties"].get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            for it in policy["PolicyDocument"]["Statement"]:
                given = it["Fn::If"][1] if "Fn::If" in it else it
                if given.get("Sid") == "Bus":
                    rule = {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:rule/*"}
                    given["Resource"] = [given["Resource"], rule]
    return template


def create_stack(name, template, parameters):
    """Creates a stack and returns the physical ids of its resources by their logical ids."""
    body = json.dumps(template)
    s3.put_object(Bucket="artefacts", Key=f"{name}.json", Body=body.encode())
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"{ENDPOINT}/artefacts/{name}.json",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    end = time.monotonic() + STACK_TIMEOUT
    while True:
        status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if status == "CREATE_COMPLETE":
            break
        if not status.endswith("_IN_PROGRESS") or time.monotonic() > end:
            found = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            failed = [it for it in found if "FAILED" in it["ResourceStatus"]]
            sys.exit(f"{name}: {status}: {failed}")
        time.sleep(0.1)
    found = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in found}


def notification(identifier):
    """The body of a notification of GOV.UK Pay."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    body = {
        "webhook_message_id": identifier,
        "api_version": 1,
        "created_date": now,
        "resource_id": "p1",
        "resource_type": "payment",
        "event_type": "card_payment_captured",
        "resource": {"amount": 5000},
    }
    return json.dumps(body).encode()


def post(host, path, body):
    """Signs and posts a body; returns the status and the body of the answer."""
    front = urllib.parse.urlsplit(ENDPOINT)
    connection = http.client.HTTPConnection(front.hostname, front.port, timeout=30)
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Host": host, "Pay-Signature": signature, "Content-Type": "application/json"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def front_address(created, parameters):
    """The host by which MiniStack selects the front, and the path of the callback."""
    front = parameters.get("FrontDoor", "http-api")
    if front == "http-api":
        return f"{created['Api']}.execute-api.localhost", "/pay"
    if front == "rest-waf":
        return f"{created['RestApi']}.execute-api.localhost", "/live/pay"
    url = lambdas.get_function_url_config(FunctionName=created["Receive"], Qualifier="live")["FunctionUrl"]
    return urllib.parse.urlsplit(url).netloc, "/pay"


def receive_event(queue, identifier, seconds):
    """Returns the event of a notification from the queue, or None after this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in found.get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            body = body.get("detail", body)
            if body["id"] == f"pay:{identifier}":
                return body
    return None


def create_queue_for_bus(bus, name):
    """Creates a queue that receives every event of a bus."""
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = events.put_rule(Name=name, EventBusName=bus, EventPattern='{"source":[{"prefix":"pillarbox."}]}')["RuleArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return queue


def find_logged_event(group, identifier, seconds):
    """Returns the event of a notification from a log, or None after this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for line in logs.filter_log_events(logGroupName=group)["events"]:
            if line["message"].startswith("{"):
                found = json.loads(line["message"])
                if found.get("id") == f"pay:{identifier}" and "specversion" in found:
                    return found
        time.sleep(0.2)
    return None


def without_statement(template, role, statement):
    """The same template without one statement in the policy of a role."""
    template = copy.deepcopy(template)
    (policy,) = template["Resources"][role]["Properties"]["Policies"]
    kept = []
    for it in policy["PolicyDocument"]["Statement"]:
        given = it["Fn::If"][1] if "Fn::If" in it else it
        if given.get("Sid") != statement:
            kept.append(it)
    assert len(kept) + 1 == len(policy["PolicyDocument"]["Statement"]), f"{role} has no {statement}"
    policy["PolicyDocument"]["Statement"] = kept
    return template


def deliver_through(name, parameters, template):
    """Creates the stack and posts a notification; returns the resources, the answer and the event that arrived."""
    kind = parameters["DestinationKind"]
    fifo = ".fifo" if "fifo" in name else ""
    if kind == "sqs":
        attributes = {"FifoQueue": "true"} if fifo else {}
        queue = sqs.create_queue(QueueName=f"{name}-events{fifo}", Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        parameters = parameters | {"DestinationQueueArn": arn}
    created = create_stack(name, template, parameters)
    secrets.put_secret_value(SecretId=created["PaySecret"], SecretString=json.dumps({"current": SECRET}))
    if kind == "eventbridge":
        queue = create_queue_for_bus(created["EventBus"], f"{name}-events")
    status, answer = post(*front_address(created, parameters), notification(name))
    if status != 200:
        found = None
    elif kind == "log":
        found = find_logged_event(created["ProcessLogs"], name, EVENT_TIMEOUT)
    else:
        found = receive_event(queue, name, EVENT_TIMEOUT)
    return created, status, answer, found


COMMON = {"AlarmEmail": "team@example.gov.uk"}
RECONCILING = {"Reconcile": "on", "HmrcBoxes": "50dca3fc-c37c-4f03-b719-63571333624c"}
# A name and its parameters. Together they have every front and every destination that MiniStack can reach.
VARIANTS = [
    ("http-api-to-a-bus", {"FrontDoor": "http-api", "DestinationKind": "eventbridge"} | RECONCILING),
    ("function-url-to-a-queue", {"FrontDoor": "function-url", "DestinationKind": "sqs"}),
    ("rest-api-to-a-log", {"FrontDoor": "rest-waf", "DestinationKind": "log", "MinimalAlarms": "true"}),
    ("http-api-to-a-fifo-queue", {"FrontDoor": "http-api", "DestinationKind": "sqs"}),
]
# A name, a role, the statement that it loses, and the answer to the sender. No event may arrive.
MUTATIONS = [
    ("no-record", "ReceiveRole", "Record", (503, '{"error":"inbox"}')),
    ("no-secret", "ReceiveRole", "SenderSecrets", (503, '{"error":"no_secret"}')),
    ("no-queue", "ProcessRole", "Queue", (200, '{"status":"recorded"}')),
]


def main():
    s3.create_bucket(Bucket="artefacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    s3.put_object(Bucket="artefacts", Key="bootstrap.zip", Body=build_archive(BOOTSTRAP))
    for name, parameters in VARIANTS:
        parameters = COMMON | parameters
        began = time.monotonic()
        template = translate(parameters)
        created, status, answer, found = deliver_through(name, parameters, template)
        assert (status, answer) == (200, '{"status":"recorded"}'), f"{name}: {status} {answer}"
        assert found and found["id"] == f"pay:{name}" and found["subject"] == "p1", f"{name}: {found}"
        print(f"{name}: {len(created)} resources, the event arrived, {time.monotonic() - began:.1f} s")
        cloudformation.delete_stack(StackName=name)
    parameters = COMMON | {"DestinationKind": "sqs"}
    template = translate(parameters)
    for name, role, statement, expected in MUTATIONS:
        began = time.monotonic()
        changed = without_statement(template, role, statement)
        _, status, answer, found = deliver_through(name, parameters, changed)
        assert (status, answer) == expected, f"{name}: {status} {answer}"
        assert found is None, f"{name}: {found}"
        print(f"{role} without {statement}: {status}, no event, {time.monotonic() - began:.1f} s")
    for what, _ in NOT_CREATED:
        print(f"not created: {what}")
    for what in NOT_TESTED:
        print(f"not tested: {what}")


main()
