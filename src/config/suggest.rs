//! "Did you mean": the valid word somebody most likely meant to write.

/// The candidate nearest to `word`, if one is near enough to be a slip of the hand or a part of it.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let slips = (word.chars().count() / 3).max(1);
    let ranked = candidates
        .into_iter()
        .filter_map(|candidate| Some((rank(&word, candidate, slips)?, candidate)));
    ranked
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, candidate)| candidate)
}

/// How far `candidate` lies from `word`; `None` when nobody would mistake one for the other.
fn rank(word: &str, candidate: &str, slips: usize) -> Option<usize> {
    let distance = strsim::osa_distance(word, candidate);
    let part = word.len() >= 3 && candidate.contains(word);
    (distance <= slips || part).then_some(distance)
}

/// Words as a choice: `a`, `a or b`, `a, b or c`.
pub(super) fn choice<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_the_word_that_was_meant() {
        let kinds = ["hmrc", "govuk-pay"];
        for (written, meant) in [
            ("govukpay", Some("govuk-pay")),
            ("GOVUK-PAY", Some("govuk-pay")),
            ("pay", Some("govuk-pay")),
            ("hrmc", Some("hmrc")),
            ("stripe", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, kinds), meant, "{written}");
        }
        assert_eq!(nearest("secret", ["kind", "secrets"]), Some("secrets"));
        assert_eq!(nearest("kin", ["secrets", "kind"]), Some("kind"));
    }

    #[test]
    fn a_choice_reads_as_a_sentence_does() {
        assert_eq!(choice([]), "");
        assert_eq!(choice(["a"]), "a");
        assert_eq!(choice(["a", "b"]), "a or b");
        assert_eq!(choice(["a", "b", "c"]), "a, b or c");
    }
}
