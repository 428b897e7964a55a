//! The role of a Lambda function, from the variable `PILLARBOX_ROLE` or the handler's name.

use std::fmt;

/// The roles of the template's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives notifications.
    Receive,
    /// Delivers the rows of the stream's batches.
    Process,
    /// Delivers every row that is due.
    Sweep,
    /// Reconciles with the senders' APIs.
    Reconcile,
    /// All roles in one function, chosen by the shape of each event.
    All,
}

/// Why a function has no role, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// The text is not the name of a role.
    #[error(
        "{setting} names an unknown role (`{name}`): set it to receive, process, sweep, \
         reconcile or all"
    )]
    Unknown {
        /// The variable or the handler.
        setting: &'static str,
        /// The start of the name.
        name: String,
    },
}

impl Role {
    /// The role that `PILLARBOX_ROLE` names, or else the handler. An empty value counts as unset.
    /// Without either, or with the handler `bootstrap` that `cargo lambda` sets, the function has
    /// all roles.
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

    fn read(setting: &'static str, name: &str) -> Result<Self, RoleError> {
        match name {
            "receive" => Ok(Self::Receive),
            "process" => Ok(Self::Process),
            "sweep" => Ok(Self::Sweep),
            "reconcile" => Ok(Self::Reconcile),
            "all" => Ok(Self::All),
            _ => Err(RoleError::Unknown {
                setting,
                name: name.chars().take(64).collect(),
            }),
        }
    }

    /// The name of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Process => "process",
            Self::Sweep => "sweep",
            Self::Reconcile => "reconcile",
            Self::All => "all",
        }
    }

    /// Whether the role receives notifications.
    pub fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::All)
    }

    /// Whether the role delivers notifications, and needs destinations.
    pub fn delivers(self) -> bool {
        !matches!(self, Self::Receive | Self::Reconcile)
    }

    /// Whether the role reconciles, and needs the credentials of the senders' APIs.
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
    fn the_variable_overrides_the_handler_and_the_default_handler_has_all_roles() {
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
    fn an_unknown_role_is_refused_with_its_setting() {
        for (variable, handler, message) in [
            (
                None,
                Some("Receive"),
                "the function's handler names an unknown role (`Receive`): set it to receive, \
                 process, sweep, reconcile or all",
            ),
            (
                Some("bootstrap"),
                None,
                "PILLARBOX_ROLE names an unknown role (`bootstrap`): set it to receive, process, \
                 sweep, reconcile or all",
            ),
        ] {
            assert_eq!(named(variable, handler).unwrap_err().to_string(), message);
        }
    }
}
