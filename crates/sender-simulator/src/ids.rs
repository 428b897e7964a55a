//! Ids, each generated the way its sender generates it.

use crate::Clock;

/// Digits of a Pay id: 130 bits at 5 bits a digit.
const PAY_DIGITS: usize = 26;

/// An id of HMRC: UUID version 4, lower case.
pub(super) fn uuid(clock: &dyn Clock) -> String {
    let random = (u128::from(clock.random()) << 64) | u128::from(clock.random());
    let version = 0x4 << 76;
    let variant = 0b10 << 62;
    let bits = (random & !(0xf << 76) & !(0b11 << 62)) | version | variant;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// An id of Pay: 130 random bits as a number in base 32. Leading zeros are left out, so about one
/// id in thirty has fewer than 26 digits.
pub(super) fn pay_id(clock: &dyn Clock) -> String {
    let random = [clock.random(), clock.random(), clock.random()];
    // Twelve digits fit in 64 bits.
    let digits = (0..PAY_DIGITS).map(|n| (random[n / 12] >> (5 * (n % 12))) & 0b11111);
    let digits: String = digits
        .map(|digit| char::from(b"0123456789abcdefghijklmnopqrstuv"[digit as usize]))
        .collect();
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        number => number.to_owned(),
    }
}

/// The reference that marks a message as test data.
pub(super) fn test_reference(clock: &dyn Clock) -> String {
    format!("PILLARBOX-TEST-{}", hex16(clock))
}

/// Sixteen hex digits, the format of movement and message ids in HMRC's transit service.
pub(super) fn hex16(clock: &dyn Clock) -> String {
    format!("{:016x}", clock.random())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::TestClock, *};

    #[test]
    fn a_uuid_is_version_4_in_lower_case() {
        let clock = TestClock::new();
        for _ in 0..100 {
            let id = uuid(&clock);
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert!(
                id.bytes()
                    .all(|b| b == b'-' || matches!(b, b'0'..=b'9' | b'a'..=b'f')),
                "{id}"
            );
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
        assert_eq!(
            uuid(&TestClock::of([u64::MAX, u64::MAX])),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(
            uuid(&TestClock::of([0, 0])),
            "00000000-0000-4000-8000-000000000000"
        );
    }

    #[test]
    fn a_pay_id_has_up_to_26_digits_and_is_not_padded() {
        for (random, expected) in [
            ([u64::MAX, u64::MAX, u64::MAX], "vvvvvvvvvvvvvvvvvvvvvvvvvv"),
            ([1, 0, 0], "10000000000000000000000000"),
            ([0, 31 << 55, 0], "v00"),
            ([0, 0, 1 << 5], "1"),
            ([0, 0, 0], "0"),
        ] {
            assert_eq!(pay_id(&TestClock::of(random)), expected);
        }
        let clock = TestClock::new();
        let ids: Vec<String> = (0..2_000).map(|_| pay_id(&clock)).collect();
        assert!(ids.iter().all(|id| (22..=26).contains(&id.len())));
        assert!(
            ids.iter().any(|id| id.len() == 25),
            "one in thirty-two starts with a zero"
        );
    }
}
