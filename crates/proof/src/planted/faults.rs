//! The faults: what each changes, and what has to find it.

/// What has to find a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Catcher {
    /// `proof simulate`.
    Simulation,
    /// The library's own tests whose names contain this.
    Tests(&'static str),
}

/// One place that a fault changes. In `new`, `PLANTED` is whether the fault is chosen.
pub(super) struct Edit {
    pub(super) file: &'static str,
    pub(super) old: &'static str,
    pub(super) new: &'static str,
}

/// A fault.
pub(super) struct PlantedFault {
    pub(super) name: &'static str,
    pub(super) catcher: Catcher,
    pub(super) edits: &'static [Edit],
}

const fn edit(file: &'static str, old: &'static str, new: &'static str) -> Edit {
    Edit { file, old, new }
}

const fn simulated(name: &'static str, edits: &'static [Edit]) -> PlantedFault {
    PlantedFault {
        name,
        catcher: Catcher::Simulation,
        edits,
    }
}

const fn tested(name: &'static str, filter: &'static str, edits: &'static [Edit]) -> PlantedFault {
    PlantedFault {
        name,
        catcher: Catcher::Tests(filter),
        edits,
    }
}

const RECEIVE: &str = "src/receive/mod.rs";
const ANSWER: &str = "src/receive/answer.rs";
const REQUEST: &str = "src/receive/request.rs";
const VERIFY: &str = "src/senders/verify.rs";
const READ: &str = "src/senders/read.rs";
const ATTEMPT: &str = "src/delivery/attempt.rs";
const RETRY: &str = "src/delivery/retry.rs";
const SWEEP: &str = "src/delivery/sweep.rs";
const BATCH: &str = "src/delivery/stream_batch.rs";
const EVENT: &str = "src/destinations/event.rs";
const MODEL: &str = "src/inbox/memory.rs";
const HMRC_RECORD: &str = "src/reconcile/hmrc/record.rs";
const HMRC_STATE: &str = "src/reconcile/hmrc/box_state.rs";
const PAY_SWEEP: &str = "src/reconcile/govuk_pay/sweep.rs";
const RECORD: &str = "src/inbox/dynamodb/record.rs";
const CLAIM: &str = "src/inbox/dynamodb/claim.rs";
const LEDGER: &str = "src/inbox/dynamodb/ledger.rs";
const OPERATOR: &str = "src/inbox/dynamodb/operator.rs";

/// Every planted fault. Those of the model stand for the same fault in an inbox, which its contract
/// finds.
pub(super) const FAULTS: &[PlantedFault] = &[
    simulated(
        "a failed write is answered 200",
        &[edit(
            RECEIVE,
            "self.store(&entry, deadline, record).await?",
            "if PLANTED { self.store(&entry, deadline, record).await.unwrap_or(Recorded::First) } \
             else { self.store(&entry, deadline, record).await? }",
        )],
    ),
    simulated(
        "the answer is sent before the write",
        &[edit(
            RECEIVE,
            "timeout_at(deadline, self.inbox.record(entry)).await;",
            "if PLANTED { let (inbox, entry) = (Arc::clone(&self.inbox), entry.clone()); \
             tokio::spawn(async move { inbox.record(&entry).await }); Ok(Ok(Recorded::First)) } \
             else { timeout_at(deadline, self.inbox.record(entry)).await };",
        )],
    ),
    simulated(
        "a duplicate is answered 409",
        &[edit(
            ANSWER,
            "            HttpAnswer::ok(format!(r#\"{{\"status\":\"{}\"}}\"#, receipt.stored.as_str()))",
            "            let mut answer = HttpAnswer::ok(format!(r#\"{{\"status\":\"{}\"}}\"#, receipt.stored.as_str()));\n            \
             if PLANTED && receipt.stored == super::ReceiptStatus::Duplicate { answer.status = 409; }\n            answer",
        )],
    ),
    simulated(
        "a failure of the inbox is answered 400",
        &[edit(
            ANSWER,
            "Self::NoSecret | Self::Inbox(_) => 503,",
            "Self::NoSecret | Self::Inbox(_) => if PLANTED { 400 } else { 503 },",
        )],
    ),
    simulated(
        "a write may take longer than the sender waits",
        &[edit(
            REQUEST,
            "        RECORD_TIMEOUT\n",
            "        if PLANTED { Duration::from_secs(9) } else { RECORD_TIMEOUT }\n",
        )],
    ),
    simulated(
        "a wrong signature is accepted",
        &[edit(
            VERIFY,
            ".find(|key| key.matches(&value.preamble, body, signature))",
            ".find(|key| PLANTED || key.matches(&value.preamble, body, signature))",
        )],
    ),
    simulated(
        "of several signature headers the first counts",
        &[edit(
            VERIFY,
            "        _ => return Err(SignatureError::Several),",
            "        [one, ..] if PLANTED => std::str::from_utf8(one).map_err(|_| SignatureError::Malformed)?,\n        \
             _ => return Err(SignatureError::Several),",
        )],
    ),
    simulated(
        "HMRC's other form is not tried",
        &[edit(
            VERIFY,
            ".or_else(|| matching((kind.signature.canonical)(&body)?.into()))",
            ".or_else(|| if PLANTED { None } else { matching((kind.signature.canonical)(&body)?.into()) })",
        )],
    ),
    simulated(
        "a notification of any age is delivered",
        &[edit(
            READ,
            "event_at >= received_at.minus(self.0) &&",
            "(PLANTED || event_at >= received_at.minus(self.0)) &&",
        )],
    ),
    simulated(
        "a row is marked delivered whatever the destination says",
        &[edit(
            ATTEMPT,
            "            Ok(Err(error)) => error,",
            "            Ok(Err(_)) if PLANTED => return Mark::Delivered { expires_at: self.retention.row_expiry(now) },\n            \
             Ok(Err(error)) => error,",
        )],
    ),
    simulated(
        "an outcome is not written",
        &[edit(
            ATTEMPT,
            "self.inbox.mark(&fence, &mark).await?",
            "if PLANTED { Marked::Done } else { self.inbox.mark(&fence, &mark).await? }",
        )],
    ),
    simulated(
        "the key has the number of the attempt",
        &[edit(
            ATTEMPT,
            "        let delivery = Box::pin(self.destination.deliver(&row.key, event));",
            "        let key = if PLANTED && fence.attempt > 1 { Key::parse(&format!(\"{}.{}\", row.key, fence.attempt)).unwrap_or(row.key.clone()) } else { row.key.clone() };\n        \
             let delivery = Box::pin(self.destination.deliver(&key, event));",
        )],
    ),
    simulated(
        "the event has the time of the attempt",
        &[edit(
            EVENT,
            "time: row.event_at.map(|at: Timestamp| at.to_string()),",
            "time: row.event_at.map(|at: Timestamp| if PLANTED { row.lease.map(|lease| lease.until.to_string()).unwrap_or_default() } else { at.to_string() }),",
        )],
    ),
    simulated(
        "the ledger is not asked",
        &[edit(
            ATTEMPT,
            "if let Some(event) = row.event() {",
            "if let Some(event) = row.event().filter(|_| !PLANTED) {",
        )],
    ),
    simulated(
        "the ledger is asked after the delivery",
        &[edit(
            ATTEMPT,
            "                self.inbox.claim_event(&event, &row.key, expires_at).await?\n            {",
            "                { if PLANTED && let Ok(event) = Event::of(row) { let _ = self.destination.deliver(&row.key, &event).await; } self.inbox.claim_event(&event, &row.key, expires_at).await? }\n            {",
        )],
    ),
    simulated(
        "a lease is shorter than an attempt",
        &[edit(
            ATTEMPT,
            "until: now.plus(LEASE_DURATION),",
            "until: now.plus(if PLANTED { Duration::from_millis(50) } else { LEASE_DURATION }),",
        )],
    ),
    simulated(
        "the budget never ends",
        &[
            edit(
                ATTEMPT,
                "if fence.attempt > 1 && self.clock.now()",
                "if !PLANTED && fence.attempt > 1 && self.clock.now()",
            ),
            edit(
                RETRY,
                "if spent >= BUDGET => {",
                "if spent >= BUDGET && !PLANTED => {",
            ),
        ],
    ),
    simulated(
        "the first failure is the last",
        &[edit(
            RETRY,
            "        DeliveryError::Unavailable(_) => RetryDecision",
            "        DeliveryError::Unavailable(_) if PLANTED => RetryDecision::Dead(\"budget spent\"),\n        \
             DeliveryError::Unavailable(_) => RetryDecision",
        )],
    ),
    simulated(
        "the sweep finds nothing",
        &[edit(
            SWEEP,
            "            .find_due(sources, worker.clock.now(), limit)",
            "            .find_due(sources, if PLANTED { Timestamp::from_millis(0) } else { worker.clock.now() }, limit)",
        )],
    ),
    simulated(
        "a batch is always done",
        &[edit(
            BATCH,
            "        .map_or(BatchOutcome::Done, BatchOutcome::ResumeFrom);",
            "        .filter(|_| !PLANTED)\n        .map_or(BatchOutcome::Done, BatchOutcome::ResumeFrom);",
        )],
    ),
    simulated(
        "a batch resumes from the highest number",
        &[edit(
            BATCH,
            "        .map(|record| &record.sequence)\n        .min();",
            "        .map(|record| &record.sequence);\n    let lowest = if PLANTED { lowest.max() } else { lowest.min() };",
        )],
    ),
    simulated(
        "a failed claim counts as an outcome",
        &[edit(
            BATCH,
            "if attempt.ended.is_ok() {",
            "if PLANTED || attempt.ended.is_ok() {",
        )],
    ),
    simulated(
        "HMRC gets an acknowledgement of what could not be stored",
        &[edit(
            HMRC_RECORD,
            "        Err(error @ InboxError::Unavailable(_)) => return Err(error),",
            "        Err(InboxError::Unavailable(_)) if PLANTED => RecordedAs::Duplicate,\n        \
             Err(error @ InboxError::Unavailable(_)) => return Err(error),",
        )],
    ),
    simulated(
        "what HMRC gave up is not listed",
        &[edit(
            HMRC_STATE,
            "            NotificationStatus::Pending => {\n",
            "            NotificationStatus::Pending if PLANTED => self.is_complete = true,\n            NotificationStatus::Pending => {\n",
        )],
    ),
    simulated(
        "a payment without its events is not recorded",
        &[edit(
            PAY_SWEEP,
            "        if missing.is_empty() {",
            "        if PLANTED || missing.is_empty() {",
        )],
    ),
    simulated(
        "model: a claim is not counted",
        &[edit(
            MODEL,
            "        row.attempts += 1;",
            "        row.attempts += u32::from(!PLANTED || row.attempts == 0);",
        )],
    ),
    simulated(
        "model: a lease is ignored",
        &[edit(
            MODEL,
            "                && !row.is_leased(claim.now)",
            "                && (PLANTED || !row.is_leased(claim.now))",
        )],
    ),
    simulated(
        "model: a mark needs no fence",
        &[edit(
            MODEL,
            "                && row.attempts == fence.attempt\n                && row.lease.is_some_and(|lease| lease.id == fence.lease)",
            "                && (PLANTED || row.attempts == fence.attempt\n                && row.lease.is_some_and(|lease| lease.id == fence.lease))",
        )],
    ),
    simulated(
        "model: a row is overwritten by its copy",
        &[edit(
            MODEL,
            "        if let Some(taken) = self.rows.get(&entry.key) {",
            "        if let Some(taken) = self.rows.get(&entry.key).filter(|_| !PLANTED) {",
        )],
    ),
    simulated(
        "model: a copy closes the row",
        &[edit(
            MODEL,
            "            Err(stored) if stored == entry.content_digest => return Ok(Recorded::Duplicate),",
            "            Err(stored) if stored == entry.content_digest => { if PLANTED && let Some(row) = tables.rows.get_mut(&entry.key) { row.state = State::Delivered; } return Ok(Recorded::Duplicate) }",
        )],
    ),
    simulated(
        "model: the ledger forgets whose an event is",
        &[edit(
            MODEL,
            "        Ok(if owner == key {",
            "        if PLANTED { *owner = key.clone(); }\n        Ok(if owner == key {",
        )],
    ),
    simulated(
        "model: the ledger gives an event once",
        &[
            edit(
                MODEL,
                "        let mut tables = self.tables();\n        let owner = tables\n",
                "        let mut tables = self.tables();\n        let is_taken = PLANTED && tables.ledger.contains_key(&(source.clone(), subject.clone(), event.clone()));\n        let owner = tables\n",
            ),
            edit(
                MODEL,
                "            EventClaim::Acquired\n        } else {",
                "            if is_taken { EventClaim::HeldBy(key.clone()) } else { EventClaim::Acquired }\n        } else {",
            ),
        ],
    ),
    simulated(
        "model: a dead row expires",
        &[edit(
            MODEL,
            "                row.state = State::Dead;",
            "                row.state = State::Dead;\n                if PLANTED { row.expires_at = Some(at); }",
        )],
    ),
    simulated(
        "model: a replay keeps the old budget",
        &[edit(
            MODEL,
            "        row.budget_from = now;",
            "        if !PLANTED { row.budget_from = now; }",
        )],
    ),
    tested(
        "table: a row is overwritten",
        "inbox::dynamodb",
        &[edit(
            RECORD,
            "row.condition_expression(\"attribute_not_exists(pk)\")",
            "if PLANTED { row } else { row.condition_expression(\"attribute_not_exists(pk)\") }",
        )],
    ),
    tested(
        "table: other content under a key is a duplicate",
        "inbox::dynamodb",
        &[edit(
            RECORD,
            "    Ok(item::digest_of(stored, \"content_digest\") == Some(entry.content_digest))",
            "    Ok(PLANTED || item::digest_of(stored, \"content_digest\") == Some(entry.content_digest))",
        )],
    ),
    tested(
        "table: a lease is ignored",
        "inbox::dynamodb",
        &[
            edit(
                CLAIM,
                "row.state == State::Recorded && !row.is_leased(now) && is_due",
                "row.state == State::Recorded && (PLANTED || !row.is_leased(now)) && is_due",
            ),
            edit(
                CLAIM,
                "            \"(attribute_not_exists(#lease) OR #lease.#until <= :now OR #lease.#until > :ahead)\",",
                "            if PLANTED { \"(attribute_not_exists(#lease) OR attribute_exists(#lease.#until))\" } else { \"(attribute_not_exists(#lease) OR #lease.#until <= :now OR #lease.#until > :ahead)\" },",
            ),
        ],
    ),
    tested(
        "table: a mark needs no fence",
        "inbox::dynamodb",
        &[edit(
            CLAIM,
            ".only_if(\"attempts = :attempt AND #lease.#id = :id\")",
            ".only_if(if PLANTED { \"attempts >= :attempt OR #lease.#id = :id\" } else { \"attempts = :attempt AND #lease.#id = :id\" })",
        )],
    ),
    tested(
        "table: a later claim leaves the time at which the row is due",
        "inbox::dynamodb",
        &[edit(
            CLAIM,
            "instant(claim.now.plus(backoff(claim.first_backoff, row.attempts))),",
            "instant(if PLANTED { row.due_at.unwrap_or(claim.now) } else { claim.now.plus(backoff(claim.first_backoff, row.attempts)) }),",
        )],
    ),
    tested(
        "table: the ledger is overwritten",
        "inbox::dynamodb",
        &[edit(
            LEDGER,
            ".only_if(\"(attribute_not_exists(#event) OR #event = :key)\")",
            ".only_if(if PLANTED { \"(attribute_not_exists(#event) OR #event <> :key OR #event = :key)\" } else { \"(attribute_not_exists(#event) OR #event = :key)\" })",
        )],
    ),
    tested(
        "table: the ledger gives an event once",
        "inbox::dynamodb",
        &[edit(
            LEDGER,
            "                .filter(|owner| owner != key)",
            "                .filter(|owner| PLANTED || owner != key)",
        )],
    ),
    tested(
        "table: a replay keeps the old budget",
        "inbox::dynamodb",
        &[edit(
            OPERATOR,
            "        .set(\"budget_from\", instant(now))",
            "        .set(\"budget_from\", instant(if PLANTED { read.row.budget_from } else { now }))",
        )],
    ),
];
