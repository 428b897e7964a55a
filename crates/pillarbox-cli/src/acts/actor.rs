//! The person who acts, as the audit trail names them.
//!
//! For a local inbox, that is the user of the operating system. On AWS it is the identity that
//! signs the requests, as Security Token Service returns it, with the user of this machine. If that
//! service cannot be reached, the id of the access key replaces the identity: the id is not secret,
//! and CloudTrail shows its owner.

use std::fs;

use rustix::{process::getuid, system::uname};

use crate::aws;
use pillarbox::{aws::AwsConfig, config::variable};

/// The user and the host: `alice@laptop`, or `alice as root@server` under sudo.
pub fn local_actor() -> String {
    let user = user_name(getuid().as_raw());
    let host = uname().nodename().to_string_lossy().into_owned();
    match variable("SUDO_USER").filter(|name| !name.is_empty() && *name != user) {
        Some(person) => format!("{person} as {user}@{host}"),
        None => format!("{user}@{host}"),
    }
}

/// The identity that signs requests, with the user of this machine.
pub async fn aws_actor(aws: &AwsConfig) -> String {
    let person = local_actor();
    match aws::caller(aws).await {
        Some(identity) => format!("{identity} ({person})"),
        None => person,
    }
}

/// The name of a user, or the number of one that only a directory service knows.
fn user_name(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&users, id).map_or_else(|| format!("uid {id}"), str::to_owned)
}

/// The name of the user `id` in the text of a password file.
fn name_of(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_only_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# no user\nalice:x:1000:0::/home/alice:/bin/sh";
        for (id, expected) in [(0, Some("root")), (1000, Some("alice")), (7, None)] {
            assert_eq!(name_of(users, id), expected, "{id}");
        }
    }

    #[test]
    fn the_local_actor_has_a_name_and_a_host() {
        let actor = local_actor();
        let (user, host) = actor.split_once('@').unwrap();
        assert!(!user.is_empty() && !host.is_empty(), "{actor}");
    }
}
