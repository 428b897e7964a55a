//! Simulates the event source mapping between a table and its function: reads the table's stream,
//! filters it, and invokes the function with each batch until the function reports that it is done.
//!
//! As AWS may, it delivers some batches twice, and loses some records: a stream keeps a record for
//! a day. As the template configures it, it resumes from the lowest sequence number that is
//! reported, bisects a batch when the function fails, and gives up after five retries.

use serde_json::{Value, json};

use super::loopback;

const MAX_BATCH_SIZE: usize = 25;
const MAX_RETRIES: u32 = 5;

/// The result of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvocationEnd {
    /// Every record is done.
    Done,
    /// The records from this sequence number on are not done.
    ResumeFrom(String),
    /// The function failed.
    Error,
}

impl InvocationEnd {
    /// Reads a reply as AWS does: an empty list is success, and an invalid one is a failure.
    pub fn of(reply: &Value) -> Self {
        let failures = match reply.get("batchItemFailures") {
            None | Some(Value::Null) => return Self::Done,
            Some(Value::Array(failures)) if failures.is_empty() => return Self::Done,
            Some(Value::Array(failures)) => failures,
            Some(_) => return Self::Error,
        };
        let named = failures.iter().map(|failure| {
            failure["itemIdentifier"]
                .as_str()
                .filter(|name| !name.is_empty())
        });
        match named.collect::<Option<Vec<_>>>() {
            Some(named) => Self::ResumeFrom(
                named
                    .into_iter()
                    .min_by_key(|name| number(name))
                    .unwrap_or_default()
                    .to_owned(),
            ),
            None => Self::Error,
        }
    }
}

fn number(sequence: &str) -> u128 {
    sequence.parse().expect("a sequence number")
}

/// Repeatable random numbers.
#[derive(Clone)]
pub struct SeededRandom(u64);

impl SeededRandom {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `limit`, exclusive.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// True with a probability of `percent` percent.
    pub fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The counts of a pump.
#[derive(Clone, Copy, Debug, Default)]
pub struct PumpCounts {
    /// Records passed to the function, repeats included.
    pub delivered: usize,
    /// Records it lost on purpose.
    pub lost: usize,
    /// Batches that it gave up.
    pub given_up: usize,
}

/// A reader of one table's stream.
pub struct StreamPump {
    endpoint: String,
    client: reqwest::Client,
    table: String,
    iterator: Option<String>,
}

impl StreamPump {
    /// A pump at the beginning of the stream of `table`.
    pub async fn at(endpoint: &str, table: &str) -> Self {
        let client = loopback::client();
        let mut pump = Self {
            endpoint: endpoint.to_owned(),
            client,
            table: table.to_owned(),
            iterator: None,
        };
        pump.iterator = pump.beginning().await;
        pump
    }

    async fn beginning(&self) -> Option<String> {
        let streams = self
            .call("ListStreams", &json!({"TableName": self.table}))
            .await;
        let stream = streams["Streams"][0]["StreamArn"]
            .as_str()
            .expect("the table has a stream")
            .to_owned();
        let described = self
            .call("DescribeStream", &json!({"StreamArn": stream}))
            .await;
        let shards = described["StreamDescription"]["Shards"]
            .as_array()
            .expect("it has shards")
            .clone();
        assert_eq!(shards.len(), 1, "the emulator's streams have one shard");
        let wanted = json!({
            "StreamArn": stream, "ShardId": shards[0]["ShardId"],
                "ShardIteratorType": "TRIM_HORIZON",
        });
        self.call("GetShardIterator", &wanted).await["ShardIterator"]
            .as_str()
            .map(str::to_owned)
    }

    async fn call(&self, operation: &str, body: &Value) -> Value {
        let key = "AWS4-HMAC-SHA256 Credential=local/20260101/eu-west-2/dynamodb/aws4_request, \
                   SignedHeaders=host;x-amz-date, Signature=0";
        let request = self
            .client
            .post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0");
        let request = request.header(
            "x-amz-target",
            format!("DynamoDBStreams_20120810.{operation}"),
        );
        let request = request
            .header("authorization", key)
            .header("x-amz-date", "20260101T000000Z");
        let answer = request
            .body(body.to_string())
            .send()
            .await
            .expect("the emulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("whole"));
        assert!(status.is_success(), "{operation}: {status} {text}");
        serde_json::from_str(&text).expect("in JSON")
    }

    /// The next records of the stream, unfiltered; empty at its end.
    async fn read(&mut self) -> Vec<Value> {
        let Some(iterator) = self.iterator.take() else {
            return Vec::new();
        };
        let mut read = self
            .call(
                "GetRecords",
                &json!({"ShardIterator": iterator, "Limit": 1000}),
            )
            .await;
        self.iterator = read["NextShardIterator"].as_str().map(str::to_owned);
        match read["Records"].take() {
            Value::Array(records) => records,
            _ => Vec::new(),
        }
    }

    /// Invokes `function` with all records up to the current end of the stream. Loses `lost`
    /// percent of the records, and repeats `repeated` percent of the batches.
    pub async fn drain(
        &mut self,
        chance: &mut SeededRandom,
        (lost, repeated): (u64, u64),
        mut function: impl AsyncFnMut(Value) -> InvocationEnd,
    ) -> PumpCounts {
        let mut pumped = PumpCounts::default();
        loop {
            let read = self.read().await;
            if read.is_empty() {
                return pumped;
            }
            let mut wanted: Vec<Value> = read.into_iter().filter(passes_the_filter).collect();
            let all = wanted.len();
            wanted.retain(|_| !chance.is(lost));
            pumped.lost += all - wanted.len();
            for batch in wanted.chunks(MAX_BATCH_SIZE) {
                self.invoke(batch, &mut pumped, &mut function).await;
                if chance.is(repeated) {
                    self.invoke(batch, &mut pumped, &mut function).await;
                }
            }
        }
    }

    /// Invokes the function with a batch until it is done or given up.
    async fn invoke(
        &self,
        batch: &[Value],
        pumped: &mut PumpCounts,
        function: &mut impl AsyncFnMut(Value) -> InvocationEnd,
    ) {
        let mut waiting = vec![(batch.to_vec(), 0)];
        while let Some((batch, retries)) = waiting.pop() {
            pumped.delivered += batch.len();
            match function(self.event(&batch)).await {
                InvocationEnd::Done => {}
                _ if retries == MAX_RETRIES => pumped.given_up += 1,
                // The records before this one are done. Progress does not count as a retry.
                InvocationEnd::ResumeFrom(sequence) => {
                    let from = batch
                        .iter()
                        .position(|record| *sequence_of(record) == sequence);
                    let from = from.unwrap_or_else(|| panic!("{sequence} is not in the batch"));
                    waiting.push((
                        batch[from..].to_vec(),
                        if from == 0 { retries + 1 } else { retries },
                    ));
                }
                InvocationEnd::Error if batch.len() > 1 => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    waiting.push((second.to_vec(), retries));
                    waiting.push((first.to_vec(), retries));
                }
                InvocationEnd::Error => waiting.push((batch, retries + 1)),
            }
        }
    }

    fn event(&self, batch: &[Value]) -> Value {
        let stream = format!(
            "arn:aws:dynamodb:eu-west-2:123456789012:table/{}/stream/2026-01-01T00:00:00.000",
            self.table
        );
        let record = |record: &Value| {
            let mut record = record.clone();
            record["eventSourceARN"] = json!(stream);
            record
        };
        json!({"Records": batch.iter().map(record).collect::<Vec<_>>()})
    }
}

fn sequence_of(record: &Value) -> &Value {
    &record["dynamodb"]["SequenceNumber"]
}

/// The filter of the template's event source mapping.
fn passes_the_filter(record: &Value) -> bool {
    record["eventName"] == "INSERT" && record["dynamodb"]["NewImage"]["state"]["S"] == "recorded"
}
