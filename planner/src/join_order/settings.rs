//! What a session says of the order of joins.

use std::collections::HashMap;

use kestrel_proto::ErrorReport;

/// The setting of [`JoinOrderSettings::budget`].
pub const BUDGET: &str = "kestrel.join_order_budget";
/// The switch.
const ENABLED: &str = "kestrel.enable_join_order";
/// A clique of seven relations has fewer pairs, and a star of ten.
const DEFAULT_BUDGET: usize = 2_500;

/// Whether joins are ordered, and how much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinOrderSettings {
    /// Off: joins stay in the order they were written in.
    pub is_enabled: bool,
    /// How many pairs of sets of relations are joined at most before the search turns greedy.
    pub budget: usize,
}

impl Default for JoinOrderSettings {
    fn default() -> Self {
        Self { is_enabled: true, budget: DEFAULT_BUDGET }
    }
}

impl JoinOrderSettings {
    /// What these settings say; others are passed over.
    ///
    /// # Errors
    /// XX000: a value that SET would not have taken.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ErrorReport> {
        let mut result = Self::default();
        if let Some(value) = settings.get(ENABLED) {
            result.is_enabled = value == "on";
        }
        if let Some(value) = settings.get(BUDGET) {
            result.budget = value.parse().map_err(|_| {
                ErrorReport::internal(format!("setting \"{BUDGET}\" cannot be \"{value}\""))
            })?;
        }
        Ok(result)
    }
}
