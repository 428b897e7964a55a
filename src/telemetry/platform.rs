//! The fields that only a platform with invocations has.

/// The fields of one Lambda invocation. All are `None` on other platforms, and then not logged.
#[derive(Clone, Debug, Default)]
pub struct PlatformFields {
    /// The platform's id of the invocation.
    pub request_id: Option<String>,
    /// The function's name, if its metrics are written: a dimension of them.
    pub function: Option<String>,
    /// The function's role.
    pub role: Option<&'static str>,
    /// The version of Pillarbox.
    pub version: Option<&'static str>,
    /// Whether this is the first invocation of its process.
    pub cold_start: Option<bool>,
}
