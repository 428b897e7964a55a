"""Creates the stack of template.yaml on MiniStack, which enforces its policies: every front and destination.

AWS's own translator expands the template. A signed notification is posted through the front's address, and its event
is taken at the other end. Each shape is created, used and deleted. Then three policies lose a statement, one at a
time, and the event must not arrive.

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
# How long an event may take. Only a failing shape waits so long.
LONG = 60
# How long an event that must not arrive is waited for: the stream delivers within a second or two.
SHORT = 6


def client(service):
    return boto3.client(service, endpoint_url=ENDPOINT)


cloudformation, s3, secrets, sqs, events = map(client, ["cloudformation", "s3", "secretsmanager", "sqs", "events"])
# What the translator says of itself is nothing to act on.
logging.disable(logging.WARNING)
logs, lambdas = client("logs"), client("lambda")

# What MiniStack cannot create.
LEFT_OUT = [
    ("the association of the firewall", lambda it: it["Type"] == "AWS::WAFv2::WebACLAssociation"),
    ("alarms on an expression", lambda it: it["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in it["Properties"]),
    ("the dashboard, which names them", lambda it: it["Type"] == "AWS::CloudWatch::Dashboard"),
]


# And by what it evaluates otherwise than AWS, or nowhere.
NOT_TRIED = [
    "conditions on dynamodb:LeadingKeys, which MiniStack evaluates as if there were no key",
    "the destination https, which is refused on loopback",
    "gradual deployments, which need CodeDeploy",
    "alarms, beyond their creation, and metrics out of log lines",
]


def zipped(path):
    """The archive that a function is deployed from."""
    whole, name = io.BytesIO(), zipfile.ZipInfo("bootstrap")
    name.external_attr = 0o100755 << 16
    with zipfile.ZipFile(whole, "w") as archive, open(path, "rb") as file:
        archive.writestr(name, file.read())
    return whole.getvalue()


def translated(parameters):
    """The template as CloudFormation gets it from SAM."""
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
    for _, is_left_out in LEFT_OUT:
        for name in [name for name, it in resources.items() if is_left_out(it)]:
            del resources[name]
    return with_bus_described(without_leading_keys(with_arns(whole, secret)))



def with_arns(value, names):
    """The same template, with the ARN of each secret where it has a reference: MiniStack's is the name."""
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
    """The same template, with the bus under the name that MiniStack has for it in events:DescribeEventBus."""
    for resource in template["Resources"].values():
        for policy in resource["Properties"].get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            for it in policy["PolicyDocument"]["Statement"]:
                given = it["Fn::If"][1] if "Fn::If" in it else it
                if given.get("Sid") == "Bus":
                    rule = {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:rule/*"}
                    given["Resource"] = [given["Resource"], rule]
    return template


def create(name, template, parameters):
    body = json.dumps(template)
    s3.put_object(Bucket="artefacts", Key=f"{name}.json", Body=body.encode())
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"{ENDPOINT}/artefacts/{name}.json",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    end = time.monotonic() + LONG
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


def event(identifier):
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
    """The status and the body of the answer to a signed POST."""
    front = urllib.parse.urlsplit(ENDPOINT)
    connection = http.client.HTTPConnection(front.hostname, front.port, timeout=30)
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Host": host, "Pay-Signature": signature, "Content-Type": "application/json"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def address(made, parameters):
    """The host by which MiniStack tells the front, and the path of the callback."""
    front = parameters.get("FrontDoor", "http-api")
    if front == "http-api":
        return f"{made['Api']}.execute-api.localhost", "/pay"
    if front == "rest-waf":
        return f"{made['RestApi']}.execute-api.localhost", "/live/pay"
    url = lambdas.get_function_url_config(FunctionName=made["Receive"], Qualifier="live")["FunctionUrl"]
    return urllib.parse.urlsplit(url).netloc, "/pay"


def arrived(queue, identifier, seconds):
    """The event of a notification in the queue, if it comes in time."""
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


def queue_of_a_bus(bus, name):
    """A queue that gets everything of a bus."""
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


def logged(group, identifier, seconds):
    """The event of a notification in a log, if it comes in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for line in logs.filter_log_events(logGroupName=group)["events"]:
            if line["message"].startswith("{"):
                found = json.loads(line["message"])
                if found.get("id") == f"pay:{identifier}" and "specversion" in found:
                    return found
        time.sleep(0.2)
    return None


def without(template, role, statement):
    """The same template, with one statement less in the policy of a role."""
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


def use(name, parameters, template):
    """What a signed notification gets for an answer, and its event at the other end."""
    kind = parameters["DestinationKind"]
    fifo = ".fifo" if "fifo" in name else ""
    if kind == "sqs":
        attributes = {"FifoQueue": "true"} if fifo else {}
        queue = sqs.create_queue(QueueName=f"{name}-events{fifo}", Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        parameters = parameters | {"DestinationQueueArn": arn}
    made = create(name, template, parameters)
    secrets.put_secret_value(SecretId=made["PaySecret"], SecretString=json.dumps({"current": SECRET}))
    if kind == "eventbridge":
        queue = queue_of_a_bus(made["EventBus"], f"{name}-events")
    status, answer = post(*address(made, parameters), event(name))
    if status != 200:
        found = None
    elif kind == "log":
        found = logged(made["ProcessLogs"], name, SHORT)
    else:
        found = arrived(queue, name, SHORT)
    return made, status, answer, found


COMMON = {"AlarmEmail": "team@example.gov.uk"}
RECONCILING = {"Reconcile": "on", "HmrcBoxes": "50dca3fc-c37c-4f03-b719-63571333624c"}
# A name, and what is asked for. Between them they have every front and every destination that can be reached.
SHAPES = [
    ("http-api-to-a-bus", {"FrontDoor": "http-api", "DestinationKind": "eventbridge"} | RECONCILING),
    ("function-url-to-a-queue", {"FrontDoor": "function-url", "DestinationKind": "sqs"}),
    ("rest-api-to-a-log", {"FrontDoor": "rest-waf", "DestinationKind": "log", "MinimalAlarms": "true"}),
    ("http-api-to-a-fifo-queue", {"FrontDoor": "http-api", "DestinationKind": "sqs"}),
]
# A role and the statement it loses, and the answer that the sender gets then. The event never arrives.
MUTATIONS = [
    ("no-record", "ReceiveRole", "Record", (503, '{"error":"inbox"}')),
    ("no-secret", "ReceiveRole", "SenderSecrets", (503, '{"error":"no_secret"}')),
    ("no-queue", "ProcessRole", "Queue", (200, '{"status":"recorded"}')),
]


def main():
    s3.create_bucket(Bucket="artefacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    s3.put_object(Bucket="artefacts", Key="bootstrap.zip", Body=zipped(BOOTSTRAP))
    for name, parameters in SHAPES:
        parameters = COMMON | parameters
        began = time.monotonic()
        template = translated(parameters)
        made, status, answer, found = use(name, parameters, template)
        assert (status, answer) == (200, '{"status":"recorded"}'), f"{name}: {status} {answer}"
        assert found and found["id"] == f"pay:{name}" and found["subject"] == "p1", f"{name}: {found}"
        print(f"{name}: {len(made)} resources, an event at the other end, {time.monotonic() - began:.1f} s")
        cloudformation.delete_stack(StackName=name)
    parameters = COMMON | {"DestinationKind": "sqs"}
    template = translated(parameters)
    for name, role, statement, expected in MUTATIONS:
        began = time.monotonic()
        _, status, answer, found = use(name, parameters, without(template, role, statement))
        assert (status, answer) == expected, f"{name}: {status} {answer}"
        assert found is None, f"{name}: {found}"
        print(f"{role} without {statement}: {status}, and no event, {time.monotonic() - began:.1f} s")
    for what, _ in LEFT_OUT:
        print(f"left out: {what}")
    for what in NOT_TRIED:
        print(f"not tried: {what}")


main()
