//! Which part of what was not flushed a disk keeps.

use std::ops::Range;

use crate::simulate::SplitMix64;

/// The parts of a write that a disk keeps or loses.
const SECTOR_BYTES: [u64; 2] = [512, 4096];

/// Which of the changes that were not flushed a disk keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnsyncedSurvival {
    Nothing,
    Everything,
    /// Those before this record, and the first sectors of this one.
    Before(usize),
    /// Each with so many thousandths of probability.
    Some(u64),
    /// Each sector of each, of this size, with so many thousandths of probability.
    Torn(u64, u64),
}

impl UnsyncedSurvival {
    /// One of them at random, for a cut after record `cut`.
    pub(super) fn draw(random: &mut SplitMix64, cut: usize) -> Self {
        let share = [100, 500, 900][random.below(3) as usize];
        match random.below(100) {
            0..25 => Self::Nothing,
            25..35 => Self::Everything,
            35..55 => Self::Before(cut.saturating_sub(random.below(120) as usize)),
            55..80 => Self::Some(share),
            _ => Self::Torn(SECTOR_BYTES[random.below(2) as usize], share),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Everything => "everything",
            Self::Before(_) => "what came first",
            Self::Some(_) => "any selection",
            Self::Torn(..) => "any sectors",
        }
    }

    /// Whether the change of a name by record `at` is kept.
    pub(super) fn keeps(self, at: usize, random: &mut SplitMix64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Before(end) => at < end,
            Self::Some(share) | Self::Torn(_, share) => random.is(share),
        }
    }

    /// The parts that are kept of the write by record `at`.
    pub(super) fn kept_parts(
        self,
        at: usize,
        whole: Range<u64>,
        random: &mut SplitMix64,
    ) -> Vec<Range<u64>> {
        let sectors = |size: u64| {
            let numbers = whole.start / size..whole.end.div_ceil(size);
            let (start, end) = (whole.start, whole.end);
            numbers.map(move |sector| (sector * size).max(start)..((sector + 1) * size).min(end))
        };
        match self {
            Self::Before(last) if at == last => {
                let sectors = sectors(SECTOR_BYTES[0]);
                let most = 1 + (whole.end - whole.start) / SECTOR_BYTES[0];
                sectors.take(random.below(most) as usize).collect()
            }
            Self::Torn(size, share) => sectors(size).filter(|_| random.is(share)).collect(),
            _ if self.keeps(at, random) => vec![whole],
            _ => Vec::new(),
        }
    }
}
