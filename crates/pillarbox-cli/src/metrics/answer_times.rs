//! How long answers took, for a person: read back from the text of a scrape, so that both say the
//! same.

use std::collections::BTreeMap;

/// The line of a bucket begins so.
const BUCKET: &str = "pillarbox_answer_time_seconds_bucket{";

/// The answer times of one source, since the process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerTimes {
    /// The name of the source.
    pub source: String,
    /// How many answers took at most so many seconds, and longer than the bound before. The last
    /// bound is `+Inf`.
    pub steps: Vec<(String, u64)>,
}

impl AnswerTimes {
    /// Reads the answer times of every source, from the text of a scrape.
    pub(super) fn read(scraped: &str) -> Vec<Self> {
        let mut sources: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
        for line in scraped.lines() {
            let Some((labels, count)) = line
                .strip_prefix(BUCKET)
                .and_then(|line| line.split_once("} "))
            else {
                continue;
            };
            let (Some(source), Some(bound), Ok(count)) = (
                label(labels, "source"),
                label(labels, "le"),
                count.trim().parse::<u64>(),
            ) else {
                continue;
            };
            let steps = sources.entry(source.to_owned()).or_default();
            steps.push((bound.to_owned(), count));
        }
        let times = |(source, cumulative): (String, Vec<(String, u64)>)| {
            let mut before = 0;
            let step = |(bound, count): (String, u64)| {
                let step = count.saturating_sub(before);
                before = count;
                (bound, step)
            };
            let steps = cumulative.into_iter().map(step).collect();
            Self { source, steps }
        };
        sources.into_iter().map(times).collect()
    }

    /// All answers.
    pub fn answers(&self) -> u64 {
        self.steps.iter().map(|(_, count)| count).sum()
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels
        .split(',')
        .filter_map(|label| label.split_once('='))
        .find_map(|(given, value)| (given == name).then(|| value.trim_matches('"')))
}
