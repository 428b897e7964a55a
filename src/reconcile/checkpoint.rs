//! Where a run stopped, kept in a memo of its source, so that a later one goes on there.

use serde::{Serialize, de::DeserializeOwned};

use super::{LockedRun, RunEnd, Sleeper};
use crate::{
    domain::Clock,
    inbox::{CasOutcome, Inbox, KvEntry, KvKey},
};

/// The progress that was kept, and where to keep more.
#[derive(Debug)]
pub(super) struct Checkpoint {
    name: KvKey,
    seen: Option<u64>,
    text: String,
}

impl Checkpoint {
    /// Reads what was kept. What can't be read is as good as nothing: then everything is looked at anew.
    pub(super) async fn load<I: Inbox, W: Clock, S: Sleeper, T: DeserializeOwned + Default>(
        run: &LockedRun<'_, I, W, S>,
    ) -> Result<(Self, T), RunEnd> {
        let name = KvKey::new("progress", run.source.as_str());
        let memo = run.inbox().memo(&name).await?;
        let kept = memo
            .as_ref()
            .and_then(|memo| serde_json::from_str(&memo.text).ok())
            .unwrap_or_default();
        let (seen, text) = memo.map_or((None, String::new()), |memo| {
            (Some(memo.version), memo.text)
        });
        Ok((Self { name, seen, text }, kept))
    }

    /// Keeps where the run is now. A run that has lost its lock may find that another one has kept more: that stands.
    pub(super) async fn save<I: Inbox, W: Clock, S: Sleeper, T: Serialize>(
        &mut self,
        run: &LockedRun<'_, I, W, S>,
        place: &T,
    ) -> Result<(), RunEnd> {
        let text = serde_json::to_string(place).expect("numbers and texts have a form in JSON");
        if text == self.text {
            return Ok(());
        }
        let memo = KvEntry {
            version: run.random(),
            text,
        };
        match run.inbox().swap_memo(&self.name, self.seen, &memo).await? {
            CasOutcome::Done => {
                (self.seen, self.text) = (Some(memo.version), memo.text);
                Ok(())
            }
            CasOutcome::Refused(_) => Err(RunEnd::Overtaken),
        }
    }
}
