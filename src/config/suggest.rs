//! "Did you mean": finds the valid word that a misspelt word most likely stands for.

/// The candidate nearest to `word`, if `word` is likely to be a misspelling or a part of it.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let max_distance = (word.chars().count() / 3).max(1);
    let ranked = candidates
        .into_iter()
        .filter_map(|candidate| Some((rank(&word, candidate, max_distance)?, candidate)));
    ranked
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, candidate)| candidate)
}

/// The edit distance from `word` to `candidate`; `None` if it is too large.
fn rank(word: &str, candidate: &str, max_distance: usize) -> Option<usize> {
    let distance = strsim::osa_distance(word, candidate);
    let part = word.len() >= 3 && candidate.contains(word);
    (distance <= max_distance || part).then_some(distance)
}

/// Joins words into a choice: `a`, `a or b`, `a, b or c`.
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
    fn a_misspelt_word_finds_the_valid_one() {
        let kinds = ["hmrc", "govuk-pay"];
        for (written, expected) in [
            ("govukpay", Some("govuk-pay")),
            ("GOVUK-PAY", Some("govuk-pay")),
            ("pay", Some("govuk-pay")),
            ("hrmc", Some("hmrc")),
            ("stripe", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, kinds), expected, "{written}");
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
