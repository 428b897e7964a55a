//! What this function is for: a variable, or else its handler's name -> a role.

use std::fmt;

/// The roles, as the template's functions have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers senders.
    Receive,
    /// Works on the stream's batches.
    Process,
    /// Works on whatever is due.
    Sweep,
    /// Asks the senders for what they never pushed.
    Reconcile,
    /// All of them in one function, told apart by the shape of what comes.
    All,
}

/// Why there is no role to begin with; says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Not the name of a role.
    #[error(
        "{place} names no role (`{name}`): set it to receive, process, sweep, reconcile or all"
    )]
    Unknown {
        /// Where the name stands.
        place: &'static str,
        /// The name, cut short.
        name: String,
    },
}

impl Role {
    /// The role that `PILLARBOX_ROLE` names, or else the handler. Empty counts as unset; without
    /// either, or with the handler `bootstrap` that `cargo lambda` sets, one function plays all.
    pub fn named(variable: Option<String>, handler: Option<String>) -> Result<Self, RoleError> {
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(name) = set(variable) {
            return Self::read("PILLARBOX_ROLE", &name);
        }
        match set(handler) {
            Some(name) if name != "bootstrap" => Self::read("the function's handler", &name),
            _ => Ok(Self::All),
        }
    }

    fn read(place: &'static str, name: &str) -> Result<Self, RoleError> {
        match name {
            "receive" => Ok(Self::Receive),
            "process" => Ok(Self::Process),
            "sweep" => Ok(Self::Sweep),
            "reconcile" => Ok(Self::Reconcile),
            "all" => Ok(Self::All),
            _ => Err(RoleError::Unknown {
                place,
                name: name.chars().take(64).collect(),
            }),
        }
    }

    /// The role's one name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Process => "process",
            Self::Sweep => "sweep",
            Self::Reconcile => "reconcile",
            Self::All => "all",
        }
    }

    /// Whether it answers senders.
    pub fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::All)
    }

    /// Whether it hands notifications on, and needs their destinations.
    pub fn hands_on(self) -> bool {
        !matches!(self, Self::Receive | Self::Reconcile)
    }

    /// Whether it asks senders for what they never pushed, and needs what their APIs know us by.
    pub fn pulls(self) -> bool {
        matches!(self, Self::Reconcile | Self::All)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variable: Option<&str>, handler: Option<&str>) -> Result<Role, RoleError> {
        Role::named(variable.map(str::to_owned), handler.map(str::to_owned))
    }

    #[test]
    fn the_variable_beats_the_handler_and_a_handler_without_meaning_is_all_roles() {
        for (variable, handler, role) in [
            (None, Some("receive"), Role::Receive),
            (None, Some("process"), Role::Process),
            (None, Some("sweep"), Role::Sweep),
            (None, Some("reconcile"), Role::Reconcile),
            (None, Some("all"), Role::All),
            (None, Some("bootstrap"), Role::All),
            (None, Some(""), Role::All),
            (None, None, Role::All),
            (Some(""), Some("sweep"), Role::Sweep),
            (Some("receive"), Some("sweep"), Role::Receive),
            (Some("all"), Some("anything"), Role::All),
        ] {
            assert_eq!(
                named(variable, handler),
                Ok(role),
                "{variable:?} {handler:?}"
            );
        }
    }

    #[test]
    fn what_is_no_role_is_refused_with_where_it_stands() {
        for (variable, handler, message) in [
            (
                None,
                Some("Receive"),
                "the function's handler names no role (`Receive`): set it to receive, process, \
                 sweep, reconcile or all",
            ),
            (
                Some("bootstrap"),
                None,
                "PILLARBOX_ROLE names no role (`bootstrap`): set it to receive, process, sweep, \
                 reconcile or all",
            ),
        ] {
            assert_eq!(named(variable, handler).unwrap_err().to_string(), message);
        }
    }
}
