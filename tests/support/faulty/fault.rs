//! What receivers get wrong. Each was seen in a real one, or follows from a library's default.

/// One fault; everything else about the receiver is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedFault {
    /// No fault at all: the control.
    Sound,

    // What it answers to a true notification.
    /// 204 in place of 200.
    Answers204,
    /// 203 in place of 200, which Pay takes for a failure.
    Answers203,
    /// 302 to a login page, for every POST.
    RedirectsToLogin,
    /// Answers 409 to a copy of a stored message.
    ConflictsOnDuplicate,
    /// Checks whether the row exists, and inserts afterwards: of two concurrent copies, one fails.
    LooksThenInserts,
    /// 409 to the same event under another id.
    ConflictsOnSameEvent,
    /// An answer after 3.5 s.
    Slow,
    /// Acknowledges before it stores. Every tenth time it dies in between: nothing is stored, and
    /// the next three requests are dropped while it starts again.
    AcknowledgesFirst,

    // How it verifies.
    /// Accepts a message without a signature.
    AcceptsUnsigned,
    /// Takes an empty signature.
    AcceptsEmptySignature,
    /// Verifies with an empty key, too.
    AcceptsEmptyKey,
    /// Takes any beginning of the right signature.
    ComparesPrefix,
    /// Takes what begins with the right 8 digits.
    ComparesBeginning,
    /// Accepts any text with as many hex digits as a signature.
    ChecksFormOnly,
    /// Takes upper-case hex.
    AcceptsUpperCase,
    /// Takes `sha1=` and `sha256=`.
    AcceptsPrefix,
    /// Of two signatures takes the first for it.
    TakesFirstSignature,
    /// Takes the other sender's algorithm.
    AcceptsEitherAlgorithm,
    /// Parses the body and writes it anew before it verifies.
    Reserialises,
    /// Verifies nothing that has a character beyond ASCII.
    RefusesOtherCharacters,
    /// Does not know HMRC's signed form.
    RefusesAstral,
    /// 422 where the signature is wrong.
    Refuses422,
    /// 500 where the signature's length is wrong, because the comparison throws.
    ThrowsOnLength,

    // What it takes.
    /// Refuses ids that are not 26 characters long.
    Wants26Characters,
    /// Refuses ids that are no UUID.
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
    /// Refuses a message that is no JSON.
    WantsJsonMessage,
    /// Refuses a JSON message with markup in it.
    BlocksMarkup,
    /// Refuses bodies of more than 100 KB.
    LimitsTo100KB,
    /// Refuses bodies of more than 8 KB.
    LimitsTo8KB,

    // What it does with a signed body that is no JSON.
    /// 202.
    Accepts202OnError,
    /// 500.
    CrashesOnUnreadable,
    /// No answer, and none any more.
    DiesOfUnreadable,

    // Routes and challenges.
    /// 301 from the trailing slash to where it should go.
    RedirectsTrailingSlash,
    /// 302 from a challenge to the trailing slash, where it is echoed.
    RedirectsChallenge,
    /// 200 to any GET, and any HEAD.
    AnswersGet,
    /// The challenge as plain text, not as JSON.
    EchoesPlainText,
    /// The challenge in JSON with content type HTML.
    ReflectsHtml,
    /// Takes the whole query for the challenge.
    TakesWholeQuery,
    /// Echoes the first of several challenges, and an empty one.
    EchoesAnything,

    // Headers and connections.
    /// Sets a cookie.
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
