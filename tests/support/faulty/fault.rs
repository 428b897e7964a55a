//! The faults of receivers. Each was seen in a real receiver, or follows from a library's default.

/// The only fault of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedFault {
    /// No fault: the control.
    Sound,

    // Answers to a genuine notification.
    /// 204 in place of 200.
    Answers204,
    /// 203 in place of 200, which Pay counts as a failure.
    Answers203,
    /// 302 to a login page, for every POST.
    RedirectsToLogin,
    /// 409 to a copy of a stored message.
    ConflictsOnDuplicate,
    /// Checks whether the row exists, and inserts afterwards: of two concurrent copies, one fails.
    LooksThenInserts,
    /// 409 to the same event under another id.
    ConflictsOnSameEvent,
    /// An answer after 3.5 s.
    Slow,
    /// Acknowledges before it stores. Every tenth time it crashes in between: it stores nothing,
    /// and drops the next three requests while it restarts.
    AcknowledgesFirst,

    // Verification.
    /// Accepts a message without a signature.
    AcceptsUnsigned,
    AcceptsEmptySignature,
    /// Also accepts a signature with an empty key.
    AcceptsEmptyKey,
    /// Accepts any prefix of the right signature.
    ComparesPrefix,
    /// Accepts a signature with the right first 8 digits.
    ComparesBeginning,
    /// Accepts any text with as many hex digits as a signature.
    ChecksFormOnly,
    /// Accepts upper-case hex.
    AcceptsUpperCase,
    /// Accepts the prefixes `sha1=` and `sha256=`.
    AcceptsPrefix,
    /// Verifies only the first of two signatures.
    TakesFirstSignature,
    /// Accepts the other sender's algorithm.
    AcceptsEitherAlgorithm,
    /// Parses and serialises the body before it verifies.
    Reserialises,
    /// Refuses a body with a character beyond ASCII.
    RefusesOtherCharacters,
    /// Does not know the form of a message that HMRC signs.
    RefusesAstral,
    /// 422 to a wrong signature.
    Refuses422,
    /// 500 to a signature of the wrong length, because the comparison throws.
    ThrowsOnLength,

    // Assumptions about messages.
    /// Refuses ids that are not 26 characters long.
    Wants26Characters,
    /// Refuses ids that are not UUIDs.
    WantsUuid,
    /// Refuses a resource type that is not exactly `payment`.
    WantsLowerCasePayment,
    /// Answers 200 to a resource type that is not exactly `payment`, and drops the message.
    DropsUpperCasePayment,
    /// Refuses states other than success.
    KnowsOneState,
    /// Refuses event types that it does not know.
    KnowsFewEvents,
    /// Refuses a null in the card's details.
    RefusesNulls,
    /// Refuses fields that it does not know.
    RefusesMoreFields,
    /// Refuses a message that is a day older than the newest.
    RefusesOldDates,
    /// Refuses a body with U+2028 in it.
    BreaksAtLineSeparators,
    /// Refuses a payment without an e-mail address.
    WantsEmail,
    /// Refuses a message that is not JSON.
    WantsJsonMessage,
    /// Refuses a JSON message with markup in it.
    BlocksMarkup,
    /// Refuses bodies of more than 100 KB.
    LimitsTo100KB,
    /// Refuses bodies of more than 8 KB.
    LimitsTo8KB,

    // Reactions to a signed body that is not JSON.
    /// 202.
    Accepts202OnError,
    /// 500.
    CrashesOnUnreadable,
    /// Never answers again.
    DiesOfUnreadable,

    // Routes and challenges.
    /// 301 from the trailing slash to the callback.
    RedirectsTrailingSlash,
    /// 302 from a challenge to the trailing slash, where it is echoed.
    RedirectsChallenge,
    /// 200 to any GET, and any HEAD.
    AnswersGet,
    /// The challenge as plain text in place of JSON.
    EchoesPlainText,
    /// The challenge in JSON with content type HTML.
    ReflectsHtml,
    /// Echoes the whole query as the challenge.
    TakesWholeQuery,
    /// Echoes the first of several challenges, and an empty one.
    EchoesAnything,

    // Headers and connections.
    SetsCookie,
    /// Compresses every body with `br`.
    CompressesWithBrotli,
    /// `Retry-After: 60` with every refusal.
    SendsRetryAfter,
    /// `Connection: close` with every answer.
    ClosesEachConnection,
    /// Closes a connection that is idle for 100 ms.
    ClosesIdleConnections,
}
