//! Answer times for a person, read from the text of a scrape so that both agree.

use std::collections::BTreeMap;

/// The beginning of a bucket's line.
const BUCKET: &str = "pillarbox_answer_time_seconds_bucket{";

/// The answer times of one source, since the process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerTimes {
    /// The name of the source.
    pub source: String,
    /// The upper bound of each bucket in seconds, and the number of answers in it. The last bound
    /// is `+Inf`.
    pub buckets: Vec<(String, u64)>,
}

impl AnswerTimes {
    /// Reads the answer times of every source from the text of a scrape.
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
            let buckets = sources.entry(source.to_owned()).or_default();
            buckets.push((bound.to_owned(), count));
        }
        let times = |(source, cumulative): (String, Vec<(String, u64)>)| {
            let mut before = 0;
            let bucket = |(bound, count): (String, u64)| {
                let in_bucket = count.saturating_sub(before);
                before = count;
                (bound, in_bucket)
            };
            let buckets = cumulative.into_iter().map(bucket).collect();
            Self { source, buckets }
        };
        sources.into_iter().map(times).collect()
    }

    /// The number of all answers.
    pub fn answers(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels
        .split(',')
        .filter_map(|label| label.split_once('='))
        .find_map(|(given, value)| (given == name).then(|| value.trim_matches('"')))
}
