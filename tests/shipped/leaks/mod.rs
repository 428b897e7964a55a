//! No secret and no personal data leaves the shipped programs but where it is meant to.
//!
//! Every secret and every personal field has a canary (`test_support::canaries`), and every program
//! runs at the level `trace` while its peers fail in ways that quote what they were sent. What each
//! writes, its log, its answers, its pages, its errors and its files, is then searched.
//!
//! | where | secrets | personal fields |
//! |---|---|---|
//! | a destination, `show`, `export`, a download | none | all: that is their purpose |
//! | everything else | none | none |

mod commands;
mod console;
mod functions;
mod mistakes;
mod own_destination;
mod planted;
mod serving;
mod sources;
