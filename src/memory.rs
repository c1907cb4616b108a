//! Amounts of memory: how they are written, and how much this process may use.

use std::fs;

use crate::{CommandError, Result};

/// When the system does not tell how much memory it has.
const UNKNOWN_TOTAL: u64 = 8 << 30;

/// Reads `512MB`, `1.5GB`, `4096` (bytes): PostgreSQL's units, which are multiples of 1024, in
/// any case and also with an `i`.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || format!("'{text}' is not an amount of memory such as 512MB or 4GB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * unit as f64;
    if !(1.0..=1e18).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes as usize)
}

/// How the memory limit of one machine is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryParts {
    /// For slice 0 and what the coordinator does itself.
    pub(crate) coordinator: usize,
    /// For all datanodes together.
    pub(crate) datanodes: usize,
    /// For all local database servers together.
    pub(crate) servers: usize,
    /// Of what datanodes have: what their caches may take, all together, of what queries leave.
    pub(crate) cache: usize,
}

impl MemoryParts {
    /// Where datanodes keep their shards themselves. `cache`: `None`: as much as is usual.
    pub(crate) fn without_servers(limit: usize, cache: Option<usize>) -> Self {
        let datanodes = limit / 4 * 3;
        let cache = cache.unwrap_or_else(|| default_cache(limit)).min(datanodes);
        Self { coordinator: limit / 4, datanodes, servers: 0, cache }
    }

    /// Where database servers on this machine keep them.
    pub(crate) fn with_servers(limit: usize, cache: Option<usize>) -> Self {
        let datanodes = limit / 2;
        let cache = cache.unwrap_or_else(|| default_cache(limit)).min(datanodes);
        Self { coordinator: limit / 4, datanodes, servers: limit / 4, cache }
    }
}

/// The part of a memory limit that is the cache's.
pub(crate) fn default_cache(limit: usize) -> usize {
    limit / 4
}

/// A cache has no more than the memory that it is a part of.
///
/// # Errors
/// A usage error: the cache is larger than the memory it is a part of.
pub(crate) fn check_cache(cache: Option<usize>, limit: usize) -> Result<()> {
    if cache.is_none_or(|cache| cache <= limit) {
        return Ok(());
    }
    Err(CommandError::usage("--cache-size is a part of --memory-limit and cannot be larger"))
}

/// Half of what the machine, or the container, has.
pub(crate) fn default_limit() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    });
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .min();
    let total = machine.into_iter().chain(container).min().unwrap_or(UNKNOWN_TOTAL);
    usize::try_from(total / 2).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", Some(4096)),
            ("1kB", Some(1 << 10)),
            ("512MB", Some(512 << 20)),
            ("1.5 GiB", Some(3 << 29)),
            ("2t", Some(2 << 40)),
            ("0", None),
            ("", None),
            ("-1MB", None),
            ("1.2.3GB", None),
            ("5 apples", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes, "{text}");
        }
        assert!(default_limit() > 64 << 20);
    }

    #[test]
    fn the_cache_is_a_part_of_what_datanodes_have() {
        for (cache, expected) in [(None, 256), (Some(0), 0), (Some(700), 700), (Some(1000), 768)] {
            let parts = MemoryParts::without_servers(1024, cache);
            assert_eq!((parts.cache, parts.datanodes, parts.coordinator), (expected, 768, 256));
        }
        assert_eq!(MemoryParts::with_servers(1024, Some(1000)).cache, 512);
    }
}
