//! The fields that only a platform with invocations has.

use super::FunctionMetrics;

/// The fields of one Lambda invocation. All are `None` on other platforms, and then not logged.
#[derive(Clone, Debug, Default)]
pub struct PlatformFields {
    /// The platform's id of the invocation.
    pub request_id: Option<String>,
    /// The function's metrics, if they are written.
    pub function: Option<FunctionMetrics>,
    /// The function's role.
    pub role: Option<&'static str>,
    /// The version of Pillarbox.
    pub version: Option<&'static str>,
    /// Whether this is the first invocation of its process.
    pub cold_start: Option<bool>,
}
