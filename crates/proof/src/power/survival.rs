//! The unflushed changes that a disk keeps.

use std::ops::Range;

use crate::simulate::SplitMix64;

/// The possible sizes of a sector, which a disk keeps or loses as a whole.
const SECTOR_BYTES: [u64; 2] = [512, 4096];

/// The unflushed changes that a disk keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnsyncedSurvival {
    Nothing,
    Everything,
    /// The changes before this record, and the first sectors of this one.
    Before(usize),
    /// Each change with this probability in thousandths.
    Some(u64),
    /// Each sector of this size with this probability in thousandths.
    Torn(u64, u64),
}

impl UnsyncedSurvival {
    /// A random survival for a cut after record `cut`.
    pub(super) fn draw(random: &mut SplitMix64, cut: usize) -> Self {
        let share = random.pick(&[100, 500, 900]);
        match random.below(100) {
            0..25 => Self::Nothing,
            25..35 => Self::Everything,
            35..55 => Self::Before(cut.saturating_sub(random.index(120))),
            55..80 => Self::Some(share),
            _ => Self::Torn(random.pick(&SECTOR_BYTES), share),
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

    /// Whether the name change of record `at` survives.
    pub(super) fn keeps(self, at: usize, random: &mut SplitMix64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Before(end) => at < end,
            Self::Some(share) | Self::Torn(_, share) => random.is(share),
        }
    }

    /// The parts of the write of record `at` that survive.
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
