//! Estimates of conditions, joins and groups.
