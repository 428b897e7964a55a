//! The faults that the proxy injects.

/// A fault of a request, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InjectedFault {
    None,
    /// It is throttled, and not carried out.
    Throttled,
    /// The service fails before it carries it out.
    FailsBefore,
    /// The connection is closed before it is carried out.
    ClosedBefore,
    /// It is not forwarded and has no response.
    HangsBefore,
    /// It is carried out, and the connection is closed.
    ClosedAfter,
    /// It is carried out, and the service answers that it failed.
    FailsAfter,
    /// It is carried out, and half of the answer is sent.
    CutAfter,
    /// It is forwarded and its response is lost.
    HangsAfter,
    /// It is carried out, and the answer is sent a second late.
    LateAfter,
    /// It is throttled by the table's capacity, and not carried out.
    ThroughputExceeded,
    /// The service is unavailable before it carries it out.
    UnavailableBefore,
    /// A gateway answers with a page, and it is not carried out.
    PageBefore,
    /// The credentials have expired, and it is not carried out.
    ExpiredBefore,
    /// The connection is reset before it is carried out.
    ResetBefore,
    /// It is forwarded a second late.
    LateBefore,
    /// It is carried out, and the connection is reset.
    ResetAfter,
    /// It is carried out, and the service answers that it throttled it.
    ThrottledAfter,
    /// It is carried out, and the service answers that it is unavailable.
    UnavailableAfter,
    /// It is carried out, and a gateway answers with a page.
    PageAfter,
    /// It is carried out, and the answer has no body.
    EmptyAfter,
    /// It is carried out, and a byte of the answer is changed, so that it is not JSON.
    AlteredAfter,
    /// It is carried out, and the answer is JSON of another shape.
    OtherAfter,
    /// It is carried out, half of the answer is sent, and the connection stays open.
    StalledAfter,
    /// It is carried out, and the answer is sent byte by byte.
    TrickledAfter,
    /// It is carried out twice, as after a retry in the network, and the second answer is sent.
    RepeatedAfter,
}

impl InjectedFault {
    /// One of each effect.
    pub const ALL: [Self; 9] = [
        Self::Throttled,
        Self::FailsBefore,
        Self::ClosedBefore,
        Self::HangsBefore,
        Self::ClosedAfter,
        Self::FailsAfter,
        Self::CutAfter,
        Self::HangsAfter,
        Self::LateAfter,
    ];

    /// Every variant except `None`.
    pub const EVERY: [Self; 25] = [
        Self::Throttled,
        Self::FailsBefore,
        Self::ClosedBefore,
        Self::HangsBefore,
        Self::ClosedAfter,
        Self::FailsAfter,
        Self::CutAfter,
        Self::HangsAfter,
        Self::LateAfter,
        Self::ThroughputExceeded,
        Self::UnavailableBefore,
        Self::PageBefore,
        Self::ExpiredBefore,
        Self::ResetBefore,
        Self::LateBefore,
        Self::ResetAfter,
        Self::ThrottledAfter,
        Self::UnavailableAfter,
        Self::PageAfter,
        Self::EmptyAfter,
        Self::AlteredAfter,
        Self::OtherAfter,
        Self::StalledAfter,
        Self::TrickledAfter,
        Self::RepeatedAfter,
    ];

    /// Whether the request is carried out before the fault.
    pub fn is_after(self) -> bool {
        !matches!(
            self,
            Self::None
                | Self::Throttled
                | Self::ThroughputExceeded
                | Self::FailsBefore
                | Self::UnavailableBefore
                | Self::PageBefore
                | Self::ExpiredBefore
                | Self::ClosedBefore
                | Self::ResetBefore
                | Self::HangsBefore
                | Self::LateBefore
        )
    }
}
