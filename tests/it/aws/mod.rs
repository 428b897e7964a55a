//! Secrets Manager, SQS, EventBridge and DynamoDB through their real clients, against a stand-in on
//! loopback that fails on purpose.

mod costs;
mod destinations;
mod keys;
mod secrets;
mod table_answers;
